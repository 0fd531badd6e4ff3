"""What is written next to the ledger: the log, from which `batchgen recover` builds a new one, and the spill file.

The log is an append-only copy of the events. One JSON array a line, its first value the CRC-32 of the rest, so that a
torn or damaged line is known:

    ["crc","e",seq,key,at,"Submitted",{…}]   an event, under the number that it has in the ledger
    ["crc","c",{…}]                          a clip as it was wanted, before its first event of a run
    ["crc","f",name,value]                   a fact: whose batch it is
    ["crc","m",seq,size,mtime_ns]            a mark: all up to `seq` was synced; size and time of the closed ledger

The ledger is the truth: a line is written after its commit, in the same thread, and synced only now and then, so
the log costs no sync a commit. What it lacks is caught up when the batch is next opened. A log that is *ahead* of
the ledger proves that the ledger is not the last one (a copy brought back, a lost or damaged WAL).
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from batchgen import failpoints
from batchgen.clip import Clip
from batchgen.events import Event
from batchgen.files import durable
from batchgen.ledger import schema, wishes

log = logging.getLogger("batchgen.ledger")

FILE = "ledger.log"
SPILL = "ledger.spill"
SPILL_SIZE = 64 * 1024
#: A power cut may cost this much of the log, which the ledger still has.
SYNC_S = 5.0
SYNC_BYTES = 256 * 1024
#: So much of the end is read to find the last mark; more than is ever written between two (bytes).
TAIL = 4 * SYNC_BYTES
#: Facts that a rebuilt ledger needs; the others are made again by the next run.
FACTS = ("manifest", "origin", "account", "name", "cap", wishes.SKIPPED)
_CHUNK = 1000
_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Mark:
    """What the last mark of a log says; `size` and `mtime_ns` are 0 where the ledger was not closed there."""

    seq: int = 0
    size: int = 0
    mtime_ns: int = 0


def line(*values: object) -> bytes:
    """Write one line of the log."""
    body = _JSON.encode(values)[1:].encode() + b"\n"
    return b'["%08x",%b' % (zlib.crc32(body), body)


def parsed(text: bytes) -> list[Any] | None:
    """Read one line without its end; None for one that is torn or damaged."""
    body = text[12:] + b"\n"
    try:
        if text[:2] != b'["' or int(text[2:10], 16) != zlib.crc32(body):
            return None
        values = json.loads(b"[" + body)
    except ValueError:
        return None
    return values if isinstance(values, list) and len(values) > 1 else None


def lines(path: Path) -> Iterator[list[Any] | None]:
    """Give every line of a log, None for each that can't be read. Raises OSError."""
    with path.open("rb") as file:
        for text in file:
            if text.strip():
                yield parsed(text.rstrip(b"\n"))


def tail(path: Path) -> tuple[int, Mark]:
    """Give the last number that the log names, and its last mark; nothing where there is no log to read."""
    last, mark = 0, Mark()
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            ending = file.read(TAIL)
    except OSError:
        return last, mark
    for text in reversed(ending.split(b"\n")):
        values = parsed(text) or ["", ""]
        if values[0] == "e":
            last = max(last, int(values[1]))
        elif values[0] == "m":
            mark = Mark(*values[1:4])
            return max(last, mark.seq), mark
    return last, mark


