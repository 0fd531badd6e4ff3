"""One run per batch: the lock, and which process has it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.errors import LedgerWriteError, LockedError
from batchgen.files import durable

if TYPE_CHECKING:
    from filelock import FileLock

_LOCK, _OWNER = ".lock", ".lock.owner"


def take(folder: Path) -> FileLock:
    """Lock the batch for this process; the system releases the lock of a killed process.

    Raises:
        LockedError: another run has it; the message says which.
        LedgerWriteError: the folder can't be written.
    """
    from filelock import FileLock, Timeout  # a third of what `status` takes to start, which only asks for the holder

    try:
        durable.make(folder)
        lock = FileLock(folder / _LOCK, timeout=0)
        lock.acquire()
        with open(folder / _OWNER, "w", opener=durable.own) as owner:
            owner.write(f"{os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    except Timeout:
        who = holder(folder) or "another process"
        raise LockedError(f"another run holds this batch: {who}. Wait for it, or stop it ({folder})") from None
    except OSError as error:
        raise LedgerWriteError(f"{folder}: can't be written ({error.strerror})") from error
    return lock


def release(lock: FileLock, folder: Path) -> None:
    """Let go."""
    with suppress(OSError):
        (folder / _OWNER).unlink()
    lock.release()


def holder(folder: Path) -> str | None:
    """Return which process has the batch, as "process 123 since …"; None: none has. Takes no lock itself."""
    try:
        text = (folder / _OWNER).read_text()
        pid = int(text.split()[0])
        os.kill(pid, 0)
        if _is_dead(pid):
            return None
    except PermissionError:
        pass  # it lives, and is somebody else's
    except (OSError, ValueError, IndexError):
        return None
    return f"process {text}"


def _is_dead(pid: int) -> bool:
    """Return whether a process was killed and is a zombie (Linux); elsewhere False."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]
