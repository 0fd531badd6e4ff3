"""The calls of the last minute by all runs of an account: one small file for each run, in the user's state folder.

The calls of the last minute lie here and not in the ledger: a second batch has another ledger and the same account.
Plain writes without a sync: they outlive a killed process, and a power cut takes longer than the minute they are for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger("batchgen.ratelimit.shared_window")

MINUTE_S = 60.0
#: Runs of one account at once that have a file; those beyond go on without.
SEATS = 8
#: Calls that a file holds; of more in a minute the oldest are forgotten.
SLOTS = 4096
_HEAD = 1024
_TIME = struct.Struct("<d")


class SharedWindow:
    """The calls of one run, and those that came before it. Made by `SharedWindow.open`; `close` frees its seat.

    Args:
        before: ages in seconds of the calls of the last minute, by runs that are no more.
        others: which other runs are at work with the account, in words.
    """

    def __init__(
        self, before: list[float], others: list[str], seat: tuple[FileLock, int] | None, wall: Callable[[], float]
    ) -> None:
        self.before = before
        self.others = others
        self._seat = seat
        self._wall = wall
        self._slot = len(before)

    def __repr__(self) -> str:
        """Show what it holds, for logs."""
        return f"<SharedWindow {len(self.before)} calls before, with {self.others}>"

    @classmethod
    def none(cls) -> SharedWindow:
        """Give one that knows and keeps nothing."""
        return cls([], [], None, time.time)

    @classmethod
    def open(
        cls, origin: str, account: str, who: str, *, folder: Path | None = None, wall: Callable[[], float] = time.time
    ) -> SharedWindow:
        """Take a seat; without a folder that can be written it goes on without a memory."""
        try:
            return cls._open(stem(origin, account, folder), who, wall)
        except (OSError, NotImplementedError) as error:  # the second is a file system's that knows no locks
            log.info("the calls of other runs can't be counted: %s", error)
            return cls.none()

    @classmethod
    def _open(cls, stem: Path, who: str, wall: Callable[[], float]) -> SharedWindow:
        stem.parent.mkdir(parents=True, exist_ok=True)
        free: list[tuple[Path, FileLock]] = []
        others: list[str] = []
        with FileLock(f"{stem}.lock", timeout=5):  # two that open at once must not take each other for runs
            for path in _seats(stem):
                lock = FileLock(f"{path}.lock", timeout=0)
                try:
                    lock.acquire()
                    free.append((path, lock))
                except Timeout:
                    others += _holder(path)
            times = sorted(at for path, _ in free for at in _recent(path, wall()))
            if not free:
                return cls([wall() - at for at in times], others, None, wall)
            seat = _written(free[0][0], who, times), free[0][1]
            for path, lock in free[1:]:
                path.unlink(missing_ok=True)
                lock.release()
        return cls([wall() - at for at in times], others, (seat[1], seat[0]), wall)

    def called(self) -> None:
        """Keep that a call was granted now."""
        if self._seat:
            with suppress(OSError):
                os.pwrite(self._seat[1], _TIME.pack(self._wall()), _HEAD + self._slot % SLOTS * _TIME.size)
            self._slot += 1

    def close(self) -> None:
        """Free the seat; what was written stays."""
        if self._seat:
            os.close(self._seat[1])
            self._seat[0].release()
            self._seat = None


def stem(origin: str, account: str, folder: Path | None = None) -> Path:
    """Name what is kept of an account: files of this name, each with an ending of its own."""
    from platformdirs import user_state_path

    name = hashlib.sha256(f"{origin} {account}".encode()).hexdigest()[:16]
    return (folder or user_state_path("batchgen")) / name


def _seats(stem: Path) -> Iterator[Path]:
    return (stem.with_name(f"{stem.name}.{number}.calls") for number in range(SEATS))


def _recent(path: Path, now: float) -> list[float]:
    """Give the calls of the last minute; what a clock that was put back has put into the future counts as now."""
    try:
        data = path.read_bytes()[_HEAD : _HEAD + SLOTS * _TIME.size]
    except FileNotFoundError:
        return []
    times = (at for (at,) in _TIME.iter_unpack(data[: len(data) // _TIME.size * _TIME.size]))
    return [min(at, now) for at in times if at > now - MINUTE_S]


def _holder(path: Path) -> list[str]:
    try:
        head = json.loads(path.read_bytes()[:_HEAD])
        return [str(head["who"])]
    except (OSError, ValueError, KeyError, TypeError):
        return ["another process"]


def _written(path: Path, who: str, times: list[float]) -> int:
    """Begin a file with what is known; gives its handle."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    head = json.dumps({"who": who[-600:]}, ensure_ascii=True).encode()
    head = head if len(head) <= _HEAD else json.dumps({"who": "another run"}).encode()
    data = head.ljust(_HEAD) + b"".join(map(_TIME.pack, times[-SLOTS:]))
    os.ftruncate(handle, 0)
    os.pwrite(handle, data, 0)
    return handle
