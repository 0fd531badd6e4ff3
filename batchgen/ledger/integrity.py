"""Is this file the ledger as it was left, and the last one of its batch? Nothing here changes a byte of it.

How much is checked depends on what is known. A ledger whose size and time are those that its journal's closing mark
has is taken as it is. One that was not closed (kill -9, power cut), was touched since, or has no log, is walked by
SQLite's `integrity_check`, a large one (three seconds for 100,000 clips) by its `quick_check` (one second) and an
extra check of the keys; and its values are checked. It is always compared with its journal, which costs one read
of the journal's end: a copy brought back, a WAL that is damaged or gone, and an emptied
file are all sound to SQLite, and would have paid clips paid for again.

A ledger that a user or a backup program brought back may be sound, and older than what happened. What lies next to it
proves that, sidecars and the events file, by a request id that the ledger does not know; and so does this machine's
own memory, by a number of events that the ledger has not reached. All of it may be torn or wrong: what makes no sense
is left out.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sqlite3
import stat
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen.clip import REPLACED_FOLDER, Wanted
from batchgen.errors import LedgerError, LockedError
from batchgen.events import Downloaded, Event, Generated, Submitted
from batchgen.files import durable
from batchgen.ledger import journal, schema
from batchgen.money import to_micro

log = logging.getLogger("batchgen.ledger")

FILE = "ledger.db"
#: The fact with a ledger's own id, made when a run first opens it. A rebuilt ledger is given another one.
BATCH_ID = "batch_id"
_DIGITS = 20
_SOMEONE = "another process"
#: Up to this size the whole check costs half a second at most (bytes).
SMALL = 32 * 1024 * 1024
_TYPES = {
    "clip": {"integer": "n attempts failures refusals take ord priority wanted", "integer null": "bytes",
             "text": "key prompt_id model params name label reason flags",
             "text null": "audio_file audio_sha256 file sha256 reroll_of"},
    "request": {"integer": "clip n held", "integer null": "cost file_size estimate looks",
                "real": "intent_at", "real null": "submitted_at completed_at queue_s run_s clock_off",
                "text": "grade outcome", "text null": "request_id url sent other_links"},
}  # fmt: skip
#: What SQLite lets stand, and our code relies on, as queries that must find nothing.
_ODD = (
    "SELECT 1 FROM clip WHERE NOT json_valid(params)",
    """SELECT 1 FROM clip c LEFT JOIN request r ON r.clip = c.id AND r.n = c.n
    WHERE CASE WHEN c.n > 0 THEN r.clip IS NULL WHEN c.state <> 'pending' THEN 1 END
    OR (c.state = 'generating' AND r.request_id IS NULL) OR (c.state = 'downloading' AND r.url IS NULL)""",
    "SELECT 1 FROM request WHERE NOT EXISTS (SELECT 1 FROM clip WHERE clip.id = request.clip)",
    # A key that its table and its index spell differently would make a known clip a new one, to be paid for again.
    """SELECT 1 FROM clip c NOT INDEXED WHERE NOT EXISTS (
    SELECT 1 FROM clip d INDEXED BY sqlite_autoindex_clip_1 WHERE d.key = c.key AND d.id = c.id)""",
)


def exists(folder: Path) -> bool:
    """Return whether the folder has a ledger, or what is left of one. Raises LedgerError if it can't be read."""
    try:
        return (folder / FILE).exists() or (folder / journal.FILE).exists() or remains(folder)
    except OSError as error:
        raise LedgerError(f"{folder}: can't be opened ({error.strerror})") from error


def refuse_gone(folder: Path) -> None:
    """Refuse to go on without a ledger where this machine has seen one: all would be paid for again.

    Raises:
        LedgerError: what was there is gone, or can't be read.
    """
    if not exists(folder) and (seen := LastSeen.of(folder, None)):
        raise LedgerError(
            f"{folder} is gone, and a batch has run there before ({seen}); nothing was submitted. If you moved the "
            "folder, move it back; otherwise `batchgen recover` with this manifest builds a new ledger"
        )


def check(folder: Path, *, live: bool = False, deep: bool = False) -> bool:
    """Compare a ledger with what is known of it; return whether it is as its last writer closed it.

    Args:
        folder: the batch folder.
        live: a run is using it, which has checked it already.
        deep: walk it, though it seems to be as it was closed.

    Raises:
        LedgerError: it is damaged, behind its log, newer than we are, no ledger, or may not be read.
    """
    path = folder / FILE
    last, mark = journal.tail(folder / journal.FILE)  # before the ledger: a run that is at work writes there first
    size, closed = _size(path), untouched(folder, mark)
    if not size and not _size(path.with_name(f"{FILE}-wal")):
        if last or remains(folder):
            what = "is gone" if size is None else "is empty"
            raise LedgerError(
                f"{path} {what}, but this batch has run before, and the record of what was paid for was in it. "
                f"{schema.REMEDY}"
            )
        return closed
    with closing(schema.connect(path, writable=False)) as db:
        try:
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                if last or remains(folder):
                    raise schema.damaged(path, "its tables are gone")
                return closed  # the first run of this batch was ended before it made them
            schema.check_version(db, path)
            newest = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]
            if newest < last:
                raise LedgerError(
                    f"{path} is older than its log: {last - newest} events are missing, as in a restored "
                    f"copy or after a lost WAL file; it was not changed. {schema.REMEDY}"
                )
            fault = "" if live or (closed and not deep) else fault_in(db)
        except (sqlite3.Error, ValueError) as error:
            raise schema.damaged(path, error) from error
    if fault:
        raise schema.damaged(path, fault)
    return closed


