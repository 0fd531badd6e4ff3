"""One run a batch: the lock, and who holds it."""

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
    """Hold the batch for this process's life; a killed holder lets go by itself.

    Raises:
        LockedError: another run holds it; the message says who.
        LedgerWriteError: the folder can't be written.
    """
    from filelock import FileLock, Timeout  # a third of what `status` takes to start, which only asks for the holder

    try:
        durable.make(folder)
        lock = FileLock(folder / _LOCK, timeout=0)
        lock.acquire()
        (folder / _OWNER).write_text(f"{os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
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
    """Say who holds the batch, as "process 123 since …"; None when nobody does. Takes no lock itself."""
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
    """Tell a killed process that nobody has buried yet (Linux); elsewhere nothing is known of it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]
