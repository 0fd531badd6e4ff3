"""Cut the power at random moments of a traced run, and see what the disk still knows.

    python tests/power/power_cuts.py            5,000 cuts: half of a real run, half of the ledger alone under load
    python tests/power/power_cuts.py 20000 7    20,000 cuts with the dice of 7

What was *acted upon* before a cut must be there after it: the intent of every POST that left, the id of every request
that was asked about, cost and link of every file that was asked for, every step that was told to the user, and every
file under its final name, whole. Exit 1 when anything is missing.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from power_disk import Disk, lay
from power_trace import Step, Told, command, steps

ROOT = str(Path(__file__).parents[2])
sys.path[:0] = [ROOT, f"{ROOT}/tests"]  # so that it runs as a command, too

from command import Desk, Ended  # noqa: E402
from mp4 import box  # noqa: E402
from scripted_service import FakeApi, Job  # noqa: E402

from batchgen.errors import BatchgenError  # noqa: E402
from batchgen.ledger import SqliteLedger  # noqa: E402

LOAD = Path(__file__).with_name("power_load.py")
CLIPS_OF_LOAD = 150
PROMPTS = 6
SEED = 20261124
_STAMPED = re.compile(r"\S+ (shot\d+_\d) (submitting|generating|downloading|done)\b")


@dataclass
class Knows:
    """What a ledger says after a cut."""

    events: set[tuple[str, str]]  #: (clip, state that it reached)
    prompts: set[str]  #: of clips with a request
    ids: set[str]
    linked: set[str]  #: ids whose link and cost are known
    files: dict[str, str]  #: of done clips: file → sha256


Fact = Callable[[Knows], bool]


@dataclass
class Traced:
    """A traced run: what it did, when it told what, and the files that it had in the end."""

    steps: list[Step]
    facts: list[tuple[int, str, Fact]]  #: (number of the step, in words, what must hold from then on)
    whole: dict[str, str] = field(default_factory=dict)  #: final name → sha256
    api: FakeApi | None = None  #: the service, with its books


@dataclass
class Result:
    """What the cuts showed."""

    cuts: int = 0
    facts: int = 0  #: facts held against a disk, over all cuts
    lost: Counter[str] = field(default_factory=Counter)  #: cuts that lost such a thing
    unreadable: int = 0
    torn: int = 0  #: cuts with a file under its final name that is not whole
    first: str = ""  #: the first loss, in words

    @property
    def sound(self) -> bool:
        """Tell whether nothing was lost."""
        return not (self.lost or self.unreadable or self.torn)


# --- what was acted upon ------------------------------------------------------------------------------


def facts_of(found: Sequence[Step]) -> Iterator[tuple[int, str, Fact]]:
    """Read from what a program told what its disk must know from then on."""
    for number, step in enumerate(found):
        if isinstance(step, Told):
            for words, fact in _facts(step):
                yield number, words, fact


def _facts(told: Told) -> Iterator[tuple[str, Fact]]:
    text = told.data.decode("utf-8", "replace")
    if post := re.match(r"POST /v2/.*?\r\n\r\n(\{.*)", text, re.DOTALL):
        prompt = json.loads(post[1])["prompt"]
        yield f"the intent of {prompt!r}", lambda knows: prompt in knows.prompts
    elif poll := re.match(r"GET /v2/requests/([^/ ]+)", text):
        yield f"the id {poll[1]}", lambda knows: poll[1] in knows.ids
    elif fetched := re.match(r"GET /files/([^/. ]+)", text):
        yield f"cost and link of {fetched[1]}", lambda knows: fetched[1] in knows.linked
    elif spilled := re.match(r"SPILL (\S+)", text):
        yield f"the spilt id {spilled[1]}", lambda knows: spilled[1] in knows.ids
    elif acked := re.match(r"ACK (\S+) (\S+)", text):
        event = (acked[1], acked[2])
        yield f"{event[1]} of {event[0]}", lambda knows: event in knows.events
    elif told.fd == 2:
        yield from (
            (f"{event[1]} of {event[0]}", lambda knows, event=event: event in knows.events)
            for event in _STAMPED.findall(text)
        )


def knows(folder: Path) -> tuple[Knows, str]:
    """Open a ledger as the next run does, and say what it knows, and what is damaged of it."""
    with closing(SqliteLedger(folder)) as ledger:
        damage = ledger.damage()
        ledger.recover()
        with closing(sqlite3.connect(ledger.path)) as db:
            clips = list(db.execute("SELECT id, name, params, n, state, file, sha256 FROM clip"))
            names = {row: name for row, name, *_ in clips}
            requests = list(db.execute("SELECT request_id, url, cost FROM request WHERE request_id IS NOT NULL"))
            events = list(db.execute("SELECT clip, name, state FROM event"))
    return (
        Knows(
            events={(names[clip], word) for clip, name, state in events for word in (name, state)},
            prompts={json.loads(params)["prompt"] for _, _, params, n, *_ in clips if n},
            ids={request_id for request_id, _, _ in requests},
            linked={request_id for request_id, url, cost in requests if url and cost},
            files={file: sha256 for _, _, _, _, state, file, sha256 in clips if state == "done"},
        ),
        damage,
    )


# --- cutting ------------------------------------------------------------------------------------------


def cut(traced: Traced, root: Path, count: int, seed: int, *, since: int = 0) -> Result:
    """Cut the power `count` times after a step, at moments and with a fate of what was not synced by the dice."""
    dice, result, disk, done = random.Random(seed), Result(), Disk(str(root)), 0
    for moment in sorted(dice.randrange(since + 1, len(traced.steps) + 1) for _ in range(count)):
        for step in traced.steps[done:moment]:
            if not isinstance(step, Told):
                step(disk)
        done = moment
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            lay(disk.cut(dice), Path(folder))
            _judge(Path(folder) / "night", traced, moment, result)
        result.cuts += 1
    return result


def _judge(batch: Path, traced: Traced, moment: int, result: Result) -> None:
    due = [(words, fact) for number, words, fact in traced.facts if number < moment]
    result.facts += len(due)
    if due and not batch.exists():
        _note(result, moment, "the batch folder")
        return
    try:
        known, damage = knows(batch)
    except BatchgenError as error:
        known, damage = None, str(error)
    if known is None or damage:
        result.unreadable += 1
        result.first = result.first or f"step {moment}: {damage}"
        return
    missing = [words for words, fact in due if not fact(known)]
    if missing:
        _note(result, moment, missing[0])
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in batch.glob("clips/*.mp4")}
    if any(traced.whole.get(name) != sha256 for name, sha256 in there.items()):
        result.torn += 1
        result.first = result.first or f"step {moment}: a file under its final name is not whole"
    if traced.whole and any(there.get(name) != sha256 for name, sha256 in known.files.items()):
        _note(result, moment, "the file of a done clip")


def _note(result: Result, moment: int, what: str) -> None:
    kind = " ".join(word for word in what.split() if not re.search(r"\d", word))
    result.lost[kind] += 1
    result.first = result.first or f"step {moment}: {what}"


def memory() -> str | None:
    """Name a folder in memory, where there is one: it is only read back at once."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


