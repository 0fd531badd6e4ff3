"""The ledger's tables, and the way of a clip into a row and back. No policy here.

Times are epoch seconds (UTC), money is micro-dollars; `detail` is the event as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from batchgen.clip import FREE, REPLACED, REPLACED_FOLDER, Clip, Request, State, Wanted
from batchgen.errors import BatchgenError, LedgerError, LedgerWriteError
from batchgen.events import EVENTS, FILE_NAMES, Event
from batchgen.files import durable

#: Raised with every change of the tables; `MIGRATIONS` leads from each older one to the next.
SCHEMA = 4
#: An event as it is written: the clip after it, the event, its time, the clip's price class.
Write: TypeAlias = tuple[Clip, Event, float, str]
#: What a ledger that can't be used leaves to type.
REMEDY = "`batchgen doctor` examines it; `batchgen recover` with this manifest builds a new one"
#: From version n to n + 1: SQL, run in one transaction. Released ledgers are kept under tests.
MIGRATIONS: dict[int, str] = {
    1: "ALTER TABLE clip ADD COLUMN reroll_of TEXT; ALTER TABLE request ADD COLUMN estimate INTEGER;",
    2: "ALTER TABLE request ADD COLUMN looks INTEGER;",
    3: """
ALTER TABLE request ADD COLUMN other_links TEXT;
ALTER TABLE request ADD COLUMN clock_off REAL;
""",
}

TABLES = """
CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE clip(
  id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, wanted INTEGER NOT NULL DEFAULT 1,
  prompt_id TEXT NOT NULL, take INTEGER NOT NULL, model TEXT NOT NULL, params TEXT NOT NULL,
  name TEXT UNIQUE NOT NULL, ord INTEGER NOT NULL, priority INTEGER NOT NULL,
  audio_file TEXT, audio_sha256 TEXT, label TEXT NOT NULL, reroll_of TEXT,
  state TEXT NOT NULL DEFAULT 'pending' CHECK(state IN (STATES)),
  n INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0, refusals INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '', file TEXT, bytes INTEGER, sha256 TEXT, flags TEXT NOT NULL DEFAULT '');
CREATE INDEX clip_open ON clip(state, take, priority DESC, ord) WHERE state <> 'done';
CREATE INDEX clip_counts ON clip(state, wanted);
CREATE TABLE request(
  clip INTEGER NOT NULL REFERENCES clip(id), n INTEGER NOT NULL, grade TEXT NOT NULL,
  intent_at REAL NOT NULL, held INTEGER NOT NULL, request_id TEXT, submitted_at REAL, completed_at REAL,
  cost INTEGER, url TEXT, file_size INTEGER, queue_s REAL, run_s REAL, outcome TEXT NOT NULL, sent TEXT,
  estimate INTEGER, looks INTEGER, other_links TEXT, clock_off REAL,
  PRIMARY KEY(clip, n)) WITHOUT ROWID;
CREATE INDEX request_id ON request(request_id) WHERE request_id IS NOT NULL;
CREATE TABLE event(seq INTEGER PRIMARY KEY, clip INTEGER NOT NULL, at REAL NOT NULL, name TEXT NOT NULL,
  state TEXT NOT NULL, detail TEXT NOT NULL);
