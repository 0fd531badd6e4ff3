"""A folder that lets nobody write, as on a mounted archive: for the superuser too, who may write anywhere otherwise."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
_VERSION_3 = 0x20080522
#: Write anywhere, read anywhere, act as the owner.
_RIGHTS = 1 << 1 | 1 << 2 | 1 << 3


def as_anybody(ask: Callable[[], Found]) -> Found:
    """Call something in a thread that has no rights beyond those that files give (capabilities are a thread's own)."""
    with ThreadPoolExecutor(1, initializer=_give_up_rights) as thread:
        return thread.submit(ask).result()


def _give_up_rights() -> None:
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(head, data) == 0
    data[0] &= ~_RIGHTS  # in force; what may be taken up again stays
    assert libc.capset(head, data) == 0


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write from a folder and all in it, while the block lasts."""
    paths = [folder, *folder.rglob("*")]
    before = [path.stat().st_mode for path in paths]
    for path, mode in zip(paths, before, strict=True):
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in zip(paths, before, strict=True):
            path.chmod(mode)