def untouched(folder: Path, mark: journal.Mark) -> bool:
    """Return whether the ledger is as its last writer closed it."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return False
    wal = _size(folder / f"{FILE}-wal")
    return not wal and (found.st_size, found.st_mtime_ns) == (mark.size, mark.mtime_ns)


def fault_in(db: sqlite3.Connection, small: int = SMALL) -> str:
    """Walk a ledger; empty when it is sound, else the first fault in words. Above `small` bytes, the quicker walk."""
    size = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
    walk = "integrity_check" if size <= small else "quick_check"
    found = str(db.execute(f"PRAGMA {walk}(1)").fetchone()[0])
    if found != "ok":
        return found.replace("\n", " ")
    if db.execute("PRAGMA user_version").fetchone()[0] == schema.SCHEMA:
        for statement in schema.STATEMENTS:  # a letter of a column's name, too, may have changed
            db.execute(f"EXPLAIN {statement}", ("[]",) * statement.count("?")).fetchone()
    columns = {table: {row[1] for row in db.execute(f"PRAGMA table_info({table})")} for table in _TYPES}
    typed = [_typed(table, columns[table]) for table in _TYPES]
    odd = any(db.execute(f"{query} LIMIT 1").fetchone() for query in (*typed, *_ODD))
    return "a value in it can't be" if odd else ""


def _typed(table: str, columns: set[str]) -> str:
    """Write the query for values of the wrong type; an older ledger lacks some columns."""
    wrong = [
        f"typeof({name}) NOT IN ({','.join(repr(kind) for kind in kinds.split())})"
        for kinds, names in _TYPES[table].items()
        for name in names.split()
        if name in columns
    ]
    return f"SELECT 1 FROM {table} WHERE {' OR '.join(wrong)}"  # noqa: S608 - our own names


def _size(path: Path) -> int | None:
    """Give a file's size; None where there is none.

    Raises:
        LedgerError: it is no file, or can't be read.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path}: can't be read ({error.strerror})") from error
    if not stat.S_ISREG(found.st_mode):
        raise LedgerError(f"{path}: is not a file (a folder?); move it away")
    return found.st_size


# --- what lies next to a ledger and knows of paid requests -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Traced:
    """A request that a source knows by its id, and what else it knows of it."""

    key: str
    request_id: str
    at: float
    url: str | None = None
    cost: int | None = None
    file: Downloaded | None = None
    wanted: Wanted | None = None  #: as its sidecar describes the clip; the manifest knows better

    def events(self) -> Iterator[Event]:
        """Give the events that it proves."""
        yield Submitted(self.request_id, self.at)
        if self.url or self.file:  # a sidecar has no link, and proves more
            yield Generated(self.url or "", self.at, self.cost)
            if self.file:
                yield self.file


def sidecars(folder: Path, but: Collection[str] = ()) -> Iterator[Traced]:
    """Give the requests that sidecars name, but for sidecars of these names (paths under `clips/`)."""
    clips = folder / "clips"
    for path in sorted([*clips.glob("*.json"), *(clips / REPLACED_FOLDER).glob("*.json")]):
        if path.relative_to(clips).as_posix() in but:
            continue
        for record in _objects(path, whole=True):
            key, request_id = record.get("key"), record.get("request_id")
            at, video = _epoch(record.get("submitted_at")), path.with_suffix(".mp4")
            if not isinstance(key, str) or not isinstance(request_id, str) or at is None:
                continue
            size, sha256 = record.get("bytes"), record.get("sha256")
            file = None
            if isinstance(size, int) and isinstance(sha256, str) and video.is_file() and video.stat().st_size == size:
                file = Downloaded(video.relative_to(clips).as_posix(), size, sha256)
            url = record.get("url") if isinstance(record.get("url"), str) else None
            yield Traced(key, request_id, at, url, to_micro(record.get("cost_usd")), file, _described(record))