class Journal:
    """The log of a ledger that this process writes.

    It never raises into the run: it warns once, and is caught up by the next one.

    Args:
        path: of the file; made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last, self.mark = tail(path)
        self._fd: int | None = None
        self._described: set[int] = set()
        self._unsynced = 0
        self._seq = self.last
        self._synced_at = time.monotonic()
        try:
            self._fd = durable.open_private(path, os.O_RDWR | os.O_APPEND)
            size = os.fstat(self._fd).st_size
            if size and os.pread(self._fd, 1, size - 1) != b"\n":
                os.write(self._fd, b"\n")  # a torn last line stays as it is, the next one starts below it
        except OSError as error:
            self._give_up(error)

    def catch_up(self, db: sqlite3.Connection) -> None:
        """Write what the ledger has and the log may lack; all of it into a new log."""
        newest = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]
        if self._fd is None:
            return
        since = self.mark.seq
        # Clips that something happened to since, and those that only the ledger wants.
        which = "WHERE c.id IN (SELECT clip FROM event WHERE seq > ?) OR c.reroll_of IS NOT NULL"
        clips = db.execute(schema.SELECT_CLIP + which, (since,))
        rows = db.execute(
            "SELECT e.seq, c.key, e.at, e.name, e.detail FROM event e JOIN clip c ON c.id = e.clip "
            "WHERE e.seq > ? ORDER BY e.seq",
            (since,),
        )
        facts = db.execute(f"SELECT k, v FROM meta WHERE k IN ({','.join('?' * len(FACTS))})", FACTS)  # noqa: S608
        self.append(("f", *fact) for fact in facts)
        self.append(("c", schema.described(schema.clip_of(row).wanted)) for row in clips)
        self.append(("e", seq, key, at, name, json.loads(detail)) for seq, key, at, name, detail in rows)
        self._seq = newest
        self._sync()

    def write(self, writes: Sequence[tuple[Clip, Event, float, str]], last: int) -> None:
        """Write events that were just committed; the last of them has the number `last`."""
        if self._fd is None:
            return
        records: list[tuple[object, ...]] = []
        for seq, (clip, event, at, _) in enumerate(writes, last - len(writes) + 1):
            if clip.row not in self._described and type(event).__name__ == "SubmitStarted":
                self._described.add(clip.row)
                records.append(("c", schema.described(clip.wanted)))
            records.append(("e", seq, clip.key, at, type(event).__name__, schema.detail(event)))
        self.append(records)
        self._seq = last
        if self._unsynced >= SYNC_BYTES or time.monotonic() - self._synced_at >= SYNC_S:
            self._sync()

    def append(self, records: Iterable[tuple[object, ...]]) -> None:
        """Write lines by their values: events, clips, facts; they are synced later."""
        records = iter(records)
        while self._fd is not None and (text := b"".join(line(*values) for values in islice(records, _CHUNK))):
            try:
                while text:  # a disk that fills takes a part first, and says why at the next call
                    done = os.write(self._fd, text)
                    self._unsynced += done
                    text = text[done:]
            except OSError as error:
                self._give_up(error)

    def close(self, ledger: Path | None) -> None:
        """Sync it, mark it with the closed ledger's size and time (None: it is not this run's any more), and let go."""
        if self._fd is None:
            return
        try:
            stat = ledger.stat() if ledger else None
            self._sync(stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0)
        except OSError as error:
            self._give_up(error)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _sync(self, size: int = 0, mtime_ns: int = 0) -> None:
        if self._fd is None:
            return
        if not self._unsynced and (self._seq, size, mtime_ns) == (self.mark.seq, self.mark.size, self.mark.mtime_ns):
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._give_up(error)
            return
        self.mark = Mark(self._seq, size, mtime_ns)
        self.append([("m", self._seq, size, mtime_ns)])
        self._unsynced, self._synced_at = 0, time.monotonic()

    def _give_up(self, error: OSError) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        log.warning("%s can't be written (%s); the run goes on without this copy", self.path, error.strerror)


class Spill:
    """The last resort for a request id: a file that was given its blocks on disk before the run began.

    When the ledger can't be written (a full disk), the id of a request that was just paid for must still survive. A
    few kilobytes are allocated and synced beforehand, so that writing into them needs no new block.
    """

    def __init__(self, path: Path) -> None:
        """Open it, giving it its blocks if it has none yet; raises OSError when even that fails."""
        self.path = path
        self._file = durable.open_private(path, os.O_RDWR)
        if os.fstat(self._file).st_size < SPILL_SIZE:
            os.pwrite(self._file, b"\0" * SPILL_SIZE, 0)
            os.fsync(self._file)
        durable.sync(path.parent)
        kept = self._text()
        if kept and not kept.endswith(b"\n"):  # a power cut tore the last line: the next one starts below it
            os.pwrite(self._file, b"\n", len(kept))
        self._end = len(self._text())

    def add(self, key: str, request_id: str, at: float) -> None:
        """Keep one id, on disk when this returns. Raises OSError: also when the file has no name any more."""
        if not os.fstat(self._file).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was deleted", self.path)
        entry = json.dumps({"key": key, "request_id": request_id, "at": at}).encode() + b"\n"
        failpoints.reach("spill.before")  # its blocks are there: no full disk keeps it from them
        os.pwrite(self._file, entry, self._end)
        os.fsync(self._file)
        self._end += len(entry)
        failpoints.reach("spill.after")

    def entries(self) -> list[tuple[str, str, float]]:
        """All kept ids as (key, request id, time); a torn last line is left out."""
        found = []
        for text in self._text().splitlines():
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(text)
                found.append((str(entry["key"]), str(entry["request_id"]), float(entry["at"])))
        return found

    def clear(self) -> None:
        """Forget all, once the ledger has them."""
        if self._end:
            failpoints.reach("spill.clear")
            os.pwrite(self._file, b"\0" * SPILL_SIZE, 0)
            os.fsync(self._file)
            self._end = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _text(self) -> bytes:
        return os.pread(self._file, 1 << 20, 0).rstrip(b"\0")
