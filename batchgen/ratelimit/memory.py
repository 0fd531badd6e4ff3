"""What this machine keeps of an account: what its runs learned, the calls of the last minute, where a run starts by it.

Small files for each origin and account in the user's state folder, and not in a ledger: another batch has another
ledger and the same account. They are written without a sync. A killed run leaves them, too; to lose what was learned
costs one 429, and a power cut takes longer than the minute that the calls are for.

What was learned is the rate of calls that the account allows and the clips that were in flight. Two runs of one account
write to one file: each keeps there what the other learned of late. The newest entry on each thing stays, also the one
that there is nothing to remember any more. The calls of the last minute are in one file for each run (`SharedWindow`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from batchgen.settings import Settings

log = logging.getLogger("batchgen.ratelimit.memory")

#: How a file cannot be locked or written; the second is a file system's that knows no locks.
_NO_LOCKS = (OSError, NotImplementedError)

#: What is older is forgotten (seconds): a night, and the weekend between two nights. A limit that still holds then
#: costs one 429 to learn again; one that came of an incident is no reason for more than the first half hour of a night.
KEPT_S = 3 * 86_400.0
#: A bound in flight is written again once it differs by this part: it moves with every clip.
DIFFERS = 0.1
#: Another run has the file for microseconds; for one that was stopped in the midst of it nobody waits longer (seconds).
PATIENCE_S = 0.2
MINUTE_S = 60.0
#: Runs of one account at once that have a file of calls; those beyond go on without.
SEATS = 8
#: Calls that such a file holds; of more in a minute the oldest are forgotten.
SLOTS = 4096
_HEAD = 1024
_TIME = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was learned; a number is 0 where nothing was. Calls a minute, clips, and epoch seconds."""

    rpm: float = 0.0  #: where the rate stood, below what was configured
    known_limit: float = 0.0  #: where the account's limit lies by the last refusal
    rpm_at: float = 0.0  #: when that was learned, or that there is no such rate any more
    places: float = 0.0  #: clips that were in flight at once without a long queue
    places_at: float = 0.0
    full: float = 0.0  #: 1: more clips than `places` had to queue; 0: as far as was seen, there was room for more
    proven_rpm: float = 0.0  #: the rate that was last in use for a whole minute, none of its calls refused

    def fresh(self, now: float) -> Remembered:
        """Forget what is too old; what a clock that was put back has put into the future ages as well."""
        rate = {} if abs(now - self.rpm_at) <= KEPT_S else dict.fromkeys(_RATE, 0.0)
        places = {} if abs(now - self.places_at) <= KEPT_S else dict.fromkeys(_PLACES, 0.0)
        return replace(self, **rate, **places)

    @property
    def proven(self) -> bool:
        """True when a whole minute showed that the rate holds; else refusals led to it, and it was not tried yet."""
        return self.proven_rpm >= self.rpm > 0

    def or_newer(self, other: Remembered, now: float) -> Remembered:
        """Give the newest of both, rate and places each by itself; a time to come counts as now, and ours wins then."""
        rate = _RATE if min(other.rpm_at, now) > self.rpm_at else ()
        places = _PLACES if min(other.places_at, now) > self.places_at else ()
        return replace(self, **{name: getattr(other, name) for name in (*rate, *places)})


_RATE = ("rpm", "known_limit", "proven_rpm", "rpm_at")
_PLACES = ("places", "full", "places_at")
#: What a file of an older release calls it.
_BEFORE = {"known_limit": "knee", "proven_rpm": "bore"}


class AccountMemory:
    """What is known of one account, and what this run learns of it.

    Args:
        path: its file; None keeps nothing.
        wall: gives epoch seconds.
    """

    def __init__(self, path: Path | None, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self.known = _read(path).fresh(wall()) if path else Remembered()

    def __repr__(self) -> str:
        """Show what is known, for logs."""
        return f"<AccountMemory {self.known}>"

    @classmethod
    def of(
        cls, origin: str, account: str, *, folder: Path | None = None, wall: Callable[[], float] = time.time
    ) -> AccountMemory:
        """Give those of an account, by its fingerprint."""
        return cls(stem(origin, account, folder).with_suffix(".learned"), wall)

    def rate(self, rpm: float, known_limit: float, proven: float = 0.0, *, ceiling: float) -> None:
        """Keep where the rate stands; a rate that came up to what is configured is nothing to remember."""
        if rpm < ceiling:
            self._keep(rpm=rpm, known_limit=known_limit, proven_rpm=proven, rpm_at=self._wall())
        elif self.known.rpm:
            self.forget_rate()

    def forget_rate(self) -> None:
        """Start the next run at what is configured."""
        if self.known.rpm:
            self._keep(rpm=0.0, known_limit=0.0, proven_rpm=0.0, rpm_at=self._wall())

    def places(self, bound: float, ceiling: int, *, full: bool = False) -> None:
        """Keep how many clips may be in flight; a bound that only the ceiling holds down says nothing against more.

        `full`: more of them were seen to queue.
        """
        held_down = bound >= ceiling and self.known.places >= ceiling
        moved = abs(bound - self.known.places) > DIFFERS * bound
        if not held_down and (moved or (full and not self.known.full)):
            self._keep(places=float(int(bound)), full=float(full), places_at=self._wall())

    def _keep(self, **learned: float) -> None:
        self.known = replace(self.known, **learned)
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock"), timeout=PATIENCE_S):
                self._write(self._path)
        except Timeout:
            log.debug("what was learned of the pace is saved later: another run is using the file")
        except _NO_LOCKS as error:
            log.debug("what was learned of the pace can't be saved: %s", error)
            self._path = None

    def _write(self, path: Path) -> None:
        """Write what this run learned, and what other runs learned since."""
        now = self._wall()
        kept = self.known.or_newer(_read(path).fresh(now), now)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(asdict(kept)) + "\n", encoding="ascii")
        part.replace(path)


