"""Building a new ledger from what is left of a batch. The damaged one is moved aside, never deleted, never changed.

What no source knows any more may have been accepted all the same: the last lines of a log that a power cut took, a
log that was damaged itself, or none at all. So the new ledger carries a mark (`BLIND`): no run submits anything
before it has compared the account's whole history of that time with what it would submit (`runner.recovery_check`).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.clip import State, Wanted
from batchgen.errors import LedgerError, LedgerWriteError, UsageError
from batchgen.files import durable
from batchgen.ledger import evidence, integrity, journal, names, schema
from batchgen.ledger.integrity import FILE
from batchgen.ledger.lock import Lock
from batchgen.ledger.reader import Reader
from batchgen.ledger.recovery import replay, sources
from batchgen.ledger.sqlite import SqliteLedger

#: A fact of a rebuilt ledger: `{"since": …, "until": …}`, the time in which something may have been accepted that it
#: does not know of (epoch seconds).
BLIND = "blind"
#: Where the log is not whole, the history is searched for so long (seconds).
_MONTH = 31 * 86400.0
_CHUNK = 500
#: Files that SQLite makes for those who only read; what a writer leaves in a WAL is in the log, or in the memory.
_OF_READERS = ("-shm", "-wal")
_NEW = "ledger.new"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came of it."""

    aside: Path  #: where the damaged files are
    fault: str  #: what was wrong
    states: dict[str, int]  #: how many clips are in which state
    requests: int  #: request ids that are known
    log_lines: int
    bad_lines: int
    from_ledger: int  #: events that only the damaged ledger still had
    holes: tuple[str, ...]  #: names of clips of which something is missing
    since: float  #: the history is searched from here
    until: float


def fault_of(folder: Path, wanted: Iterable[Wanted] = ()) -> str:
    """Say what is wrong with a ledger, alone or by what lies next to it; `wanted` is what the manifest wants.

    Raises:
        UsageError: nothing is, or nothing is there.
        LedgerError: it is a newer batchgen's, which is no damage.
    """
    if not integrity.exists(folder):
        if seen := evidence.LastSeen.of(folder, None):
            return f"{folder} is gone, and a batch has run there before ({seen})"
        raise UsageError(f"{folder} has no ledger, and nothing to rebuild one from")
    if _version(folder / FILE) > schema.SCHEMA:
        integrity.check(folder)
    try:
        integrity.check(folder, deep=True)
    except LedgerError as error:
        return str(error).removesuffix(schema.REMEDY).rstrip(". ")
    with closing(Reader(folder)) as ledger:
        if fault := ledger.contradiction(clip.key for clip in wanted):
            return f"{ledger.path} {fault}"
    raise UsageError(f"{folder / FILE} is intact: there is nothing to recover")


def recover(folder: Path, wanted: Iterable[Wanted]) -> Recovered:
    """Build a new ledger and put it in the damaged one's place.

    Args:
        folder: the batch folder.
        wanted: what the manifest wants: for clips whose description is lost.

    Raises:
        LockedError: a run holds the batch.
        UsageError: the ledger is sound.
        LedgerWriteError: there is no room or no leave; what was there is there.
    """
    asked = list(wanted)
    lock = Lock(folder)
    try:
        fault = fault_of(folder, asked)
        left = sources.gather(folder)
        until = _last_written(folder, left.facts.pop(evidence.BATCH_ID, None))
        rebuilt = replay.rebuild(left, asked)
        times = [entry.at for entry in left.recorded.values()] or [until]
        until = max(until, *times, *(traced.at for traced in left.traced))
        since = min(times) if left.log_lines and not left.bad_lines else min(until - _MONTH, *times)
        blind = json.dumps({"since": since, "until": until})
        facts = {**left.facts, evidence.BATCH_ID: evidence.new_id(), BLIND: blind}
        try:
            _write(folder / _NEW, rebuilt, facts, {clip.key: clip.name for clip in asked})
            aside = _swap(folder)
        except (OSError, sqlite3.Error) as error:
            raise LedgerWriteError(f"{folder}: can't be written ({error}); nothing was changed") from error
    finally:
        lock.release()
    SqliteLedger(folder).close()  # which begins a new log
    states = Counter(str(clip.state) for clip in rebuilt.clips.values())
    holes = sorted(rebuilt.clips[key].wanted.name for key in rebuilt.holes)
    return Recovered(
        aside, fault, {state: states[state] for state in map(str, State) if states[state]}, len(rebuilt.request_ids()),
        left.log_lines, left.bad_lines, left.from_ledger, tuple(holes), since, until,
    )  # fmt: skip