# --- runs to cut --------------------------------------------------------------------------------------


def traced_load(folder: Path, clips: int = CLIPS_OF_LOAD, tree: str | None = None) -> Traced:
    """Trace the ledger alone under load; `tree` is where batchgen is taken from."""
    log = folder.with_suffix(".trace")
    folder.mkdir()
    environ = {"PYTHONPATH": tree or ROOT, "PATH": "/usr/bin:/bin"}
    run = [*command(log), sys.executable, str(LOAD), str(folder / "night"), str(clips)]
    subprocess.run(run, cwd=folder, env=environ, check=True, capture_output=True, timeout=120)
    return _read(log, folder)


class Sizes(FakeApi):
    """Small files, which are written in one piece, and large ones, which are streamed."""

    def content(self, job: Job) -> bytes:
        """Give every other job a file of more than one block."""
        return super().content(job) + (box(b"free", bytes(600_000)) if job.params["prompt"][-1] in "024" else b"")


def traced_run(folder: Path, tree: str | None = None) -> Traced:
    """Trace a real `batchgen run` of a few clips against a service on loopback."""
    log = folder.with_suffix(".trace")
    folder.mkdir()
    with Sizes(run_s=0.2) as api:
        desk = written(folder, api)
        environ = {"PYTHONPATH": tree or ROOT}
        process = desk.start(*desk.paid("--yes", "--json", "-v"), env=environ, wrap=command(log))
        desk.end(process).expect(0, done=PROMPTS)
        files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in desk.clips}
    assert len(files) == PROMPTS
    return replace(_read(log, folder), whole=files, api=api)


def written(folder: Path, api: FakeApi) -> Desk:
    """Write the manifest of the traced run."""
    desk = Desk(folder, api.url)
    desk.manifest(*(f"shot{n}" for n in range(PROMPTS)))
    return desk


def resumed(traced: Traced, moment: int, root: Path, at: Path, dice: random.Random) -> tuple[Ended, FakeApi]:
    """Cut once, and let the real command go on from what is left, with a service that has what was sent until then."""
    assert traced.api is not None
    disk = Disk(str(root))
    for step in traced.steps[:moment]:
        if not isinstance(step, Told):
            step(disk)
    at.mkdir()
    lay(disk.cut(dice), at)
    sent = {words for number, words, _ in traced.facts if number < moment}
    api = Sizes(run_s=0.1, port=int(traced.api.url.rpartition(":")[2]))
    api.jobs = {name: job for name, job in traced.api.jobs.items() if f"the intent of {job.params['prompt']!r}" in sent}
    with api:
        return written(at, api).run(), api


def _read(log: Path, folder: Path) -> Traced:
    found = steps(log, str(folder))
    log.unlink()
    return Traced(found, list(facts_of(found)))


def changed_tree(at: Path, changes: Iterable[tuple[str, str, str]]) -> str:
    """Copy batchgen's source, each change (file, old, new) made in it; a control that must fail."""
    shutil.copytree(Path(ROOT) / "batchgen", at / "batchgen", ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in changes:
        path = at / "batchgen" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old, text.count(old))
        path.write_text(text.replace(old, new), encoding="utf-8")
    return str(at)


def main() -> int:
    """Cut as often as was asked for, and tell."""
    count, seed = int((sys.argv[1:] or ["5000"])[0]), int((sys.argv[2:] or [str(SEED)])[0])
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        for name, trace in (("a real run", traced_run), ("the ledger alone", traced_load)):
            root = Path(folder) / name.replace(" ", "-")
            result = cut(trace(root), root, count // 2, seed)
            sound = sound and result.sound
            print(
                f"{name}: {result.cuts} cuts, {result.facts} facts held against them: lost "
                f"{dict(result.lost) or 0}, unreadable ledgers {result.unreadable}, torn files {result.torn}"
                + (f" (first: {result.first})" if result.first else "")
            )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