def _read(path: Path) -> Remembered:
    try:
        found = json.loads(path.read_bytes())
        return Remembered(**{name: _number(found, name) for name in asdict(Remembered())})
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Remembered()


def _number(found: Mapping[str, Any], name: str) -> float:
    # An older release knew less; without its time, a number is too old.
    value = float(found.get(name, found.get(_BEFORE.get(name, name), 0.0)))
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(name)
    return value


# --- the calls of the last minute ----------------------------------------------------------------------------


class SharedWindow:
    """The calls of one run, and those that came before it, as the account's other runs on this machine count them.

    Made by `SharedWindow.open`; without a seat it keeps nothing. `close` frees the seat.

    Args:
        before: ages in seconds of the calls of the last minute, by runs that are no more.
        others: which other runs are at work with the account, in words.
    """

    def __init__(
        self,
        before: Iterable[float] = (),
        others: Iterable[str] = (),
        seat: tuple[FileLock, int] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.before = list(before)
        self.others = list(others)
        self._seat = seat
        self._wall = wall
        self._slot = len(self.before)

    def __repr__(self) -> str:
        """Show what it holds, for logs."""
        return f"<SharedWindow {len(self.before)} calls before, with {self.others}>"

    @classmethod
    def open(
        cls, origin: str, account: str, who: str, *, folder: Path | None = None, wall: Callable[[], float] = time.time
    ) -> SharedWindow:
        """Take a seat; without a folder that can be written it goes on without a memory."""
        try:
            return cls._open(stem(origin, account, folder), who, wall)
        except _NO_LOCKS as error:
            log.info("the calls of other runs can't be counted: %s", error)
            return cls()

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
            handle = _written(free[0][0], who, times)
            for path, lock in free[1:]:
                path.unlink(missing_ok=True)
                lock.release()
        return cls([wall() - at for at in times], others, (free[0][1], handle), wall)

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


# --- where a run starts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """What a run starts with, and in words what of it is by memory ("" where nothing is)."""

    rpm: float  #: calls a minute; 0: no limit
    in_flight: int  #: clips at the service at once
    rpm_note: str = ""
    in_flight_note: str = ""


def start_of(settings: Settings, known: Remembered, now: float) -> Start:
    """Lower what is configured by what is remembered; an explicit rate wins over memory. Pure.

    The clips in flight count as few only when more of them were seen to queue. A small batch has few in flight, too,
    and the limit that a run begins with doubles within seconds where there is room.

    Args:
        settings: of the run.
        known: of its account; `Remembered()` where nothing is.
        now: epoch seconds.
    """
    rpm, places = settings.rpm, settings.in_flight
    rpm_note = in_flight_note = ""
    if (settings.continues or not settings.rpm_given) and 0 < known.rpm < rpm:
        why = "which the account accepted" if known.proven else "to which it was slowed after refusals"
        slower = f"at {round(known.rpm, 1):g} of {rpm:g} calls a minute"
        rpm, rpm_note = known.rpm, f"{slower}, {why} {ago(now - known.rpm_at)}"
    if known.full and 1 <= known.places < places:
        queued = f"because more had to queue {ago(now - known.places_at)}"
        places, in_flight_note = int(known.places), f"with {int(known.places)} clips in flight, {queued}"
    return Start(rpm, places, rpm_note, in_flight_note)


def ago(seconds: float) -> str:
    """Say how long ago something was, in hours or minutes."""
    hours = max(0.0, seconds) / 3600
    return f"{hours:.0f} h ago" if hours >= 1 else f"{hours * 60:.0f} min ago"
