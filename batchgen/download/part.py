"""The `.part` of a download: what is on disk of it, how it is resumed, and how it gets its final name.

A file has its final name only when it is whole: length, structure, fsync, rename, fsync of the folder, in this
order. Next to a `.part` that can be resumed lies a small `.part.json`, the note: which address it came from (as
a hash), which validator the server gave, and how long it will be.

What touches the disk blocks, and is called from a worker thread.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen import failpoints
from batchgen.errors import DiskFullError, NameTaken, PathTrouble
from batchgen.files import mp4
from batchgen.files.durable import Folders, own
from batchgen.files.mp4 import BAD, BrokenVideo, Expect, Fetched

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Finish = Callable[[Path, Fetched], None]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: The folder or the disk as a whole: no other clip would fare better, so the run stops.
_UNUSABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE})
#: With so much free, a file for which that does not suffice is its own trouble, not the disk's (bytes).
ROOM_FOR_OTHERS = 2**30
#: After so much the disk is set to work, so that the sync at the end of a long file finds little to do (bytes).
AHEAD = 16 * 2**20
#: Clocks are corrected by less; a restart of the machine takes longer.
_SAME_BOOT_S = 5.0
_NOTE = ".part.json"


@dataclass(frozen=True, slots=True)
class Note:
    """What must be known to go on with a `.part` in another process."""

    source: str
    validator: str
    total: int | None
    boot: float


class PartWriter(io.BufferedWriter):
    """An open `.part`, which sets the disk to work before the file ends.

    Closing waits for a write that another thread is in (the buffer's own lock), so that a cancelled download
    never has its file closed under a writing thread.
    """

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(io.FileIO(path, mode, opener=own))
        self._begun = self.tell()

    def write(self, block: ReadableBuffer, /) -> int:
        """Write all of `block`; the disk is set to work on what it was given so far, now and then."""
        written = super().write(block)
        if self.tell() - self._begun >= AHEAD:
            self._begin_sync()
        return written

    def _begin_sync(self) -> None:
        """Have the system write to the disk what it holds in memory, without waiting for it."""
        since, self._begun = self._begun, self.tell()
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # it is advice: the sync reports what can't be written
                os.posix_fadvise(self.fileno(), since, self._begun - since, os.POSIX_FADV_DONTNEED)


class Part:
    """The `.part` of one target: `size` bytes of it are on disk, hashed, and known to be of `source`.

    Attributes:
        name: where it comes from, for messages: no query, which may hold a signature.
        noted: there is a note on disk.
        size: bytes from the start that are good.
        validator: ETag or Last-Modified to resume with; None: it can't be resumed.
        total: the length of the whole file, if the server sent it.
        writer: the `.part`, while it is open.
    """

    def __init__(self, target: Path, source: str, folders: Folders) -> None:
        self.target = target
        self._folders = folders
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + _NOTE)
        self.bad = target.with_name(target.name + BAD)
        with disk(self.path):
            self._notes = folders.names(target.parent, _NOTE)
            self._bad_ones = folders.names(target.parent, BAD)
        self.noted = self.note.name in self._notes
        self.name = source.partition("://")[2] or "the answer"
        self._source = hashlib.sha256(source.encode()).hexdigest()
        self.writer: PartWriter | None = None
        self.begin(None, None)

    def begin(self, validator: str | None, total: int | None) -> None:
        """Start over, in memory: the disk follows with the first block."""
        self.close()
        self.size = 0
        self.validator = validator
        self.total = total
        self._digest = hashlib.sha256()

    def adopt(self) -> None:
        """Go on with what an earlier process left, if it surely belongs to the same file; hashes it."""
        note = self._read_note()
        if note is None or self.path.is_symlink():
            return
        with disk(self.path), suppress(FileNotFoundError), open(self.path, "rb", opener=own) as file:
            self._digest = hashlib.file_digest(file, "sha256")
            self.size, self.validator, self.total = file.tell(), note.validator, note.total

    def open(self, *, note: bool = True) -> PartWriter:
        """Open the `.part` behind its good bytes; its note first, so that it never lies next to a stale one."""
        if self.writer is None:
            with disk(self.path):
                if not self.size:
                    self._write_note(note)
                self.writer = PartWriter(self.path, "ab" if self.size else "wb")
        return self.writer

    def hash(self, block: Iterable[bytes]) -> None:
        """Take in the next bytes of the file: those that are being written, in a thread of its own."""
        for piece in block:
            self._digest.update(piece)

    def commit(self, tail: bytes, expect: Expect, finish: Finish | None, *, short: bool = True) -> Fetched:
        """Write the last bytes, check the whole, and give it its final name.

        Args:
            tail: the bytes that are not on disk yet.
            expect: what was asked for; what differs becomes a flag.
            finish: called with the target and the facts after all checks, before the rename.
            short: a file with fewer bytes than expected may pass, flagged.

        Raises:
            BrokenVideo: no whole MP4; the `.part` is left, to be set aside.
            NameTaken: another file has the final name already.
            DiskFullError: the disk does not take it; the `.part` stays.
        """
        with disk(self.path):
            fetched = self._checked(tail, expect)
            if not short and fetched.bytes < (expect.bytes or 0):
                raise BrokenVideo(f"cut short: the service stated {expect.bytes:,} bytes, {fetched.bytes:,} came")
            kept = self._is_there(fetched)
            if finish is not None:
                failpoints.reach("sidecar.before")
                finish(self.target, fetched)
            self._drop_note()  # before the rename: nobody needs it afterwards
            failpoints.reach("rename.before")
            if kept:
                self.path.unlink()
            else:
                self.path.replace(self.target)
            failpoints.reach("rename.after")
            failpoints.reach("folder.before")
            self._folders.sync(self.target.parent)
            failpoints.reach("folder.after")
            if self.bad.name in self._bad_ones and mp4.worth(self.bad) <= mp4.worth(self.target):
                self.bad.unlink(missing_ok=True)
                self._bad_ones.discard(self.bad.name)
            return fetched

    def set_aside(self) -> None:
        """Keep what failed the check, unless something better is kept already: it may be the only copy there is."""
        self.begin(None, None)
        with disk(self.path):
            self._drop_note()
            worth = mp4.worth(self.path)
            if worth > mp4.NO_FILM and worth > mp4.worth(self.bad):
                self.path.replace(self.bad)
                self._bad_ones.add(self.bad.name)
            else:
                self.path.unlink(missing_ok=True)

    def room(self, total: int) -> None:
        """See that the disk has room for the rest of a file of `total` bytes, before it is filled.

        Raises:
            DiskFullError: it has not, and is short of room for any clip: stop the run.
            PathTrouble: it has not, for a file that is out of all proportion.
        """
        need = total - self.size
        with disk(self.path):
            free = shutil.disk_usage(self.path.parent).free
        if need <= free:
            return
        words = f"the file has {total / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free in {self.path.parent}"
        if free >= ROOM_FOR_OTHERS:
            raise PathTrouble(words)
        raise DiskFullError(f"{words}. Nothing is lost: what was paid for is fetched by the next run. Make room first")

    def close(self) -> None:
        """Let go of the open file; what is unwritten is lost, and will be downloaded again."""
        writer, self.writer = self.writer, None
        if writer is not None:
            with suppress(OSError):
                writer.close()

    def _checked(self, tail: bytes, expect: Expect) -> Fetched:
        structure = self._small(tail) if self.writer is None and not self.size else self._large(tail)
        return Fetched(
            bytes=structure.bytes,
            sha256=self._digest.hexdigest(),
            flags=mp4.flags(structure, expect, length_known=self.total is not None),
            seconds=structure.seconds,
            size=structure.size,
        )

    def _small(self, whole: bytes) -> mp4.Structure:
        """Write, check and sync what came in one piece, with as few calls as can be."""
        self._digest.update(whole)
        self._drop_note()
        handle = own(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0))
        try:
            left = memoryview(whole)
            while left:
                left = left[os.write(handle, left) :]
            structure = mp4.walk(whole)
            failpoints.reach("file.before")
            os.fsync(handle)
            failpoints.reach("file.after")
        finally:
            os.close(handle)
        return structure

    def _large(self, tail: bytes) -> mp4.Structure:
        writer = self.open(note=False)
        self._digest.update(tail)
        writer.write(tail)
        writer.flush()
        structure = mp4.walk(self.path)
        failpoints.reach("file.before")
        os.fsync(writer.fileno())
        failpoints.reach("file.after")
        writer.close()
        return structure

    def _is_there(self, fetched: Fetched) -> bool:
        """Return whether this very file has the final name already; another one is never overwritten."""
        if not self.target.exists():
            return False
        if not mp4.inspect(self.target, fetched.bytes, fetched.sha256):
            return True
        raise NameTaken(f"another file is there already: {self.target}")

    def _write_note(self, wanted: bool) -> None:
        if not wanted or self.validator is None:
            self._drop_note()
            return
        self._notes.add(self.note.name)
        self.noted = True
        note = Note(self._source, self.validator, self.total, _boot_time())
        failpoints.reach("note.before")
        with open(self.note, "w", encoding="utf-8", opener=own) as file:
            file.write(json.dumps(asdict(note)))

    def _drop_note(self) -> None:
        if self.noted:
            self.note.unlink(missing_ok=True)
            self._notes.discard(self.note.name)
            self.noted = False

    def _read_note(self) -> Note | None:
        try:
            note = Note(**json.loads(self.note.read_text(encoding="utf-8")))
            sound = note.source == self._source and abs(note.boot - _boot_time()) < _SAME_BOOT_S
        except (OSError, ValueError, TypeError):
            return None
        return note if sound and isinstance(note.validator, str) and isinstance(note.total, int | None) else None


def _boot_time() -> float:
    """When this machine was started (epoch seconds).

    Written bytes outlive a killed process, but not always a power cut: a `.part` of another boot may hold zeros
    in place of them, which no structure check sees.
    """
    return time.time() - time.monotonic()


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Report trouble with the disk in plain words.

    Raises:
        DiskFullError: the disk, or the folder as a whole, takes nothing: stop the run.
        DownloadError: this one path is the trouble (a name too long, a file over the limit of the system).
    """
    try:
        yield
    except OSError as error:
        raise _plain(path, error) from error


def _plain(path: Path, error: OSError) -> Exception:
    words = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return DiskFullError(
            f"the disk is full ({words}): {_free(path.parent)} free in {path.parent}. Nothing is lost: what was "
            "paid for is fetched by the next run. Make room, then run again"
        )
    if error.errno == errno.ENOENT:
        return DiskFullError(
            f"the folder {path.parent} is gone: it was deleted or moved while the run used it. If you moved it, move "
            "it back and run again"
        )
    if error.errno in _UNUSABLE:
        return DiskFullError(f"can't write {path}: {words}. Nothing is lost: fix it, then run again")
    return PathTrouble(f"can't write {path}: {words}")


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB"
    except OSError:
        return "unknown space"
