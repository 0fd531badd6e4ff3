"""What this machine remembers of an account from night to night, and where the next run starts by it.

Remembered are the rate of calls that the account allows and the clips that were in flight, in one small file for each
origin and account in the user's state folder, next to the calls of the last minute (`shared_window`) and not in a
ledger: another batch has another ledger and the same account. The file is written whenever something was learned, so
that a killed run leaves it, too; without a sync, since to lose it costs one 429. Two runs of one account write to one
file: each keeps there what the other learned of late. The newest entry on each thing stays, also the one that there is
nothing to remember any more.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from batchgen.ratelimit.shared_window import stem
from batchgen.settings import Settings

log = logging.getLogger("batchgen.ratelimit.memory")

#: What is older is forgotten (seconds): a night, and the weekend between two nights. A limit that still holds then
#: costs one 429 to learn again; one that came of an incident is no reason for more than the first half hour of a night.
KEPT_S = 3 * 86_400.0
#: A bound in flight is written again once it differs by this part: it moves with every clip.
DIFFERS = 0.1
#: Another run has the file for microseconds; for one that was stopped in the midst of it nobody waits longer (seconds).
PATIENCE_S = 0.2


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was learned; a number is 0 where nothing was. Calls a minute, clips, and epoch seconds."""

    rpm: float = 0.0  #: where the rate stood, below what was configured
    knee: float = 0.0  #: near the rate that was last refused
    rpm_at: float = 0.0  #: when that was learned, or that there is no such rate any more
    places: float = 0.0  #: clips that were in flight at once without a long queue
    places_at: float = 0.0
    full: float = 0.0  #: 1: more clips than `places` had to queue; 0: as far as was seen, there was room for more
    bore: float = 0.0  #: the rate that was last in use for a whole minute, none of its calls refused

    def fresh(self, now: float) -> Remembered:
        """Forget what is too old; what a clock that was put back has put into the future ages as well."""
        rate = {} if abs(now - self.rpm_at) <= KEPT_S else dict.fromkeys(_RATE, 0.0)
        places = {} if abs(now - self.places_at) <= KEPT_S else dict.fromkeys(_PLACES, 0.0)
        return replace(self, **rate, **places)

    @property
    def borne(self) -> bool:
        """True when a whole minute showed that the rate holds; else refusals led to it, and it was not tried yet."""
        return self.bore >= self.rpm > 0

    def or_newer(self, other: Remembered, now: float) -> Remembered:
        """Give the newest of both, rate and places each by itself; a time to come counts as now, and ours wins then."""
        rate = _RATE if min(other.rpm_at, now) > self.rpm_at else ()
        places = _PLACES if min(other.places_at, now) > self.places_at else ()
        return replace(self, **{name: getattr(other, name) for name in (*rate, *places)})


_RATE = ("rpm", "knee", "bore", "rpm_at")
_PLACES = ("places", "full", "places_at")


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

    def rate(self, rpm: float, knee: float, bore: float = 0.0, *, ceiling: float) -> None:
        """Keep where the rate stands; a rate that came up to what is configured is nothing to remember."""
        if rpm < ceiling:
            self._keep(rpm=rpm, knee=knee, bore=bore, rpm_at=self._wall())
        elif self.known.rpm:
            self.forget_rate()

    def forget_rate(self) -> None:
        """Start the next run at what is configured."""
        if self.known.rpm:
            self._keep(rpm=0.0, knee=0.0, bore=0.0, rpm_at=self._wall())

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
        except (OSError, NotImplementedError) as error:  # the second is a file system's that knows no locks
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
    value = float(found.get(name, 0.0))  # an older release knew less; without its time, a number is too old
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(name)
    return value


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
    if not settings.rpm_given and 0 < known.rpm < rpm:
        why = "which the account accepted" if known.borne else "to which it was slowed after refusals"
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
