"""Files that the user named for an answer: `export --out`, `plan --out`, `init`. One way to write them all.

A file appears under its name when it is whole. A symbolic link is followed, so that the file that it leads to gets the
new content; a pipe or a device is written straight, since there is nothing to replace.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from batchgen.errors import OutputError

#: Names of what this process has open: the file behind them is not to be replaced under the shell that opened it.
_OPEN = ("/dev/fd/", "/dev/std", "/proc/")


def is_stream(path: Path) -> bool:
    """True for a pipe, a device or an open descriptor: it is written straight, and nothing of it is overwritten."""
    return path.exists() and not path.is_dir() and (not path.is_file() or str(path).startswith(_OPEN))


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to; when the block ends without an error, all of it is where the name leads.

    Raises:
        OutputError: it can't be written ("disk full", "no such file or directory"); a file of before is as it was.
    """
    try:
        with _straight(path) if is_stream(path) else _replacing(Path(os.path.realpath(path))) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader of a pipe has enough
    except OSError as error:
        raise OutputError.of(path, error) from error


@contextmanager
def _straight(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        yield file


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.is_file():
            part.chmod(target.stat().st_mode & 0o7777)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
