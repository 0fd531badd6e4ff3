"""One run per batch: the lock that keeps a second one out, and the fence that stops a run that lost its ledger."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from batchgen import failpoints
from batchgen.errors import LedgerLostError, LedgerWriteError, LockedError
from batchgen.files import durable

#: The fact with the token of the run that took the ledger last.
HOLDER = "holder"
_LOCK, _OWNER = ".lock", ".lock.owner"
_GONE = "If you moved it, move it back and run again; otherwise `batchgen recover` builds a new one"


class Lock:
    """This process's hold on a batch folder, until `release`; the system releases that of a killed process.

    The folder itself is locked, so that no deleted file lets a second run in. A network drive locks folders for one
    machine only, so the file `.lock` in it is locked as well, as earlier releases did.

    Raises:
        LockedError: another run has it; the message says which.
        LedgerWriteError: the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handles = ExitStack()  # of what is locked
        try:
            durable.make(folder)
            self._locked = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self._take(self._locked, some_drives_cannot=True)
            self._take(durable.own(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600))
            self._owner = f"{os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
            with open(folder / _OWNER, "w", opener=durable.own) as file:
                file.write(self._owner)
        except BlockingIOError:
            self._handles.close()
            who = holder(folder) or "another process"
            raise LockedError(f"another run holds this batch: {who}. Wait for it, or stop it ({folder})") from None
        except OSError as error:
            self._handles.close()
            raise LedgerWriteError(f"{folder}: can't be written ({error.strerror})") from error

    @property
    def inode(self) -> tuple[int, int]:
        """Give the device and the number of the folder that is locked, whatever has its name by now."""
        found = os.fstat(self._locked)
        return found.st_dev, found.st_ino

    def release(self) -> None:
        """Let go."""
        path = self.folder / _OWNER
        with suppress(OSError):  # it may be another run's by now, where the folder was replaced
            if path.read_text() == self._owner:
                path.unlink()
        self._handles.close()

    def _take(self, handle: int, *, some_drives_cannot: bool = False) -> None:
        self._handles.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not some_drives_cannot or error.errno == errno.EWOULDBLOCK:
                raise


class Fence:
    """Stops a run whose ledger is not its own any more: each of its transactions checks that first.

    Folder and file are noted before the ledger is read, so that all that this run checks, opens and writes later is the
    same file, in the folder that it has locked.

    Args:
        path: of the ledger; nothing of it was read yet.
        lock: of its folder.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        with suppress(OSError):  # an overlay gives a file its final number with its first change
            path.chmod(path.stat().st_mode & 0o7777)
        self._inodes = {path: _inode(path), lock.folder: lock.inode}
        self._own = secrets.token_hex(8)
        self._last: str | None = None

    def opened(self, db: sqlite3.Connection) -> None:
        """Note what a connection shows that was opened since; a new ledger was made by it.

        The first transaction writes the token of this run, so that a run that had the ledger before, and lives on, can
        write no more; a run that writes nothing leaves the file as it was.

        Raises:
            LedgerLostError: it is not the ledger that was there before, or the folder was replaced.
        """
        if self._inodes[self._path] is None:
            self._inodes[self._path] = _inode(self._path)
        self._last = _token(db)
        self.check()

    def check(self) -> None:
        """Check that folder and file are those of this run; also once a commit is done and remembered.

        Raises:
            LedgerLostError: one was deleted, moved or replaced: what was written since is in nobody's ledger.
        """
        for path, inode in self._inodes.items():
            if (found := _inode(path)) != inode:
                what = "was replaced by another one" if found else "was deleted or moved"
                raise LedgerLostError(f"{path} {what} while this run used it; nothing more is submitted. {_GONE}")

    @contextmanager
    def transaction(self, db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Commit all that happens inside, or nothing of it, whatever goes wrong.

        Raises:
            LedgerLostError: the file was deleted, moved or replaced, or another run has taken it. Nothing is written.
        """
        db.execute("BEGIN IMMEDIATE")
        try:
            self._check_token(db)
            yield db
            failpoints.reach("commit.before")
            db.execute("COMMIT")
            failpoints.reach("commit.after")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        if self._last != self._own:
            self._last = self._own
            if self._wal.exists():
                self._inodes[self._wal] = _inode(self._wal)

    def _check_token(self, db: sqlite3.Connection) -> None:
        self.check()
        if _token(db) != self._last:
            what = f"{self._path} was taken over by another run; this one submits nothing more and stops"
            raise LedgerLostError(what, there=True)
        if self._last != self._own:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (HOLDER, self._own))


def _token(db: sqlite3.Connection) -> str | None:
    found = db.execute("SELECT v FROM meta WHERE k=?", (HOLDER,)).fetchone()
    return str(found[0]) if found else None


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - for every commit: the quickest way counts
    except OSError:
        return None
    return found.st_dev, found.st_ino


def holder(folder: Path) -> str | None:
    """Return which process has the batch, as "process 123 since …"; None: none has. Takes no lock itself."""
    try:
        text = (folder / _OWNER).read_text()
        pid = int(text.split()[0])
        os.kill(pid, 0)
        with suppress(OSError):  # a process that was killed, and that nobody has asked after, is a zombie (Linux)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1] == ["Z"]:
                return None
    except PermissionError:
        pass  # it lives, and is somebody else's
    except (OSError, ValueError, IndexError):
        return None
    return f"process {text}"
