"""When to look at a running request: the cheapest looks for the lag that can be afforded. Pure.

The service tells nothing by itself, and every look may count against the account's requests a minute. This is
the inspection problem of reliability theory (Barlow, Hunter and Proschan, "Optimum checking procedures", 1963):
with T the time to the end, S(t) the share still running at age t, and looks at t1 < t2 < …,

    looks a clip  =  S(0) + S(t1) + S(t2) + …          (a look is paid for by all that still run before it)
    lag a clip    =  the mean of (first look after T) - T

`best_looks` minimises looks + lag_price × lag exactly, by dynamic programming over a grid of ages. Nothing is
spent on the early ages in which nothing ends, looks are dense where many end at once, and sparse in the tail.
The price of lag follows the calls that can be spared: where calls are plenty, each clip has up to `MOST_LOOKS`;
where submissions need them all, hardly more than one, since the place that lag holds up costs less than a call.

T is believed to be what was seen lately, newest first (a half-life of `HALF_LIFE` clips, so that drift is
followed), smoothed in the logarithm, and mixed with a log-normal prior round the published mean that counts as
one clip at first and fades. All clips of a class share one belief: each end teaches all that wait. Before anything
was seen, the first of them is looked at early too, because an expectation can be wrong by a hundredfold.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import NormalDist, fmean, pstdev

#: Spread of run times before any was seen (sigma of the log).
PRIOR_SIGMA = 0.25
#: How many of the latest run times are remembered, and after how many more one counts half.
MEMORY = 240
HALF_LIFE = 80
#: Looks a clip, at least and at most: fewer would leave paid clips lying near their hour, more would only be nosy.
FEWEST_LOOKS, MOST_LOOKS = 1.06, 6.0
MIN_STEP_S = 0.05
#: Beyond all that was seen, the next look is this part of the age away, a minute at most.
TAIL = 0.08
TAIL_CAP_S = 60.0
#: Early looks at the first request of a class of which nothing is known, as parts of the expected mean.
COLD_LOOKS = (0.02, 0.06, 0.15, 0.35)
#: Ages that a look may be put at, and kernels that stand for the run times seen.
GRID = 128
KERNELS = 24
#: Smoothing: never narrower than this (of the log), by the spread seen from this many clips on.
NARROWEST = 0.01
ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Looks:
    """Ages to look at, the last one at the far end of all that is believed; and what they come to."""

    ages: tuple[float, ...]
    calls: float  #: expected looks a clip
    lag: float  #: expected seconds from the end to the look that sees it


@dataclass(frozen=True, slots=True)
class Belief:
    """The distribution of run times on a grid of ages: `mass[i]` ends in (ages[i-1], ages[i]], at `centre[i]`."""

    ages: tuple[float, ...]
    mass: tuple[float, ...]
    centre: tuple[float, ...]


@dataclass(slots=True)
class RunTimes:
    """What is known of the run times of one class of requests, in seconds from submission to the end."""

    expected: float
    _recent: deque[float] = field(default_factory=deque)
    _runs: deque[float] = field(default_factory=deque)  #: without the queue
    _fresh: int = 0  #: learned since the looks were last worked out
    _belief: Belief | None = None
    _looks: dict[int, Looks] = field(default_factory=dict)

    def learn(self, seconds: float, run_s: float | None = None) -> None:
        """Remember how long one took, `run_s` of it after the queue; the oldest of more than `MEMORY` is forgotten."""
        self._recent.append(max(seconds, 1e-3))
        if len(self._recent) > MEMORY:
            self._recent.popleft()
        if run_s is not None:
            self._runs.append(run_s)
            if len(self._runs) > MEMORY:
                self._runs.popleft()
        self._fresh += 1
        if self._fresh * 10 >= self.count:  # the first ones change much, the hundredth little
            self._fresh, self._belief = 0, None
            self._looks.clear()

    @property
    def count(self) -> int:
        """How many run times are remembered."""
        return len(self._recent)

    @property
    def typical(self) -> float:
        """The median of what was seen, or what is expected before anything was."""
        return sorted(self._recent)[self.count // 2] if self.count else self.expected

    @property
    def quickest(self) -> float:
        """How soon one ends after it was begun, but for the quickest twentieth; 0 before enough was seen."""
        return sorted(self._runs)[len(self._runs) // 20] if len(self._runs) >= ENOUGH else 0.0

    def looks(self, calls: float) -> Looks:
        """Give the best ages to look at for about so many looks a clip; worked out once for alike wishes."""
        step = round(4 * math.log2(min(max(calls, FEWEST_LOOKS), MOST_LOOKS)))
        if step not in self._looks:
            self._looks[step] = looks_for(self.belief(), 2 ** (step / 4))
        return self._looks[step]

    def belief(self) -> Belief:
        """Give the distribution that is believed now."""
        if self._belief is None:
            self._belief = believe(list(self._recent), self.expected)
        return self._belief


def next_look(age: float, times: RunTimes, *, calls: float = MOST_LOOKS, first: bool = True) -> float:
    """Give the age (seconds since submission) at which to look next, later than `age`.

    Args:
        age: how old the request is now.
        times: run times of its class.
        calls: looks a clip that can be afforded, see `affordable_looks`.
        first: whether no older request of its class waits: it goes first to see how long they take.
    """
    if times.expected <= 0 and not times.count:
        return age + max(MIN_STEP_S, TAIL * age)
    if first and times.count == 0:
        early = next((times.expected * part for part in COLD_LOOKS if times.expected * part > age), None)
        if early is not None:
            return max(early, age + MIN_STEP_S)
    ages = times.looks(calls).ages
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


# --- what is believed ---------------------------------------------------------------------------------------


def believe(seen: list[float], expected: float) -> Belief:
    """Smooth what was seen (oldest first, seconds) and mix it with the prior."""
    prior = _prior_centre(seen, expected), PRIOR_SIGMA, (ENOUGH / (ENOUGH + len(seen))) ** 2
    kernels = [prior, *_kernels(seen)] if seen else [prior]
    total = sum(weight for _, _, weight in kernels)
    curves = [(NormalDist(mu, sigma), weight / total) for mu, sigma, weight in kernels]
    fine = _spaced(min(mu - 4 * sigma for mu, sigma, _ in kernels), max(mu + 4 * sigma for mu, sigma, _ in kernels))
    risen = [sum(weight * curve.cdf(x) for curve, weight in curves) for x in fine]
    return _gridded(fine, risen)


def _prior_centre(seen: list[float], expected: float) -> float:
    """The prior stands where it was told to, unless what was seen is another matter altogether."""
    told = math.log(max(expected, 1e-3))
    middle = math.log(sorted(seen)[len(seen) // 2]) if seen else told
    return told if abs(told - middle) < 3 * PRIOR_SIGMA else middle


def _kernels(seen: list[float]) -> list[tuple[float, float, float]]:
    """Stand for the run times by few kernels of equal weight: (mean of the log, width, weight)."""
    newest = len(seen) - 1
    points = sorted((math.log(value), 0.5 ** ((newest - i) / HALF_LIFE)) for i, value in enumerate(seen))
    weight = sum(w for _, w in points)
    effective = weight**2 / sum(w * w for _, w in points)
    widest = _bandwidth([x for x, _ in points], effective)
    portions = _portions(points, weight / min(KERNELS, len(points)))
    gaps = [math.inf, *(after - before for (before, _), (after, _) in pairwise(portions)), math.inf]
    near = [min(pair) for pair in pairwise(gaps)]  # two modes are not smeared into one
    return [
        (middle, min(widest, max(NARROWEST, gap)), part) for (middle, part), gap in zip(portions, near, strict=True)
    ]


def _portions(points: list[tuple[float, float]], share: float) -> list[tuple[float, float]]:
    """Gather neighbours until they weigh a share: (their mean, their weight)."""
    found: list[tuple[float, float]] = []
    summed = held = 0.0
    for x, w in points:
        summed, held = summed + x * w, held + w
        if held >= share * 0.999:
            found.append((summed / held, held))
            summed = held = 0.0
    return [*found, (summed / held, held)] if held else found


def _bandwidth(logs: list[float], effective: float) -> float:
    """Silverman's rule; before it has enough to go by, the prior's width, narrower with each clip."""
    if len(logs) < ENOUGH:
        return PRIOR_SIGMA / len(logs)
    return max(NARROWEST, 0.9 * pstdev(logs) * float(effective**-0.2))


def _spaced(low: float, high: float) -> list[float]:
    return [low + (high - low) * i / (2 * GRID) for i in range(2 * GRID + 1)]


def _gridded(fine: list[float], risen: list[float]) -> Belief:
    """Keep the grid points that matter: half of them spread over the ages, half over the ends."""
    top = risen[-1]
    rank = [0.5 * i / (len(fine) - 1) + 0.5 * share / top for i, share in enumerate(risen)]
    kept = sorted({bisect_left(rank, i / GRID) for i in range(1, GRID)} | {len(fine) - 1})
    ages = [math.exp(fine[i]) for i in kept]
    shares = [0.0, *(risen[i] / top for i in kept)]
    mass = tuple(after - before for before, after in pairwise(shares))
    starts = [math.exp(fine[0]), *ages[:-1]]
    return Belief(tuple(ages), mass, tuple(fmean(pair) for pair in zip(starts, ages, strict=True)))


# --- the best looks -----------------------------------------------------------------------------------------


def best_looks(belief: Belief, lag_price: float) -> Looks:
    """Minimise looks + lag_price × lag (looks a second of lag) over all schedules on the belief's grid.

    cost(j), of all that still run at ages[j], is the least of S(j) + lag_price × lag(j, k) + cost(k) over the
    next look k > j; lag(j, k) is what ends in between and waits for it. The best k never falls as j rises, so
    the search goes on from the last one downwards. The last grid age is always looked at.
    """
    n = len(belief.ages)
    ended = [0.0, *accumulate(belief.mass)]
    weighed = [0.0, *accumulate(m * c for m, c in zip(belief.mass, belief.centre, strict=True))]
    cost = [0.0] * (n + 1)
    following = [n] * (n + 1)
    for j in range(n - 1, -1, -1):
        best, at = math.inf, n
        for k in range(j + 1, following[j + 1] + 1):
            lag = belief.ages[k - 1] * (ended[k] - ended[j]) - (weighed[k] - weighed[j])
            total = lag_price * lag + cost[k]
            if total < best:
                best, at = total, k
        cost[j], following[j] = best + 1.0 - ended[j], at
    return _along(belief, following, ended, weighed)


def _along(belief: Belief, following: list[int], ended: list[float], weighed: list[float]) -> Looks:
    ages, calls, lag, j = [], 0.0, 0.0, 0
    while j < len(belief.ages):
        k = following[j]
        calls += 1.0 - ended[j]
        lag += belief.ages[k - 1] * (ended[k] - ended[j]) - (weighed[k] - weighed[j])
        ages.append(belief.ages[k - 1])
        j = k
    return Looks(tuple(ages), calls, lag)


def looks_for(belief: Belief, calls: float) -> Looks:
    """Give the best looks that take about so many looks a clip: the price of lag is found by halving."""
    low, high = 1e-4 / belief.ages[-1], 1e5 / belief.ages[-1]
    for _ in range(12):
        price = math.sqrt(low * high)
        looks = best_looks(belief, price)
        low, high = (price, high) if looks.calls < calls else (low, price)
        if abs(looks.calls - calls) < 0.02 * calls:
            break
    return looks
