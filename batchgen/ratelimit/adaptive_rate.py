"""The rate of calls that an account allows, as far as it is known. Pure: times and counts are passed in.

A refusal halves the rate. What the minute before it let through shows where the limit lies (the knee): half a minute
later the way back begins, twice as much at each step (after one refusal, one step), and from there on the rate grows
by small steps, seldom, each that holds twice as wide as the last. So does TCP Cubic (Ha, Rhee and Xu, "CUBIC: a new
TCP-friendly high-speed TCP variant", 2008): soon near what held, slowly beyond it, quicker where nothing is in the way
for long. A limit that is met again at the same rate is real: each time it is left alone for twice as long. A minute
in which nothing was let through is no limit that a pace could keep, but an incident: it says nothing of the knee.
"""

from __future__ import annotations

import math

#: The rate is used up to this part, so that jitter on the way never makes it too much.
HEADROOM = 0.95
#: Where a limit must lie below, at least, as a part of the rate that was refused.
KNEE = 0.93
SLOWEST_RPM = 1.0
#: Seconds at a rate below the knee before it is doubled, up to there.
BACK_S = 30.0
#: Seconds between two steps beyond the knee, and before the first one at most, after refusals at one rate.
PROBE_EVERY_S, PROBE_AT_MOST_S = 300.0, 2400.0
#: The first step beyond the knee (each that holds doubles the next), as a part of the ceiling.
GROWTH = 0.02
#: A rate is in use when so much of it was called for.
USED = 0.8
#: Knees that differ by less are one; a minute that held so much more than the knee shows that it was none.
NEAR = 0.15
#: After a refusal, those that follow within a minute are of the same burst: its calls still fill the API's window.
MINUTE_S = 60.0


class AdaptiveRate:
    """Calls a minute that are asked for now: `rpm`, between `SLOWEST_RPM` (or less, if so configured) and the ceiling.

    Args:
        ceiling: what was configured; 0: there is no limit, and nothing is ever halved.
        start: the rate and the knee that an earlier run learned; None: it starts at the ceiling.
    """

    def __init__(self, ceiling: float, *, start: tuple[float, float] | None = None) -> None:
        self.ceiling = ceiling
        self._whole = float(math.floor(ceiling)) if ceiling >= 1.0 else ceiling
        rpm, knee = start or (ceiling, 0.0)
        self.rpm = min(ceiling, max(SLOWEST_RPM, rpm)) if ceiling else 0.0
        self.knee = min(ceiling, knee) if self.rpm < ceiling else 0.0  #: near what was last refused; 0: nothing was
        self.bore = 0.0  #: the rate that was last in use for a whole minute, below the ceiling; 0: none since a refusal
        self.cut_at = -math.inf  #: when it was last halved
        self._still_since = 0.0
        self._patience = PROBE_EVERY_S
        self._step = GROWTH * ceiling
        self._refused = self.rpm

    def __repr__(self) -> str:
        """Say where it stands, for logs and tests."""
        return f"<Rate {self.rpm:g} of {self.ceiling:g}, knee {self.knee:g}>"

    @property
    def usable(self) -> float:
        """Calls a minute that are made at most: in 60 s of a rate of 5.3 there is no room for a sixth one."""
        return HEADROOM * min(self.rpm, self._whole)

    @property
    def in_a_minute(self) -> int:
        """How many calls any minute may hold: also the one in which the rate was halved."""
        return min(max(1, math.floor(self._whole)), math.ceil(HEADROOM * max(self.rpm, self.knee)))

    def begin(self, at: float) -> None:
        """Count the time without a refusal from now on."""
        self._still_since = max(self._still_since, at)

    def refused(self, at: float, held: int) -> bool:
        """Halve the rate, once for each minute that was too full; returns whether it did.

        `held` is how many calls of the minute before the refusal were let through.
        """
        if not self.ceiling or at < self.cut_at + MINUTE_S:
            return False
        if held or self.knee < self.rpm:
            self._locate(min(KNEE * self.rpm, held or self.rpm))
        self._step, self.bore = GROWTH * self.ceiling, 0.0
        self.rpm = max(min(SLOWEST_RPM, self.ceiling), self.rpm / 2)
        self.cut_at = self._still_since = at
        return True

    def _locate(self, knee: float) -> None:
        again = abs(knee - self.knee) <= NEAR * knee
        self._patience = min(PROBE_AT_MOST_S, 2 * self._patience) if again else PROBE_EVERY_S
        self._refused, self.knee = self.rpm, knee

    @property
    def _wait_s(self) -> float:
        if self._below:
            return BACK_S
        return self._patience if self.rpm <= self.knee else PROBE_EVERY_S

    @property
    def _below(self) -> bool:
        return self.rpm < self.knee - 1.0

    def grow(self, at: float, held: int) -> bool:
        """Take a step up if it is time, and the rate was used; returns whether it did.

        `held` is how many calls of the last minute were let through, and the one that is next. A minute that did not
        use the rate is no reason to wait longer: the first one that does proves as much.
        """
        still_s = at - self._still_since
        if self.rpm >= self.ceiling or held < USED * self.usable:
            return False
        if still_s >= MINUTE_S:
            self.bore = self.rpm
        if still_s < self._wait_s:
            return False
        self._still_since = at
        if self._below:
            self.rpm = min(self.knee, 2 * self.rpm)
            return True
        if held > (1 + NEAR) * self.knee:  # the limit is elsewhere: near the rate that was refused, perhaps
            self.knee = max(self.knee, KNEE * self._refused)
        self.rpm = min(self.ceiling, self.rpm + self._step)
        self._step *= 2
        return True


def polls_per_s(rpm: float, *, count_polls: bool) -> float:
    """Give how many polls a second a rate allows at most; infinite where they are not counted."""
    return AdaptiveRate(rpm).usable / 60.0 if rpm and count_polls else math.inf
