"""When to look at a running request: the cheapest looks for the lag that can be afforded. Pure.

The service tells nothing by itself, and every look may count against the account's requests a minute. This is
the inspection problem of reliability theory (Barlow, Hunter and Proschan, "Optimum checking procedures", 1963):
with T the time to the end, S(t) the share still running at age t, and looks at t1 < t2 < …,

    looks a clip  =  S(0) + S(t1) + S(t2) + …          (a look is paid for by all that still run before it)
    lag a clip    =  the mean of (first look after T) - T

`best_looks` minimises looks + u + `SLOW` × u² exactly, by dynamic programming over a grid of ages, where u is the
lag × lag_price: the lag in looks that it is worth. The mean lag is what a place in flight is held up by; the square
makes a lag of seven looks count twice, which spares up to a tenth of the looks that the same 95th percentile of the lag
takes, for a twentieth more at most at the same mean. A square that weighs more spares a twentieth again where run times
stay as they are; but where they grow it looks too early, and costs a sixth more than the best looks for the same mean.
Looks that are chosen for the 95th percentile alone would let the last twentieth lie for minutes, and cost up to a sixth
more, too.

Nothing is spent on the early ages in which nothing ends, looks are dense where many end at once, and sparse in the
tail; where every age is alike (memoryless), they are at equal distances, and no schedule is better. The price of lag
follows the calls that can be spared: where calls are plenty, each clip has up to `MOST_LOOKS`; where they are scarce,
which is where submissions and results leave less than a look and a half for each clip, hardly more than one, since the
place that lag holds up costs less than a call.

T is believed to be what was seen lately (`belief.py`). All clips of a class share one belief: each end teaches all
that wait. Before anything was seen an expectation can be wrong by a hundredfold: so the first of them is looked at
early too, and until a few have ended, the oldest few look for all. Four hundred jobs that take eight times as long as
was expected would else all be looked at each minute, in vain.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from batchgen.polling.belief import ENOUGH, Belief, believe

#: How many of the latest run times are remembered.
MEMORY = 240
#: Looks a clip that are planned, at least and at most. Fewer would let calls go by while paid clips lie: where calls
#: are short, looks wait for their turns anyhow, and hardly one in thirty is too early then. More would only be nosy.
FEWEST_LOOKS, MOST_LOOKS = 1.25, 6.0
MIN_STEP_S = 0.05
#: Beyond all that was seen, the next look is this part of the age away, a minute at most.
TAIL = 0.08
TAIL_CAP_S = 60.0
#: Early looks at the first request of a class of which nothing is known, as parts of the expected mean.
COLD_LOOKS = (0.02, 0.06, 0.15, 0.35)
#: So many, the oldest of a class, are looked at often until so many have ended. The others wait for the first end, but
#: no longer than half of the hour that a record lives (seconds); from then on each look is this part of the age away.
SCOUTS = 5
UNTOLD_S, UNTOLD_STEP = 1800.0, 0.25
#: What the square of a lag adds to it, both in looks.
SLOW = 0.15
#: How near a schedule is to come to so many looks, as a part of them.
NEAR = 0.02


@dataclass(frozen=True, slots=True)
class Looks:
    """Ages to look at, the last one at the far end of all that is believed; and what they come to."""

    ages: tuple[float, ...]
    calls: float  #: expected looks a clip
    lag: float  #: expected seconds from the end to the look that sees it
    lag_price: float  #: looks that a second of it is worth, for these to be the best


@dataclass(slots=True)
class Latest:
    """The latest `MEMORY` of some values, as they came and by size."""

    came: deque[float] = field(default_factory=deque)
    by_size: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Remember one; the oldest of too many is forgotten."""
        self.came.append(value)
        insort(self.by_size, value)
        if len(self.came) > MEMORY:
            del self.by_size[bisect_left(self.by_size, self.came.popleft())]