""".replace("STATES", ",".join(f"'{state}'" for state in State))

# ruff's S608 sees SQL put together from text; it is put together from our own column names only.
_FIELDS = {
    kind: tuple((field.name, FILE_NAMES.get(field.name, field.name)) for field in fields(kind)) for kind in EVENTS
}
_NOTHING = (None, "")
#: Reads a file's first page: what is no database, or a damaged one, says so.
_ANY = "SELECT count(*) FROM sqlite_master"
_REQUEST = [field.name for field in fields(Request)]
_COLUMNS = [FILE_NAMES.get(name, name) for name in _REQUEST]
_VALUES = attrgetter(*_REQUEST)
_WANTED = "key, prompt_id, take, model, params, name, ord, priority, audio_file, audio_sha256, label, reroll_of"
_CLIP = (
    f"SELECT c.id, {', '.join('c.' + name for name in _WANTED.split(', '))}, c.state, c.attempts, "
    "c.failures, c.refusals, c.reason, c.file, c.bytes, c.sha256, c.flags, c.wanted, "
    f"{', '.join('r.' + name for name in _COLUMNS)}"
)
SELECT_CLIP = f"{_CLIP} FROM clip c LEFT JOIN request r ON r.clip = c.id AND r.n = c.n "
#: Every request with its clip, and whether it is the clip's last.
SELECT_REQUESTS = f"{_CLIP}, r.n = c.n FROM clip c JOIN request r ON r.clip = c.id ORDER BY c.id, r.n"
_FREE = ",".join(f"'{outcome}'" for outcome in sorted(FREE))
SELECT_KNOWN = (
    "SELECT c.key, c.prompt_id, c.take, c.model, c.params, c.name, c.ord, c.priority, c.label, c.reroll_of, "  # noqa: S608
    "c.audio_sha256, c.state, c.n, c.failures, c.refusals, c.reason, r.at, "
    "coalesce(r.spent, 0), coalesce(r.held, 0), coalesce(r.uncharged, 0), c.flags, c.attempts FROM clip c LEFT JOIN ("
    "SELECT clip, max(coalesce(submitted_at, intent_at)) AS at, sum(cost) AS spent, sum(held) AS held, "
    f"sum(cost IS NULL AND held = 0 AND outcome NOT IN ({_FREE})) AS uncharged "
    "FROM request GROUP BY clip) r ON r.clip = c.id ORDER BY c.id"
)
#: The values of `INSERT_CLIP`.
WANTED_VALUES = attrgetter(
    *("key", "prompt_id", "take", "model", "params", "name", "order", "priority"),
    *("audio_file", "audio_sha256", "label", "reroll_of"),
)
INSERT_CLIP = f"INSERT INTO clip({_WANTED}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
#: Every clip as `sync` compares it with the manifest, and whether another take replaces it.
SELECT_WISHES = (
    "SELECT key, id, name, reroll_of, wanted, prompt_id, take, ord, priority, audio_file, label, "  # noqa: S608
    f"state IN ('failed','blocked') AND flags LIKE '%{REPLACED}%' FROM clip"
)
UPDATE_WISHES = "UPDATE clip SET wanted=?, prompt_id=?, take=?, ord=?, priority=?, audio_file=?, label=? WHERE id=?"
#: Names change in two steps: a name that one clip gives up is another one's in the same write.
UNNAME = "UPDATE clip SET name = '/' || id WHERE id=?"
RENAME = "UPDATE clip SET name=? WHERE id=?"
#: Finished clips whose file is not where their name says, and clips whose file a killed run may have named before they
#: were given another name. A replaced clip's file may have any name in its folder.
MISPLACED = (
    f"{SELECT_CLIP} WHERE c.state = 'downloading' OR (c.state = 'done' AND c.file <> c.name || '.mp4' "
    f"AND NOT (c.name LIKE '{REPLACED_FOLDER}/%' AND c.file LIKE '{REPLACED_FOLDER}/%')) ORDER BY c.id"
)
#: What another take has replaced is not wanted, whatever the manifest says.
UNWANT_REPLACED = (
    f"UPDATE clip SET wanted=0 WHERE wanted=1 AND state IN ('failed','blocked') AND flags LIKE '%{REPLACED}%' "  # noqa: S608
    "RETURNING state"
)
#: What was replaced by takes of a root of which none is left is wanted again.
WANT_REPLACED = (
    "UPDATE clip SET wanted=1, flags=trim(replace(flags, :replaced, '')) WHERE state IN ('failed','blocked') "
    "AND flags LIKE '%' || :replaced || '%' AND (key = :root OR reroll_of = :root) "
    "AND NOT EXISTS (SELECT 1 FROM clip c WHERE c.reroll_of = :root AND c.wanted = 1)"
)
MARK_REPLACED = f"UPDATE clip SET flags = trim(flags || ' {REPLACED}') WHERE key=? AND state IN ('failed','blocked')"  # noqa: S608
# A whole group of writes goes in as three statements over JSON, however many there are: each statement that is
# run lets go of the interpreter and waits for it again, which costs more than the work.
_CHANGED = ("state", "n", "attempts", "failures", "refusals", "reason", "file", "bytes", "sha256", "flags")
_TIMES = frozenset({"intent_at", "submitted_at", "completed_at", "queue_s", "run_s", "clock_off"})
_TIMED = [name in _TIMES for name in _REQUEST]


def _at(index: int, name: str = "") -> str:
    """Read one value of a JSON row; seconds come as whole microseconds, since SQLite reads decimals less exactly."""
    value = f"json_extract(value, '$[{index}]')"
    return f"{value} / 1e6" if name in _TIMES else value


UPDATE_CLIPS = (
    f"UPDATE clip SET {', '.join(f'{name} = j.v{i}' for i, name in enumerate(_CHANGED))} FROM (SELECT "  # noqa: S608
    f"{', '.join(f'{_at(i)} AS v{i}' for i in range(len(_CHANGED)))}, {_at(len(_CHANGED))} AS id "
    "FROM json_each(?)) AS j WHERE clip.id = j.id"
)
INSERT_REQUESTS = (
    f"INSERT OR REPLACE INTO request(clip, grade, {', '.join(_COLUMNS)}) "  # noqa: S608
    f"SELECT {_at(0)}, {_at(1)}, {', '.join(_at(i, name) for i, name in enumerate(_REQUEST, 2))} FROM json_each(?)"
)
INSERT_EVENTS = (
    f"INSERT INTO event(clip, at, name, state, detail) "  # noqa: S608
    f"SELECT {_at(0)}, {_at(1, 'intent_at')}, {_at(2)}, {_at(3)}, {_at(4)} FROM json_each(?)"
)
#: All that a run says to the tables.
STATEMENTS = (SELECT_CLIP, INSERT_CLIP, UPDATE_CLIPS, INSERT_REQUESTS, INSERT_EVENTS, "SELECT k, v FROM meta")

#: One walk over the requests, a row for each quarter of an hour, outcome and price class: where a day begins falls
#: on a quarter in every zone, and a sum for each day, or for what is live, would take twice as long as this.
SUMS = (
    "SELECT grade, CAST(intent_at / 900 AS INTEGER) AS quarter, outcome, sum(held), coalesce(sum(cost), 0), max(cost), "
    "count(*), sum(cost IS NULL), sum(cost IS NULL AND held = 0) FROM request GROUP BY quarter, outcome, grade"
)
QUARTER_S = 900
#: The same in total, and from a time on, for `status`: with nothing to sort, in half of that time.
TOTAL = (
    "SELECT spent, reserved, made - free, unknown - free_unknown, at_that_time FROM (SELECT "  # noqa: S608
    "coalesce(sum(cost), 0) AS spent, coalesce(sum(held), 0) AS reserved, count(*) AS made, "
    "coalesce(sum(cost IS NULL AND held = 0), 0) AS unknown, "
    "coalesce(sum(coalesce(cost, 0) + held) FILTER (WHERE intent_at >= ?), 0) AS at_that_time "
    "FROM request), (SELECT count(*) AS free, coalesce(sum(cost IS NULL AND held = 0), 0) AS free_unknown "
    f"FROM request WHERE outcome IN ({_FREE}))"
)


def connect(path: Path, *, writable: bool, journal: str = "WAL") -> sqlite3.Connection:
    """Open a ledger file; every commit of a writable one survives a power cut.

    Args:
        path: of the file.
        writable: False opens it for questions only.
        journal: WAL, or DELETE where processes can't share memory (see `filesystem`).

    Raises:
        LedgerError: it is damaged, no ledger, or may not be read; nothing is changed.
        LedgerWriteError: it may not be written.
    """
    try:
        return _to_write(path, journal) if writable else _to_read(path)
    except (sqlite3.Error, ValueError) as error:  # a damaged schema's own text is no UTF-8
        if _kind(error).startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")):
            raise unwritable(path, error) from error
        raise damaged(path, error) from error


@contextmanager
def closed_on_error(db: sqlite3.Connection) -> Iterator[None]:
    """Close a connection when what prepares it fails: no caller has it yet, so no caller can."""
    try:
        yield
    except BaseException:
        db.close()
        raise


def _to_write(path: Path, journal: str) -> sqlite3.Connection:
    with suppress(FileExistsError):  # SQLite would let all read it; its other files get the rights of this one
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for ending in ("", "-wal", "-shm", "-journal"):
        durable.tighten(path.with_name(path.name + ending))
    # Commits run in one worker thread at a time, so the check by thread would only be in the way.
    db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    with closed_on_error(db):
        db.execute(f"PRAGMA journal_mode={journal}")
        # NORMAL loses acknowledged work in a power cut; so does FULL, where a commit is a file that is deleted.
        db.execute("PRAGMA synchronous=FULL" if journal == "WAL" else "PRAGMA synchronous=EXTRA")
        db.execute("PRAGMA fullfsync=1")  # matters on macOS only
        db.execute("PRAGMA journal_size_limit=16777216")
        db.execute(_ANY).fetchone()
    return db


def _to_read(path: Path) -> sqlite3.Connection:
    """Open for questions. What a killed commit left half done is taken back first, which needs leave to write.

    In a folder that is read-only, a ledger without commits next to it is read as it is; others as a copy in memory.
    """
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=5)
    with closed_on_error(db):
        try:
            db.execute(_ANY).fetchone()
        except sqlite3.OperationalError as error:
            if _kind(error) in _READ_ONLY_FOLDER:
                db.close()
                return _unchanged(path, quoted)
            if _kind(error) != "SQLITE_READONLY_ROLLBACK":
                raise
            with closing(sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, timeout=5)) as other:
                other.execute(_ANY).fetchone()
            db.execute(_ANY).fetchone()
    return db


#: What SQLite says of a ledger in WAL mode whose folder lets nobody write: it needs a file next to it to read one.
_READ_ONLY_FOLDER: Final = frozenset({"SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT", "SQLITE_CANTOPEN"})


def _unchanged(path: Path, quoted: str) -> sqlite3.Connection:
    """Open a ledger that nobody can change for questions."""
    later = path.with_name(f"{path.name}-wal")
    if not later.exists() or not later.stat().st_size:
        return sqlite3.connect(f"file:{quoted}?mode=ro&immutable=1", uri=True)
    memory = sqlite3.connect(":memory:")
    with closed_on_error(memory), TemporaryDirectory() as folder:
        for each in (path, later):
            shutil.copyfile(each, Path(folder, each.name))
        with closing(sqlite3.connect(Path(folder, path.name))) as copy:
            copy.backup(memory)
    return memory


def _kind(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def unwritable(path: Path, error: Exception) -> BatchgenError:
    """Make the error for a ledger that can't be written: damaged, no room, or no permission."""
    if _kind(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, error)
    return LedgerWriteError(f"{path}: can't be written ({error}); free some disk space and run again")


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into errors that say what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise unwritable(path, error) from error
    except OSError as error:
        raise LedgerWriteError(f"{path}: can't be written ({error.strerror})") from error


