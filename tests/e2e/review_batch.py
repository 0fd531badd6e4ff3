"""A batch folder for the page, made without a run: a real ledger, and films that the package carries."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from batchgen.clip import Clip, Wanted
from batchgen.events import AnswerLost, Blocked, Downloaded, Event, Generated, SubmitStarted, Submitted
from batchgen.ledger import Home, SqliteLedger
from batchgen.sandbox.clips import packaged

COST = 312_500
BEGAN = 1_795_000_000.0


@dataclass(frozen=True)
class Prompt:
    """One prompt of the batch.

    Attributes:
        ends: how each take ended: `done`, `blocked`, `unconfirmed`, `generating` or `pending`.
    """

    id: str
    text: str
    ends: tuple[str, ...] = ("done", "done", "done")
    size: str = "832*480"
    cell: Mapping[str, str] = field(default_factory=dict)

    def clips(self, first: int) -> list[Wanted]:
        """Its takes, counted from `first` in the order of the batch."""
        label = ", ".join(f"{axis}={value}" for axis, value in self.cell.items())
        made = []
        for take in range(1, len(self.ends) + 1):
            params = {"prompt": self.text, "size": self.size, "duration": 5, "seed": 1000 * first + take}
            key = f"c1-{hashlib.sha256(f'{self.id}/{take}'.encode()).hexdigest()[:32]}"
            made.append(Wanted(key, self.id, take, "wan-2.5-t2v", json.dumps(params, sort_keys=True),
                               f"{self.id}_{take}", first + take - 1, label=label))  # fmt: skip
        return made


#: Four cells of a matrix, an upright one, and one that did not go well.
NIGHT = (
    *(
        Prompt(f"courier-{city}-{time}".lower(), f"A courier crosses {city} at {time}, handheld camera, shallow focus.",
               cell={"city": city, "time": time})
        for city in ("Tokyo", "Lisbon") for time in ("dawn", "night")
    ),
    Prompt("tower", "A keeper climbs the stairs of a lighthouse.", size="480*832"),
    Prompt("trouble", "A singer looks up.", ("done", "blocked", "unconfirmed", "generating", "pending", "pending")),
)  # fmt: skip


def write(folder: Path, prompts: Iterable[Prompt] = NIGHT) -> Path:
    """Write the batch folder; gives it. In a thread: playwright keeps a loop of its own running in the tests' one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_write, folder, list(prompts)).result()
    return folder


def _write(folder: Path, prompts: list[Prompt]) -> None:
    (folder / "clips").mkdir(parents=True)
    ticks = count()
    ledger = SqliteLedger(folder, wall_clock=lambda: BEGAN + next(ticks))
    try:
        asyncio.run(_fill(ledger, folder, prompts))
    finally:
        ledger.close()


async def _fill(ledger: SqliteLedger, folder: Path, prompts: list[Prompt]) -> None:
    wanted: list[Wanted] = []
    ends: list[str] = []
    for prompt in prompts:
        wanted += prompt.clips(len(wanted))
        ends += prompt.ends
    ledger.bind(Home("../night.yaml", "https://api.segmind.com", "0123456789abcdef"))
    for name, value in (("name", "night"), ("manifest_sha256", "0" * 64), ("cap", "20000000"), ("files", "{}")):
        ledger.remember(name, value)
    ledger.sync(wanted)
    clips = {clip.key: clip for clip in ledger.clips()}
    async with asyncio.TaskGroup() as group:
        for number, (each, end) in enumerate(zip(wanted, ends, strict=True)):
            group.create_task(_live(ledger, clips[each.key], _events(ledger, folder, each, number, end)))
    await ledger.settle()


async def _live(ledger: SqliteLedger, clip: Clip, events: list[Event]) -> None:
    for event in events:
        clip = await ledger.record(clip, event)


def _events(ledger: SqliteLedger, folder: Path, wanted: Wanted, number: int, end: str) -> list[Event]:
    started = SubmitStarted(ledger.now(), reserved=2 * COST, estimate=COST)
    if end == "pending":
        return []
    if end == "blocked":
        return [started, Blocked("the prompt was blocked by content moderation")]
    if end == "unconfirmed":
        return [started, AnswerLost("the connection was closed before an answer came")]
    accepted = Submitted(f"00000000-0000-4000-8000-{number:012d}", ledger.now())
    return (
        [started, accepted] if end == "generating" else [started, accepted, *finished(ledger, folder, wanted, number)]
    )


def finished(ledger: SqliteLedger, folder: Path, wanted: Wanted, number: int) -> list[Event]:
    """Put a film in its place; gives the events of the service's answer and the download."""
    width, _, height = str(wanted.values["size"]).partition("*")
    body = packaged(int(width), int(height), 5).read_bytes() + (b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
    name = f"{wanted.name}.mp4"
    (folder / "clips" / name).write_bytes(body)
    made = Generated(
        f"https://cdn.segmind.com/out/{number}.mp4", ledger.now(), COST, len(body), 4.0, 200.0, poll_count=3
    )
    return [made, Downloaded(name, len(body), hashlib.sha256(body).hexdigest())]