@dataclass(slots=True)
class RunTimes:
    """What is known of the run times of one class of requests, in seconds from submission to the end."""

    expected: float
    _recent: Latest = field(default_factory=Latest)
    _runs: Latest = field(default_factory=Latest)  #: without the queue
    _fresh: int = 0  #: learned since the looks were last worked out
    _belief: Belief | None = None
    _looks: dict[int, Looks] = field(default_factory=dict)
    _prices: dict[int, float] = field(default_factory=dict)  #: of lag, as last found for so many looks

    def learn(self, seconds: float, run_s: float | None = None) -> None:
        """Remember how long one took, `run_s` of it after the queue; the oldest of more than `MEMORY` is forgotten."""
        self._recent.add(max(seconds, 1e-3))
        if run_s is not None:
            self._runs.add(run_s)
        self._fresh += 1
        if self._fresh * 10 >= self.count:  # the first ones change much, the hundredth little
            self._fresh, self._belief = 0, None
            self._looks.clear()

    @property
    def count(self) -> int:
        """How many run times are remembered."""
        return len(self._recent.came)

    @property
    def typical(self) -> float:
        """The median of what was seen, or what is expected before anything was."""
        return self._recent.by_size[self.count // 2] if self.count else self.expected

    @property
    def quickest(self) -> float:
        """How soon one ends after it was begun, but for the quickest twentieth; 0 before enough was seen."""
        runs = self._runs.by_size
        return runs[len(runs) // 20] if len(runs) >= ENOUGH else 0.0

    def looks(self, calls: float) -> Looks:
        """Give the best ages to look at for about so many looks a clip; worked out once for alike wishes."""
        step = round(4 * math.log2(min(max(calls, FEWEST_LOOKS), MOST_LOOKS)))
        if step not in self._looks:
            self._looks[step] = looks_for(self.belief(), 2 ** (step / 4), self._prices.get(step, 0.0))
            self._prices[step] = self._looks[step].lag_price
        return self._looks[step]

    def belief(self) -> Belief:
        """Give the distribution that is believed now."""
        if self._belief is None:
            self._belief = believe(self._recent.came, self.expected)
        return self._belief


def next_look(age: float, times: RunTimes, *, calls: float = MOST_LOOKS, older: int = 0) -> float:
    """Give the age (seconds since submission) at which to look next, later than `age`.

    Args:
        age: how old the request is now.
        times: run times of its class.
        calls: looks a clip that can be afforded, see `affordable_looks`.
        older: how many older requests of its class wait: while little is known, the oldest ones look for all.
    """
    if not times.count and older >= SCOUTS:
        return max(UNTOLD_S, (1.0 + UNTOLD_STEP) * age)
    if not times.count and times.expected <= 0:
        return age + max(MIN_STEP_S, TAIL * age)
    if not times.count and not older:
        early = next((times.expected * part for part in COLD_LOOKS if times.expected * part > age), None)
        if early is not None:
            return max(early, age + MIN_STEP_S)
    scout = times.count < SCOUTS and older < SCOUTS
    ages = times.looks(MOST_LOOKS if scout else calls).ages
    later = bisect_right(ages, age + MIN_STEP_S)
    if later < len(ages):
        return ages[later]
    return age + max(MIN_STEP_S, min(TAIL_CAP_S, TAIL * age))


def affordable_looks(spare_per_s: float, ends_per_s: float) -> float:
    """Give the looks a clip that can be paid for from the calls that submissions and results leave.

    Args:
        spare_per_s: calls a second that nothing else takes; infinite when looks are not counted.
        ends_per_s: clips that end in a second.
    """
    return MOST_LOOKS if ends_per_s <= 0 else min(MOST_LOOKS, max(FEWEST_LOOKS, spare_per_s / ends_per_s))


# --- the best looks -----------------------------------------------------------------------------------------


def best_looks(belief: Belief, lag_price: float, slow: float = SLOW) -> Looks:
    """Minimise looks + u + slow × u² over all schedules on the belief's grid, u being lag_price × lag.

    cost(j), of all that still run at ages[j], is the least of S(j) + waits(j, k) + cost(k) over the next look k > j;
    waits(j, k) is what u + slow × u² comes to for all that ends in between and waits for it. With the running sums
    of the mass and of its first two moments, it is made of one part that k alone decides, and one that is a product.
    The best k never falls as j rises, so the search goes on from the last one downwards. The last grid age is always
    looked at.
    """
    ages, n, square = (0.0, *belief.ages), len(belief.ages), slow * lag_price**2
    ended, weighed, squared = _moments(belief)
    by_ended = [lag_price * age + square * age * age for age in ages]
    by_weighed = [lag_price + 2 * square * age for age in ages]
    parts = [a * e - b * w + square * s
             for a, e, b, w, s in zip(by_ended, ended, by_weighed, weighed, squared, strict=True)]  # fmt: skip
    following, far = [n] * (n + 1), n
    for j in range(n - 1, -1, -1):
        best, at, e, w = math.inf, n, ended[j], weighed[j]
        for k in range(j + 1, far + 1):
            total = parts[k] - e * by_ended[k] + w * by_weighed[k]
            if total < best:
                best, at = total, k
        parts[j] += best - square * squared[j] + 1.0 - e
        following[j] = far = at
    chosen = [0]
    while chosen[-1] < n:
        chosen.append(following[chosen[-1]])
    steps = list(pairwise(chosen))
    calls = sum(1.0 - ended[j] for j, _ in steps)
    lag = sum(ages[k] * (ended[k] - ended[j]) - (weighed[k] - weighed[j]) for j, k in steps)
    return Looks(tuple(ages[k] for k in chosen[1:]), calls, lag, lag_price)


def _moments(belief: Belief) -> tuple[list[float], list[float], list[float]]:
    """Sum up, for each grid age, the share that has ended, weighed by its age to the powers of 0, 1 and 2."""
    ended = [0.0, *accumulate(belief.mass)]
    weighed = [m * c for m, c in zip(belief.mass, belief.centre, strict=True)]
    squared = (w * c for w, c in zip(weighed, belief.centre, strict=True))
    return ended, [0.0, *accumulate(weighed)], [0.0, *accumulate(squared)]


def looks_for(belief: Belief, calls: float, guess: float = 0.0) -> Looks:
    """Give the best looks that take about so many looks a clip: the price of lag is found by trying.

    The looks beyond the first grow by about two thirds as fast as the price: that says which one to try next, and
    halving where it would leave what is still possible. A `guess`, the price of an alike belief, saves most tries.
    """
    low, high = 1e-4 / belief.ages[-1], 1e5 / belief.ages[-1]
    price = guess if low < guess < high else math.sqrt(low * high)
    nearest = looks = best_looks(belief, price)
    while abs(looks.calls - calls) > NEAR * calls and high > (1.0 + NEAR) * low:
        low, high = (price, high) if looks.calls < calls else (low, price)
        price *= (max(calls - 1.0, 0.01) / max(looks.calls - 1.0, 0.01)) ** 1.5
        if not low < price < high:
            price = math.sqrt(low * high)
        looks = best_looks(belief, price)
        nearest = min(nearest, looks, key=lambda each: abs(each.calls - calls))
    return nearest
