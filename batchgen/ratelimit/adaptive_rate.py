"""The rate of calls that an account allows, as far as refusals show it, and the calls of the last minute. Pure.

A refusal (429) halves the rate. What the minute before it let through shows where the account's limit lies: half a
minute later the way back begins, twice as much at each step (after one refusal, one step), and from there on the rate
grows by small steps, seldom, each that holds twice as wide as the last. So does TCP Cubic (Ha, Rhee and Xu, "CUBIC: a
new TCP-friendly high-speed TCP variant", 2008): soon near what held, slowly beyond it, quicker where nothing is in the
way for long. A limit that is met again at the same rate is real: each time it is left alone for twice as long. A minute
in which nothing was let through is no limit that a pace could keep, but an incident: it says nothing of the limit.

Rates are calls a minute; times are seconds by the loop's clock, and are passed in.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from batchgen.ratelimit.base import Call

MINUTE_S = 60.0
#: The rate is used up to this part, so that jitter on the way never makes it too much.
HEADROOM = 0.95
SLOWEST_RPM = 1.0
#: What a refusal leaves of the rate; and where the limit must lie below, at least, as a part of the refused rate.
LEFT_BY_REFUSAL, BELOW_REFUSED = 0.5, 0.93
#: Seconds at a rate below the known limit before it is doubled, up to there.
BACK_S = 30.0
#: Seconds between two steps beyond the known limit, and before the first one at most, after refusals at one rate.
PROBE_EVERY_S, PROBE_AT_MOST_S = 300.0, 2400.0
#: The first step beyond the known limit (each that holds doubles the next), as a part of the ceiling.
GROWTH = 0.02
#: A rate is in use when so much of it was called for.
USED = 0.8
#: Limits that differ by less are one; a minute that held so much more than the known limit shows that it was none.
NEAR = 0.15
#: Calls that are kept beyond their minute, for the answers that come late.
LATE = 64
POLLS = frozenset({Call.POLL, Call.HURRY})


class AdaptiveRate:
    """Calls a minute that are asked for now, between `SLOWEST_RPM` (or less, if so configured) and the ceiling.

    Args:
        ceiling: what was configured; 0: there is no limit, and nothing is ever halved.
        start: `rpm` and `known_limit` as an earlier run learned them; None: it starts at the ceiling.

    Attributes:
        rpm: the rate now.
        known_limit: where the account's limit lies by the last refusal; 0: nothing was refused.
        proven: the rate that was last in use for a whole minute, below the ceiling; 0: none since a refusal.
        refused_at: when it was last halved.
    """

    def __init__(self, ceiling: float, *, start: tuple[float, float] | None = None) -> None:
        self.ceiling = ceiling
        self._whole = float(math.floor(ceiling)) if ceiling >= 1.0 else ceiling
        rpm, known_limit = start or (ceiling, 0.0)
        self.rpm = min(ceiling, max(SLOWEST_RPM, rpm)) if ceiling else 0.0
        self.known_limit = min(ceiling, known_limit) if self.rpm < ceiling else 0.0
        self.proven = 0.0
        self.refused_at = -math.inf
        self._refused_rpm = self.rpm
        self._still_since = 0.0
        self._patience = PROBE_EVERY_S
        self._step = GROWTH * ceiling

    def __repr__(self) -> str:
        """Say where it stands, for logs and tests."""
        return f"<Rate {self.rpm:g} of {self.ceiling:g}, known limit {self.known_limit:g}>"

    @property
    def usable(self) -> float:
        """Calls a minute that are made at most: in 60 s of a rate of 5.3 there is no room for a sixth one."""
        return HEADROOM * min(self.rpm, self._whole)

    @property
    def in_a_minute(self) -> int:
        """How many calls any minute may hold: also the one in which the rate was halved."""
        return min(max(1, math.floor(self._whole)), math.ceil(HEADROOM * max(self.rpm, self.known_limit)))

    def begin(self, at: float) -> None:
        """Count the time without a refusal from now on."""
        self._still_since = max(self._still_since, at)

    def refused(self, at: float, let_through: int) -> bool:
        """Halve the rate, once for each minute that was too full; returns whether it did.

        The refusals that follow within a minute are of the same burst: its calls still fill the API's window.
        `let_through` is how many calls of the minute before the refusal were not refused.
        """
        if not self.ceiling or at < self.refused_at + MINUTE_S:
            return False
        if let_through or self.known_limit < self.rpm:
            limit = min(BELOW_REFUSED * self.rpm, let_through or self.rpm)
            again = abs(limit - self.known_limit) <= NEAR * limit
            self._patience = min(PROBE_AT_MOST_S, 2 * self._patience) if again else PROBE_EVERY_S
            self._refused_rpm, self.known_limit = self.rpm, limit
        self._step, self.proven = GROWTH * self.ceiling, 0.0
        self.rpm = max(min(SLOWEST_RPM, self.ceiling), LEFT_BY_REFUSAL * self.rpm)
        self.refused_at = self._still_since = at
        return True

    def grow(self, at: float, let_through: int) -> bool:
        """Take a step up if it is time, and the rate was used; returns whether `rpm` or `proven` changed.

        `let_through` is how many calls of the last minute were not refused, and the one that is next. A minute that
        did not use the rate is no reason to wait longer: the first one that does proves as much.
        """
        still_s = at - self._still_since
        if self.rpm >= self.ceiling or let_through < USED * self.usable:
            return False
        proven = self.proven
        if still_s >= MINUTE_S:
            self.proven = self.rpm
        below = self.rpm < self.known_limit - 1.0
        if still_s < (BACK_S if below else self._patience if self.rpm <= self.known_limit else PROBE_EVERY_S):
            return self.proven != proven
        self._still_since = at
        if below:
            self.rpm = min(self.known_limit, 2 * self.rpm)
            return True
        if let_through > (1 + NEAR) * self.known_limit:  # it is elsewhere: near the rate that was refused, perhaps
            self.known_limit = max(self.known_limit, BELOW_REFUSED * self._refused_rpm)
        self.rpm = min(self.ceiling, self.rpm + self._step)
        self._step *= 2
        return True


def polls_per_s(rpm: float, *, count_polls: bool) -> float:
    """Give how many polls a second a rate allows at most; infinite where they are not counted."""
    return AdaptiveRate(rpm).usable / 60.0 if rpm and count_polls else math.inf


@dataclass(slots=True, eq=False)
class CallRecord:
    """A call that was permitted: when, its number, and what for."""

    at: float
    number: int
    call: Call
    counts: bool = True  #: for the account's limit
    refused: bool = False  #: as too many
    recent: bool = True  #: it is of the last minute, as far as was checked


@dataclass(slots=True)
class LastMinute:
    """The calls of the last minute that count for the account's limit."""

    calls: deque[CallRecord] = field(default_factory=deque)  #: the oldest first; `forget` leaves out what is older
    let_through: int = 0  #: how many of them were not refused: they are not counted again for each call
    polls: int = 0  #: how many of them are polls
    #: Older, but in the minute of a call that is answered late.
    _gone: deque[CallRecord] = field(default_factory=lambda: deque(maxlen=LATE))

    def add(self, record: CallRecord) -> None:
        """Take note of a call that leaves now."""
        self.forget(record.at)
        self.calls.append(record)
        self.let_through += 1
        self.polls += record.call in POLLS

    def forget(self, now: float) -> None:
        """Leave out what is older than a minute."""
        while self.calls and self.calls[0].at <= now - MINUTE_S:
            record = self.calls.popleft()
            record.recent = False
            self.let_through -= not record.refused
            self.polls -= record.call in POLLS
            self._gone.append(record)

    def room_in(self, now: float, most: int) -> float:
        """Give the seconds until the last minute holds fewer calls than that (or none)."""
        self.forget(now)
        over = len(self.calls) - max(0, most - 1)
        return self.calls[over - 1].at + MINUTE_S - now if over > 0 else 0.0

    def let_through_before(self, record: CallRecord, since: float) -> int:
        """Count what the API let through in the minute before that call was refused, and after `since`."""
        if not record.recent:
            return self.let_through
        self.let_through -= not record.refused
        record.refused = True
        calls, since = (*self._gone, *self.calls), max(record.at - MINUTE_S, since)
        return sum(not each.refused and each.number < record.number and each.at > since for each in calls)