def _version(path: Path) -> int:
    refused = (sqlite3.Error, ValueError, LedgerError, LedgerWriteError)
    with suppress(*refused), closing(schema.connect(path, writable=False)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    return 0


def _last_written(folder: Path, batch_id: str | None) -> float:
    """When anything was last written here: what was accepted later than that is another batch's."""
    written = (path for path in folder.glob("ledger.*") if path.is_file() and not path.name.endswith(_OF_READERS))
    times = [path.stat().st_mtime for path in written]
    times += [path.stat().st_mtime for path in (folder / "events.jsonl",) if path.is_file()]
    times += [seen.at for name in {batch_id, None} if (seen := evidence.LastSeen.of(folder, name))]
    return max(times, default=time.time())


def _write(place: Path, rebuilt: replay.Rebuilt, facts: dict[str, str], asked: dict[str, str]) -> None:
    """Write the new ledger, whole and synced, to a folder of its own; `asked` has the manifest's names by key."""
    if place.exists():  # of a recovery that was killed
        shutil.rmtree(place)
    place.mkdir()
    newest = max((seq for seq, *_ in rebuilt.steps if seq), default=0)
    with closing(schema.connect(place / FILE, writable=True, journal="DELETE")) as db:
        schema.prepare(db, place / FILE)
        db.execute("BEGIN")
        wanted = [clip.wanted for clip in rebuilt.clips.values()]
        named = names.assign(asked, (names.Holder(each.key, each.name, each.reroll_of in asked) for each in wanted))
        db.executemany(schema.INSERT_CLIP, (schema.wanted_row(each, named[each.key]) for each in wanted))
        writes = [(clip, event, at, clip.wanted.price_class) for _, clip, event, at in rebuilt.steps]
        for first in range(0, len(writes), _CHUNK):
            schema.write(db, writes[first : first + _CHUNK])
        # Events keep the numbers that the log has them under: it stays true until a new one is begun.
        db.execute("UPDATE event SET seq = -seq")
        numbers = iter(range(newest + 1, newest + 1 + len(writes)))
        pairs = ((seq or next(numbers), -own) for own, (seq, *_) in enumerate(rebuilt.steps, 1))
        db.executemany("UPDATE event SET seq = ? WHERE seq = ?", pairs)
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", facts.items())
        db.execute("COMMIT")


def _swap(folder: Path) -> Path:
    """Move the damaged files aside, then the new one in, then the log aside; after any of these it may be killed."""
    stem = f"ledger-damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (stem, *(f"{stem}-{n}" for n in range(2, 100)))
    aside = next(folder / name for name in names if not (folder / name).exists())
    aside.mkdir()
    for part in ("-wal", "-shm", "-journal", ""):
        path = folder / f"{FILE}{part}"
        if path.exists():
            durable.tighten(path)
            path.rename(aside / path.name)
    (folder / _NEW / FILE).rename(folder / FILE)
    durable.sync(folder)
    (folder / _NEW).rmdir()
    if (folder / journal.FILE).exists():
        (folder / journal.FILE).rename(aside / journal.FILE)
    durable.sync(aside)
    durable.sync(folder)
    return aside
