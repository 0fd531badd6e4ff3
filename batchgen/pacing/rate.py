"""The rate of calls that an account bears, as far as it is known. Pure: times and counts are passed in.

A refusal halves the rate. What the minute before it let through tells where the limit lies (the knee): the way
back to there is one step, half a minute later, and from there on the rate grows by small steps, seldom. So does
TCP Cubic (Ha, Rhee and Xu, "CUBIC: a new TCP-friendly high-speed TCP variant", 2008): soon near what held, slowly
beyond it, quicker where nothing is in the way for long. A limit that is met again at the same place is real: each
time it is left alone for twice as long.
"""

from __future__ import annotations

import math

#: The rate is used up to this part, so that jitter on the way never makes it too much.
HEADROOM = 0.95
#: Where a limit must lie below, at least, as a part of the rate that was refused.
KNEE = 0.93
SLOWEST_RPM = 1.0
#: Seconds at half the rate before it goes back to the knee.
BACK_S = 30.0
#: Seconds between two steps beyond the knee, and before the first one at most, after refusals at one place.
PROBE_EVERY_S, PROBE_AT_MOST_S = 300.0, 2400.0
#: The first step beyond the knee, and the widest (each that holds doubles the next), as parts of the ceiling.
GROWTH, WIDEST = 0.02, 0.08
#: A rate is in use when so much of it was called for.
USED = 0.8
#: Knees that differ by less are one; a minute that held so much more than the knee shows that it was none.
NEAR = 0.15
#: After a refusal, those that follow within a minute are of the same burst: its calls still fill the API's window.
MINUTE_S = 60.0


class Rate:
    """Calls a minute that are asked for now: `rpm`, between `SLOWEST_RPM` and the ceiling.

    Args:
        ceiling: what was configured; 0: there is no limit, and nothing is ever halved.
        start: the rate and the knee that an earlier run learned; None: it starts at the ceiling.
    """

    def __init__(self, ceiling: float, *, start: tuple[float, float] | None = None) -> None:
        self.ceiling = ceiling
        rpm, knee = start or (ceiling, 0.0)
        self.rpm = min(ceiling, max(SLOWEST_RPM, rpm)) if ceiling else 0.0
        self.knee = min(ceiling, knee) if self.rpm < ceiling else 0.0  #: near what was last refused; 0: nothing was
        self._cut_at = -math.inf
        self._still_since = 0.0
        self._patience = PROBE_EVERY_S
        self._step = GROWTH * ceiling
        self._refused = self.rpm

    def __repr__(self) -> str:
        """Say where it stands, for logs and tests."""
        return f"<Rate {self.rpm:g} of {self.ceiling:g}, knee {self.knee:g}>"

    @property
    def in_a_minute(self) -> int:
        """How many calls any minute may hold: also the one in which the rate was halved."""
        return math.ceil(HEADROOM * max(self.rpm, self.knee))

    def begin(self, at: float) -> None:
        """Count the time without a refusal from now on."""
        self._still_since = max(self._still_since, at)

    def refused(self, at: float, held: int) -> bool:
        """Halve the rate, once for each minute that was too full; tells whether it did.

        `held` is how many calls of the minute before the refusal were let through.
        """
        if not self.ceiling or at < self._cut_at + MINUTE_S:
            return False
        knee = min(KNEE * self.rpm, held or self.rpm)
        again = abs(knee - self.knee) <= NEAR * knee
        self._patience = min(PROBE_AT_MOST_S, 2 * self._patience) if again else PROBE_EVERY_S
        self._refused, self.knee, self._step = self.rpm, knee, GROWTH * self.ceiling
        self.rpm = max(SLOWEST_RPM, self.rpm / 2)
        self._cut_at = self._still_since = at
        return True

    def grow(self, at: float, held: int) -> bool:
        """Take a step up if it is time, and the rate was used; tells whether it did.

        `held` is how many calls of the last minute were let through.
        """
        back = self.rpm < self.knee - 1.0
        at_knee = self._patience if self.rpm <= self.knee else PROBE_EVERY_S
        if self.rpm >= self.ceiling or at - self._still_since < (BACK_S if back else at_knee):
            return False
        self._still_since = at
        if held < USED * HEADROOM * self.rpm:
            return False
        if back:
            self.rpm = self.knee
            return True
        if held > (1 + NEAR) * self.knee:  # the limit is elsewhere: near the rate that was refused, perhaps
            self.knee = max(self.knee, KNEE * self._refused)
        self.rpm = min(self.ceiling, self.rpm + self._step)
        self._step = min(2 * self._step, WIDEST * self.ceiling)
        return True
