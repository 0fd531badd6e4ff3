"""Is this file the ledger as it was left, and does it agree with its journal? Nothing here changes a byte of it.

How much is checked depends on what is known. A ledger whose size and time are those that its journal's closing mark
has is taken as it is. One that was not closed (kill -9, power cut), was touched since, or has no log, is walked by
SQLite's `integrity_check`, a large one (three seconds for 100,000 clips) by its `quick_check` (one second) and an
extra check of the keys; and its values are checked. It is always compared with its journal, which costs one read
of the journal's end: a copy brought back, a WAL that is damaged or gone, and an emptied
file are all sound to SQLite, and would have paid clips paid for again.
"""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.errors import LedgerError
from batchgen.ledger import journal, schema

FILE = "ledger.db"
SPILL = "ledger.spill"
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
        return any((folder / name).exists() for name in (FILE, journal.FILE, SPILL))
    except OSError as error:
        raise LedgerError(f"{folder}: can't be opened ({error.strerror})") from error


def check(folder: Path, *, live: bool = False, deep: bool = False) -> journal.Mark:
    """Compare a ledger with what is known of it; return the last mark of its journal.

    Args:
        folder: the batch folder.
        live: a run is using it, which has checked it already.
        deep: walk it, though it seems to be as it was closed.

    Raises:
        LedgerError: it is damaged, behind its log, newer than we are, no ledger, or may not be read.
    """
    path = folder / FILE
    last, mark = journal.tail(folder / journal.FILE)  # before the ledger: a run that is at work writes there first
    size = _size(path)
    if not size and not _size(path.with_name(f"{FILE}-wal")):
        if last or _size(folder / SPILL) is not None:
            what = "is gone" if size is None else "is empty"
            raise LedgerError(
                f"{path} {what}, but this batch has run before, and the record of what was paid for was in it. "
                f"{schema.REMEDY}"
            )
        return mark
    with closing(schema.connect(path, writable=False)) as db:
        try:
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                if last or _size(folder / SPILL) is not None:
                    raise schema.damaged(path, "its tables are gone")
                return mark  # the first run of this batch was ended before it made them
            schema.check_version(db, path)
            newest = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]
            if newest < last:
                raise LedgerError(
                    f"{path} is older than its log: {last - newest} events are missing, as in a restored "
                    f"copy or after a lost WAL file; it was not changed. {schema.REMEDY}"
                )
            fault = "" if live or (untouched(folder, mark) and not deep) else fault_in(db)
        except (sqlite3.Error, ValueError) as error:
            raise schema.damaged(path, error) from error
    if fault:
        raise schema.damaged(path, fault)
    return mark


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


# --- do the files agree? ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far ledger, journal and spill file of a batch agree."""

    events: int  #: of the ledger
    missing: int  #: of these, not in the journal; the next run adds them
    other: int  #: otherwise in the journal
    damaged: int  #: lines of the journal that can't be read
    spilled: int  #: request ids that only the spill file has; the next run takes them up


def compare(folder: Path) -> Agreement:
    """Compare ledger, journal and spill file; for `doctor`. The ledger has to be sound.

    SQLite keeps no checksums: a letter of an id that has changed is sound to it. The lines of the journal have them.

    Raises:
        LedgerError, OSError: one of them can't be read.
    """
    damaged, other = 0, 0
    seen: set[int] = set()
    with closing(schema.connect(folder / FILE, writable=False)) as db:
        params = dict(db.execute("SELECT key, params FROM clip WHERE n > 0"))
        stored = "SELECT c.key, e.name, e.detail FROM event e JOIN clip c ON c.id = e.clip WHERE e.seq = ?"
        for values in journal.lines(folder / journal.FILE) if (folder / journal.FILE).is_file() else ():
            match values:
                case None:
                    damaged += 1
                case ["e", int(seq), key, _, name, detail]:
                    row = db.execute(stored, (seq,)).fetchone()
                    other += seq not in seen and (row is None or row[:2] != (key, name) or _differs(row[2], detail))
                    seen.add(seq)
                case ["c", {"key": key, "params": sent}]:
                    other += params.get(key, sent) != sent
                case _:
                    pass
        events = db.execute("SELECT count(*) FROM event").fetchone()[0]
        known = {found for (found,) in db.execute("SELECT request_id FROM request")}
    return Agreement(events, events - len(seen), other, damaged, len(_spilled(folder / SPILL) - known))


def _differs(text: str, detail: object) -> bool:
    try:
        return bool(json.loads(text) != detail)
    except ValueError:
        return True


def _spilled(path: Path) -> set[str]:
    found = set()
    with suppress(OSError):
        for text in path.read_bytes().rstrip(b"\0").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                found.add(str(json.loads(text)["request_id"]))
    return found
