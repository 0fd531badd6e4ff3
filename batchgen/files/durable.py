"""Files that are surely ours, and folders whose names outlive a power cut.

A file's sync does not cover the name that leads to it; and a name in the batch folder may be a symlink to elsewhere.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Some network file systems know no sync of a folder, and a folder above ours may not be ours to read.
_NO_SUCH_THING = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF})
#: What systems say of a symlink that is not to be followed.
_LINK = frozenset({errno.ELOOP, errno.EMLINK})


def own(path: str | Path, flags: int, mode: int = 0o644) -> int:
    """Open a file of ours, as an `opener` of `open` does; a symlink of its name is replaced, never followed.

    Raises OSError, also for a symlink that is opened for reading.
    """
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags, mode)
    except OSError as error:
        if error.errno not in _LINK or not flags & os.O_CREAT:
            raise
        os.unlink(path)  # noqa: PTH108 - of the link alone
        return os.open(path, flags, mode)


def make(folder: Path) -> None:
    """Make a folder with all above it; on return their names are on disk.

    The name of one that is there already is synced too: the run that made it may have been killed before it did.
    Raises OSError.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in [*missing[1:], folder]:
        sync(each.parent)


def open_private(path: Path, flags: int) -> int:
    """Open a file that nobody but its owner may read, and make it, too; one that others may read is tightened.

    It holds links to films, and whoever has a link has the film. Otherwise as `own`. Raises OSError.
    """
    handle = own(path, flags | os.O_CREAT, 0o600)
    tighten(handle)
    return handle


def tighten(path: Path | int) -> None:
    """Take the rights of all others off a file, if there is one and it is ours."""
    with suppress(OSError):
        if os.stat(path).st_mode & 0o077:  # noqa: PTH116 - also of a handle
            os.chmod(path, 0o600)  # noqa: PTH101


def sync(folder: Path) -> None:
    """Make the names in a folder durable; a no-op where the system has no such thing. Raises OSError."""
    if os.name != "posix":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_SUCH_THING:
            raise


@dataclass(slots=True)
class Folders:
    """Makes the names in folders durable; keeps the folders open, since each is synced for every file in it."""

    _open: dict[Path, int] = field(default_factory=dict)
    _names: dict[tuple[Path, str], set[str]] = field(default_factory=dict)

    def names(self, folder: Path, ending: str) -> set[str]:
        """Give the names with an ending that a folder had when it was first asked for. Raises OSError.

        One listing instead of one check for each file: whoever makes or removes such a file keeps the set right.
        """
        if (folder, ending) not in self._names:
            self._names[folder, ending] = {name for name in os.listdir(folder) if name.endswith(ending)}  # noqa: PTH208
        return self._names[folder, ending]

    def sync(self, folder: Path) -> None:
        """Sync one; a no-op where the system has no such thing."""
        if os.name != "posix":
            return
        if folder not in self._open:
            handle = os.open(folder, os.O_RDONLY)
            if self._open.setdefault(folder, handle) != handle:  # another thread was quicker
                os.close(handle)
        os.fsync(self._open[folder])

    def close(self) -> None:
        """Let go of all."""
        while self._open:
            os.close(self._open.popitem()[1])