def damaged(path: Path, fault: object) -> LedgerError:
    """Make the error for a ledger that can't be used; nothing of it is changed."""
    why = " ".join(str(fault).split())  # SQLite's may hold a statement of several lines
    return LedgerError(f"{path}: can't be read as a ledger ({why}); it was not changed. {REMEDY}")


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Create the tables of a new ledger, or bring an older one up to date."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not db.execute(_ANY).fetchone()[0]:
        db.executescript(f"BEGIN;{TABLES}PRAGMA user_version={SCHEMA};COMMIT;")
        return
    check_version(db, path)
    for step in range(version, SCHEMA):
        db.executescript(f"BEGIN;{MIGRATIONS[step]}PRAGMA user_version={step + 1};COMMIT;")


def current(db: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Give a ledger for reading as this release knows it; an older one as a copy in memory, brought up to date.

    Takes the connection over: it is returned, or closed.
    """
    with closed_on_error(db):
        check_version(db, path)
        if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
            return db
        copy = sqlite3.connect(":memory:")
        with closed_on_error(copy):
            db.backup(copy)
            prepare(copy, path)
    db.close()
    return copy


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no ledger, or one that a newer release has written."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if not db.execute("SELECT count(*) FROM sqlite_master WHERE name='clip'").fetchone()[0]:
        raise LedgerError(f"{path}: is a database, but not a ledger of batchgen; choose another --dir")
    if version > SCHEMA:
        message = f"{path}: was written by a newer batchgen (schema {version}, known {SCHEMA}); update batchgen"
        raise LedgerError(message)


def clip_of(row: tuple[object, ...]) -> Clip:
    """Make a clip of a row that `SELECT_CLIP` gave."""
    wanted = Wanted(*row[1:13])  # type: ignore[arg-type]
    request = Request(*row[23:]) if row[23] is not None else None  # type: ignore[arg-type]
    state, attempts, failures, refusals, reason, file, size, sha256, flags, is_wanted = row[13:23]
    return Clip(
        row=row[0],  # type: ignore[arg-type]
        wanted=wanted,
        state=state_of(state),
        request=request,
        attempts=attempts,  # type: ignore[arg-type]
        failures=failures,  # type: ignore[arg-type]
        refusals=refusals,  # type: ignore[arg-type]
        reason=reason,  # type: ignore[arg-type]
        file=file,  # type: ignore[arg-type]
        bytes=size,  # type: ignore[arg-type]
        sha256=sha256,  # type: ignore[arg-type]
        flags=flags,  # type: ignore[arg-type]
        unwanted=not is_wanted,
    )


def state_of(text: object) -> State:
    """Read a state. Raises LedgerError for what is none."""
    try:
        return State(str(text))
    except ValueError as error:
        raise LedgerError(f"the ledger is damaged: it has a clip in the state {text!r}. {REMEDY}") from error


def storable(value: object) -> object:
    """Give a value of the service as it is stored: half an emoji is a question mark, too large a number is none."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return None if isinstance(value, int) and abs(value) >= 2**63 else value


def _micro(seconds: float | None) -> int | None:
    return round(seconds * 1e6) if seconds is not None and abs(seconds) < 2**43 else None


def write(db: sqlite3.Connection, writes: Iterable[Write]) -> int:
    """Write events and what the clips are after them.

    The caller owns the transaction. Returns the number of the last event; those before it count down from there.
    """
    clips: dict[int, list[object]] = {}
    requests: dict[tuple[int, int], list[object]] = {}
    events: list[list[object]] = []
    for clip, event, at, price_class in writes:
        n = clip.request.n if clip.request else 0
        counters = (n, clip.attempts, clip.failures, clip.refusals)
        file = (clip.file, clip.bytes, clip.sha256, clip.flags, clip.row)
        clips[clip.row] = [clip.state, *counters, storable(clip.reason), *file]
        if clip.request is not None:
            values = zip(_TIMED, _VALUES(clip.request), strict=True)  # for every event: the quickest way counts
            stored = (None if v is None else _micro(v) if timed else storable(v) for timed, v in values)
            requests[clip.row, n] = [clip.row, price_class, *stored]
        events.append([clip.row, _micro(at), type(event).__name__, clip.state, json.dumps(detail(event))])
    db.execute(UPDATE_CLIPS, (json.dumps(list(clips.values())),))
    db.execute(INSERT_REQUESTS, (json.dumps(list(requests.values())),))
    return db.execute(INSERT_EVENTS, (json.dumps(events),)).lastrowid or 0


def detail(event: Event) -> dict[str, object]:
    """Give what an event says, without what it leaves out."""
    said = ((written, getattr(event, name)) for name, written in _FIELDS[type(event)])
    return {name: value for name, value in said if value not in _NOTHING}


def described(wanted: Wanted) -> dict[str, object]:
    """Give a wanted clip by the names of its fields, without what is not set or only the manifest knows."""
    values = ((field.name, getattr(wanted, field.name)) for field in fields(Wanted) if field.compare)
    return {name: value for name, value in values if value not in _NOTHING}