def _described(record: dict[str, Any]) -> Wanted | None:
    """Read from a sidecar which clip it is about; the link of an uploaded sound is none of its parameters."""
    params, take, sound = record.get("params"), record.get("take"), record.get("audio_sha256")
    texts = [record.get(name) for name in ("id", "model", "name", "label")]
    if not isinstance(params, dict) or not isinstance(take, int) or None in texts:
        return None
    own = {name: value for name, value in params.items() if name != "audio" or not sound}
    texts.append(json.dumps(own, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    prompt_id, model, name, label, text = (str(each).encode("utf-8", "replace").decode() for each in texts)
    return Wanted(
        record["key"], prompt_id, take, model, text, name, label=label, audio_sha256=str(sound) if sound else None
    )


def events(folder: Path) -> list[Traced]:
    """Give the requests that the events file names; it is written a second late, and its links lost their queries."""
    found: dict[str, Traced] = {}
    for record in _objects(folder / "events.jsonl"):
        key, request_id = record.get("key"), record.get("request_id")
        at = _epoch(record.get("at") or record.get("t"))
        if not isinstance(key, str) or not isinstance(request_id, str) or at is None:
            continue
        known = found.get(request_id) or Traced(key, request_id, at)
        if record.get("event") == "Generated" and isinstance(record.get("url"), str):
            known = Traced(key, request_id, known.at, record["url"], to_micro(record.get("cost_usd")))
        found[request_id] = known
    return list(found.values())


def remains(folder: Path) -> bool:
    """Return whether a file next to a ledger, or in its place, has the requests of a batch that has run."""
    return (folder / journal.SPILL).exists() or any_request(folder)


def any_request(folder: Path) -> bool:
    """Return whether a file next to a ledger, or in its place, names a request."""
    return next(sidecars(folder), None) is not None or bool(events(folder))


def traces(folder: Path) -> bool:
    """Return whether a folder shows that something was paid for in it: a film, a part of one, or a request."""
    clips = folder / "clips"
    films = (path for place in (clips, clips / REPLACED_FOLDER) for path in place.glob("*.mp4*"))
    return next(films, None) is not None or any_request(folder)


def _objects(path: Path, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """Give the JSON objects of a file, one a line or one in all; what can't be read is left out."""
    with suppress(OSError):
        data = path.read_bytes() if path.is_file() else b""
        for text in [data] if whole else data.splitlines():
            with suppress(ValueError):
                record = json.loads(text)
                if isinstance(record, dict):
                    yield record


def _epoch(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


# --- this machine's memory ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What this machine last saw of a batch: where it was, how many events its ledger had, and when (epoch seconds)."""

    batch_id: str
    folder: Path
    events: int
    at: float
    run: str = _SOMEONE  #: who wrote it

    @staticmethod
    def of(folder: Path, batch_id: str | None) -> LastSeen | None:
        """Find a batch by its ledger's id; one without an id, or without a ledger, by its folder. None: never seen."""
        places = [_memory() / batch_id] if batch_id else sorted(_memory().glob("*"))
        found = [seen for path in places if (seen := _seen(path))]
        if not batch_id:
            found = [seen for seen in found if seen.folder == folder.resolve() and seen.events]
        return max(found, key=lambda seen: seen.at, default=None)

    def __str__(self) -> str:
        """Say when and how far it was seen."""
        return f"{self.events:,} events, last on {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.at))}"


class Memory:
    """Keeps the number of a batch's last event in the user's state folder, where no backup of the batch reaches.

    Its file is locked until `close`: a copy of the batch, in whatever folder, is no second batch to run at the same
    time. Plain writes without a sync: they outlive a killed process, and after a power cut the number is lower at
    worst. Where the state folder can't be written, nothing is kept.

    Raises:
        LockedError: another run has the batch, or a copy of it; the message says which.
    """

    def __init__(self, folder: Path, batch_id: str, events: int) -> None:
        self._path = _memory() / batch_id
        self._folder = folder
        self._lock = ExitStack()
        try:
            self._keep(events)
        except BlockingIOError:
            self.close()
            seen = _seen(self._path)
            who = f"{seen.run}, in {seen.folder}" if seen else _SOMEONE
            raise LockedError(f"another run holds this batch or a copy of it: {who}. Wait for it, or stop it") from None
        except OSError:
            pass

    def write(self, events: int) -> None:
        """Keep the number of the last event that is on disk."""
        with suppress(OSError):
            try:
                handle = os.open(self._path, os.O_WRONLY)
            except FileNotFoundError:  # the state folder was deleted, and the run goes on
                self._keep(events)
                return
            os.pwrite(handle, b"%0*d" % (_DIGITS, events), 0)
            os.close(handle)

    def close(self) -> None:
        """Let another run have the batch."""
        self._lock.close()

    def _keep(self, events: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = durable.open_private(self._path, os.O_RDWR)
        self._lock.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            log.debug("%s is on a drive without locks", self._path)
        rest = {"folder": str(self._folder.resolve()), "run": f"process {os.getpid()}"}
        os.ftruncate(handle, os.pwrite(handle, b"%0*d" % (_DIGITS, events) + json.dumps(rest).encode(), 0))


def new_id() -> str:
    """Make an id for a ledger."""
    return uuid.uuid4().hex


def _memory() -> Path:
    from platformdirs import user_state_path

    return user_state_path("batchgen") / "batches"


def _seen(path: Path) -> LastSeen | None:
    try:
        data = path.read_bytes()
        rest: Mapping[str, str] = json.loads(data[_DIGITS:])
        run = rest.get("run", _SOMEONE)
        return LastSeen(path.name, Path(rest["folder"]), int(data[:_DIGITS]), path.stat().st_mtime, run)
    except (OSError, ValueError, KeyError, TypeError):
        return None
