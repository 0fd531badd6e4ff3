"""When to look at a running request: late first, dense round the expected end, sparse in the tail. Pure.

The service tells nothing by itself, and every look may count against the account's requests a minute. So
looks follow the run times seen so far: each next look is put where a fixed share of the requests that are
still running will have ended. Where requests end close together the looks are close together, and where
few end they are far apart; the lag after the end stays in proportion to the risk of ending. Before
anything was seen, a log-normal curve round the expected mean stands in, with a few early looks, because
an expectation can be wrong and a whole night would wait for it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass, field
from statistics import NormalDist

#: Spread of run times before any was seen (sigma of the log).
PRIOR_SIGMA = 0.25
#: The share of the still running requests that may end between two looks.
SHARE = 0.3
#: Looks are never closer than this part of the typical run time, nor than MIN_STEP_S.
DENSEST = 1 / 40
MIN_STEP_S = 0.05
#: Beyond all that was seen, the next look is this part of the age away, a minute at most.
TAIL = 0.08
TAIL_CAP_S = 60.0
#: Early looks of a cold start, as parts of the expected mean.
COLD_LOOKS = (0.02, 0.06, 0.15, 0.35)
#: How many of the latest run times are remembered, and how many make us believe them.
MEMORY = 200
ENOUGH = 5


@dataclass(slots=True)
class RunTimes:
    """What is known of the run times of one class of requests, in seconds from submission to the end."""

    expected: float
    _recent: deque[float] = field(default_factory=deque)
    _sorted: list[float] = field(default_factory=list)

    def learn(self, seconds: float) -> None:
        """Remember one run time; the oldest of more than `MEMORY` is forgotten."""
        self._recent.append(seconds)
        insort(self._sorted, seconds)
        if len(self._recent) > MEMORY:
            old = self._recent.popleft()
            del self._sorted[bisect_left(self._sorted, old)]

    @property
    def count(self) -> int:
        """How many run times are remembered."""
        return len(self._recent)

    @property
    def typical(self) -> float:
        """The median of what was seen, or what is expected before anything was."""
        return self._sorted[self.count // 2] if self.count else self.expected

    def ended_by(self, age: float) -> float:
        """The share of requests that have ended by this age (0 to 1)."""
        if self.count >= ENOUGH:
            return bisect_right(self._sorted, age) / self.count
        if self.typical <= 0 or age <= 0:
            return 0.0 if self.typical > 0 else 1.0
        return NormalDist(math.log(self.typical), PRIOR_SIGMA).cdf(math.log(age))

    def age_when(self, share: float) -> float:
        """The age by which this share of the requests has ended (the inverse of `ended_by`)."""
        if self.count >= ENOUGH:
            return self._sorted[min(self.count - 1, max(0, math.ceil(share * self.count) - 1))]
        if self.typical <= 0:
            return 0.0
        return math.exp(NormalDist(math.log(self.typical), PRIOR_SIGMA).inv_cdf(min(max(share, 1e-6), 1 - 1e-6)))


def next_look(age: float, times: RunTimes, *, waiting: int = 1, calls_per_s: float = math.inf) -> float:
    """Give the age (seconds since submission) at which to look next, later than `age`.

    Args:
        age: how old the request is now.
        times: run times of its class.
        waiting: how many requests wait for their end.
        calls_per_s: calls that may be spent on looking; infinite when calls are not counted.
    """
    if times.count == 0:
        early = next((times.expected * part for part in COLD_LOOKS if times.expected * part > age), None)
        if early is not None:
            return max(early, age + MIN_STEP_S)
    step = max(MIN_STEP_S, times.typical * DENSEST, waiting / calls_per_s)
    ended = times.ended_by(age)
    if ended >= 1.0 - 0.5 / MEMORY:
        return age + max(step, min(TAIL_CAP_S, TAIL * age))
    ahead = times.age_when(ended + SHARE * (1.0 - ended))
    return max(ahead, age + step)
