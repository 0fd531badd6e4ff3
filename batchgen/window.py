"""The hours of submission: when a night opens and closes, in any time zone, over every change of the clocks. Pure.

A night is two instants in UTC. The opening is found first, then its own closing, so that an hour which the clocks show
twice does not open a night again. A time that comes twice means the first; one that the clocks skip means the first
instant after the gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

#: The days of the week as a manifest names them, Monday first.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Within so many days a night of any choice of days opens, even if a change of the clocks swallows one.
_AHEAD = 15


@dataclass(frozen=True, slots=True)
class Night:
    """One opening of the window, in epoch seconds; at `closes` nothing is submitted any more."""

    opens: float
    closes: float

    def __contains__(self, at: float) -> bool:
        """Return whether it is open at that time."""
        return self.opens <= at < self.closes


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of submission, "HH:MM"; a night belongs to the day on which it begins.

    Without `start` a night begins where the last one ended. Without either, each day is a night, midnight to midnight.
    `days` are of `DAYS`; empty means all. `timezone` is an IANA name; None is the machine's own zone.
    """

    start: str | None = None
    stop_submitting: str | None = None
    days: tuple[str, ...] = ()
    timezone: str | None = None

    @property
    def zone(self) -> tzinfo | None:
        """The zone of its times; None is the machine's."""
        return None if self.timezone is None else ZoneInfo(self.timezone)

    def night_at(self, at: float) -> Night | None:
        """Give the night that is open at a time (epoch seconds); None: it is closed."""
        return next((night for night in self._nights(at, -2, 2) if at in night), None)

    def next_night(self, at: float) -> Night:
        """Give the first night that opens after a time (epoch seconds)."""
        return next(night for night in self._nights(at, -2, _AHEAD) if night.opens > at)

    def when(self, at: float) -> str:
        """Write an instant as its clock shows it: "Fri 22:00 CEST"."""
        local = datetime.fromtimestamp(at, self.zone)
        return f"{local if self.timezone else local.astimezone():%a %H:%M %Z}"

    def _nights(self, at: float, first: int, after: int) -> Iterator[Night]:
        today = datetime.fromtimestamp(at, self.zone).date()
        for day in (today + timedelta(days=n) for n in range(first, after)):
            night = self._night_of(day)
            if night.opens < night.closes and (not self.days or DAYS[day.weekday()] in self.days):
                yield night

    def _night_of(self, day: date) -> Night:
        stop = self.stop_submitting or "00:00"
        start = self.start or stop
        last = day if start < stop else day + timedelta(days=1)
        return Night(_instant(day, start, self.zone), _instant(last, stop, self.zone))


def next_time(clock: str, at: float, zone: tzinfo | None = None) -> float:
    """Give when a clock next shows a time ("07:00"), after `at`, both in epoch seconds; None is the machine's zone.

    Raises:
        ValueError: it is no time of the day.
    """
    today = datetime.fromtimestamp(at, zone).date()
    coming = (_instant(today + timedelta(days=n), clock, zone) for n in range(3))
    return next(when for when in coming if when > at)


def _instant(day: date, clock: str, zone: tzinfo | None) -> float:
    """Give when a clock shows a time on a day: the first of two, or the first instant after a gap."""
    local = datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), zone)  # noqa: DTZ007 - a time of day
    late, early = local.timestamp(), local.replace(fold=1).timestamp()
    if late <= early:  # there is such a time, once or twice
        return late
    # In a gap the offset before it leads to a time after it, and the other way round: the change lies between.
    offset = _offset(early, zone)
    while late - early > 1:
        middle = (late + early) // 2
        early, late = (middle, late) if _offset(middle, zone) == offset else (early, middle)
    return late


def _offset(at: float, zone: tzinfo | None) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).astimezone(zone).utcoffset()
