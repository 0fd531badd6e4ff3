"""Write a ledger as this release writes it: `python tests/data/make_ledger.py tests/data/ledgers/schemaN.db`.

One is made, and kept for ever, before a change of the tables (`SCHEMA`) is released: every later release resumes it.
All nine states are in it, a clip that is no longer wanted, a re-roll, and one that was given up.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

from batchgen.clip import Clip, Wanted
from batchgen.events import (
    AnswerLost,
    Blocked,
    Downloaded,
    Event,
    Failed,
    FailedForNow,
    Forgotten,
    Generated,
    Lost,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.ledger import FILE, Home, SqliteLedger

COST = 625_000


def ticking() -> Callable[[], float]:
    """A wall clock that goes on by a quarter of a second at each look."""
    ticks = count()
    return lambda: 1_795_000_000.0 + 0.25 * next(ticks)


def wanted(n: int, take: int = 1, reroll_of: str | None = None) -> Wanted:
    """One clip."""
    params = {"prompt": f"a courier crosses street {n}", "size": "1280*720", "duration": 5, "seed": 1000 * take + n}
    name, label = f"courier-{n}_{take}", "city=Lisbon" if n % 2 else ""
    text = json.dumps(params, sort_keys=True)
    return Wanted(f"k{take}-{n:016x}", f"courier-{n}", take, "wan-2.5-t2v", text, name, n, label=label,
                  reroll_of=reroll_of)  # fmt: skip


def lives(now: Callable[[], float]) -> list[list[Event]]:
    """What happened to each of the clips, in the order of their numbers."""

    def started() -> Event:
        return SubmitStarted(now(), reserved=2 * COST, estimate=COST)

    def accepted(n: int) -> Event:
        return Submitted(f"00000000-0000-4000-8000-{n:012d}", now())

    def made(n: int) -> Event:
        return Generated(f"https://cdn.segmind.com/out/{n}.mp4", now(), COST, 3_000_000, 4.0, 200.0, poll_count=3)

    return [
        [started(), accepted(0), made(0), Downloaded("courier-0_1.mp4", 3_000_000, "a" * 64)],
        [started(), accepted(1), made(1), Downloaded("courier-1_1.mp4", 2_900_000, "b" * 64, "duration", 4.8)],
        [started(), accepted(2)],
        [started(), accepted(3), made(3)],
        [started(), AnswerLost("the connection was closed before an answer came")],
        [started(), accepted(5), Failed("the request has an invalid parameter")],
        [started(), Blocked("the prompt was blocked by content moderation")],
        [started(), accepted(7), Lost("its record is gone and the history has no answer")],
        [started(), SubmitDeferred("429: too many requests")],
        [started(), accepted(9), FailedForNow("an internal error", poll_count=1), started(), accepted(109)],
        [started()],
        [],
        [started(), AnswerLost("reset"), Forgotten("given up")],
    ]


async def fill(ledger: SqliteLedger) -> None:
    """Let it all happen."""
    clips = [wanted(n) for n in range(13)]
    ledger.bind(Home("../night.yaml", "https://api.segmind.com", "0123456789abcdef"))
    for name, value in (("name", "night"), ("manifest_sha256", "0" * 64), ("cap", "120000000"), ("files", "{}")):
        ledger.remember(name, value)
    ledger.sync(clips)
    ledger.reroll([wanted(0, take=2, reroll_of=clips[0].key)])
    by_key = {clip.key: clip for clip in ledger.clips()}
    for each, events in zip(clips, lives(ledger.now), strict=True):
        clip: Clip = by_key[each.key]
        for event in events:
            clip = await ledger.record(clip, event)
    ledger.sync([clips[0], *clips[2:]])
    await ledger.settle()


def main(target: Path) -> None:
    """Write it as one file: without a WAL beside it."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder), wall_clock=ticking())
        try:
            asyncio.run(fill(ledger))
        finally:
            ledger.close()
        with closing(sqlite3.connect(Path(folder) / FILE)) as db:
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("VACUUM")
        shutil.copy(Path(folder) / FILE, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
