"""When to poll a running request: the fewest polls for the lag that can be afforded. Pure.

The service does not report an end, and every poll may count against the account's requests a minute. This is the
inspection problem of reliability theory (Barlow, Hunter and Proschan, "Optimum checking procedures", 1963). With S(t)
the share still running at age t, and polls at t1 < t2 < …,

    polls a clip  =  S(0) + S(t1) + S(t2) + …          (all that still run before a poll pay for it)
    lag a clip    =  the mean of (first poll after the end) - end

`best_polls` minimises polls + lag_price × lag exactly, by dynamic programming over a grid of ages. Long lags count for
more, by their square, so that the last twentieth does not wait for minutes. Early ages in which nothing ends get no
poll, ages in which many end get dense ones, the tail gets sparse ones. The price of lag follows the calls that can be
spared: up to `MOST_POLLS` a clip where they are plenty, hardly more than one where they are scarce.

The distribution is estimated from the latest run times. Each of them is spread over a box in the logarithm of the age,
so that the luck of twenty clips is taken for no shape. How wide its box is follows from its near neighbours
(Loftsgaarden and Quesenberry, 1965): narrow where many end, so that two queues are not smeared into one, and wide in
the tail. The newest clip counts most, so that drift is followed. A log-normal prior round the published mean counts at
first and fades.

All clips of a price class share a distribution: each end moves the polls of all that wait. Before anything was seen an
expectation can be wrong by a hundredfold. So the first request is polled early too, and until a few have ended, the
oldest few are polled for all.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from statistics import median_high

#: How many of the latest run times are remembered.
MEMORY = 240
#: Polls a clip that are planned, at least and at most. Fewer would let calls go unused while paid clips wait: where
#: calls are short, polls wait for their turns anyhow, and hardly one in thirty is too early then.
FEWEST_POLLS, MOST_POLLS = 1.25, 6.0
#: So many of the latest say how long the queue is now; by what part of the typical run time it must change to count.
LATELY, MOVED = 5, 0.25
#: What the square of a lag adds to it, both in polls.
SLOW = 0.15
#: How near a schedule comes to so many polls, as a part of them.
NEAR = 0.02
MIN_STEP_S = 0.05
#: Beyond all that was seen, the next poll is this part of the age away, a minute at most.
TAIL, TAIL_CAP_S = 0.08, 60.0
#: Early polls of the first request of a class of which nothing is known, as parts of the expected mean.
COLD_POLLS = (0.02, 0.06, 0.15, 0.35)
#: So many, the oldest of a class, are polled often until so many have ended. The others wait for the first end, but
#: no longer than half of the hour that a record lives (seconds); from then on each poll is this part of the age away.
SCOUTS, UNKNOWN_S, UNKNOWN_STEP = 5, 1800.0, 0.25
#: Polls a clip before anything is known of the calls that are spare.
START_POLLS = 2.0
#: How often the polls a clip are reckoned again (seconds); how fast they follow, as parts of the typical run time; and
#: the factor of change that all polls are planned again for.
UPDATE_S, UP, DOWN, REPLAN = 10.0, 0.5, 0.25, 1.25
#: Over how long ends are counted (seconds).
ENDS_S = 120.0
#: For run times up to this, the calls that were spare in the last minute say how many will be (seconds).
SOON_S = 300.0
#: After how many more clips one counts half.
HALF_LIFE = 30
#: From so many on, their own spread decides how widely each is smoothed; the least width (of the log).
ENOUGH, NARROWEST = 5, 0.02
#: Log-normal prior: sigma of the log; and its weights at every half sigma up to four.
PRIOR_SIGMA = 0.2
PRIOR = tuple((PRIOR_SIGMA * z / 2, math.exp(-z * z / 8) / (2 * math.sqrt(2 * math.pi))) for z in range(-8, 9))
#: Points that the smoothed run times are made of, and ages of them at which a poll may be.
POINTS, GRID = 1600, 128


@dataclass(frozen=True, slots=True)
class Distribution:
    """Run times on a grid of ages in seconds, each column beginning with 0.

    `ended[i]` is the share that ends up to `ages[i]`, `weighed[i]` and `squared[i]` are that share weighed by its run
    times and by their squares.
    """

    ages: Sequence[float]
    ended: Sequence[float]
    weighed: Sequence[float]
    squared: Sequence[float]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Ages to poll at, the last one at the far end of the distribution; and what they come to."""

    ages: Sequence[float]
    polls: float  #: expected polls a clip
    lag: float  #: expected seconds from the end to the poll that sees it
    lag_price: float  #: polls that a second of lag is worth, for these to be the best


@dataclass(slots=True)
class RunTimes:
    """What is known of the run times of one price class, in seconds from submission to end."""

    expected: float
    typical: float = field(init=False)  #: the median of what was seen, or what is expected before anything was
    _latest: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MEMORY))  #: and the queue in it
    _runs: deque[float] = field(default_factory=lambda: deque(maxlen=MEMORY))  #: without the queue
    _queue_s: float = 0.0  #: the longest queue of the last few
    _fresh: int = 0  #: learned since the schedules were last worked out
    _schedules: dict[int, Schedule] = field(default_factory=dict)
    _prices: dict[int, float] = field(default_factory=dict)  #: of lag, as last found for so many polls
    _known: Distribution | None = None

    def __post_init__(self) -> None:
        """Begin with what is expected."""
        self.typical = self.expected

    def learn(self, seconds: float, run_s: float | None = None) -> None:
        """Remember how long one took, `run_s` of it after the queue; the oldest of more than `MEMORY` is forgotten."""
        self._latest.append((seconds, 0.0 if run_s is None else max(0.0, seconds - run_s)))
        if run_s is not None:
            self._runs.append(run_s)
        self._fresh += 1
        queue_s = max(queue for _, queue in islice(reversed(self._latest), LATELY))
        moved = abs(queue_s - self._queue_s) > MOVED * self.typical
        if moved or self._fresh * 8 >= self.count:  # the first ones change much, the hundredth little
            self._fresh, self._known, self._queue_s = 0, None, queue_s
            self._schedules.clear()
        self.typical = median_high(self._as_of_now())

    @property
    def count(self) -> int:
        """How many run times are remembered."""
        return len(self._latest)

    @property
    def quickest(self) -> float:
        """How soon one ends after it was begun, but for the quickest twentieth; 0 before enough was seen."""
        runs = sorted(self._runs)
        return runs[len(runs) // 20] if len(runs) >= ENOUGH else 0.0

    def _as_of_now(self) -> list[float]:
        """Give the run times as they would be with no longer queue than the last few met: one that has gone is gone."""
        return [max(1e-3, total - max(0.0, queue - self._queue_s)) for total, queue in self._latest]

    def schedule(self, polls: float) -> Schedule:
        """Give the best schedule of about so many polls a clip; worked out once for alike numbers."""
        step = round(4 * math.log2(min(max(polls, FEWEST_POLLS), MOST_POLLS)))
        if step not in self._schedules:
            self._known = self._known or estimate(self._as_of_now(), self.expected)
            found = schedule_for(self._known, 2 ** (step / 4), self._prices.get(step, 0.0))
            self._schedules[step], self._prices[step] = found, found.lag_price
        return self._schedules[step]


def next_poll(age: float, times: RunTimes, *, polls: float = MOST_POLLS, older: int = 0) -> float:
    """Give the age (seconds since submission) at which to poll next, later than `age`.

    Args:
        age: how old the request is now.
        times: run times of its price class.
        polls: polls a clip that can be afforded, see `affordable_polls`.
        older: how many older requests of its class wait: while little is known, the oldest ones are polled for all.
    """
    if not times.count and older >= SCOUTS:
        return max(UNKNOWN_S, (1.0 + UNKNOWN_STEP) * age)
    if not times.count and not older and age < times.expected * COLD_POLLS[-1]:
        return max(age + MIN_STEP_S, next(early for part in COLD_POLLS if (early := times.expected * part) > age))
    scout = times.count < SCOUTS and older < SCOUTS
    ages = times.schedule(MOST_POLLS if scout else polls).ages if times.typical > 0 else ()
    later = bisect_right(ages, age + MIN_STEP_S)
    return ages[later] if later < len(ages) else age + max(MIN_STEP_S, min(TAIL_CAP_S, TAIL * age))


def affordable_polls(spare_per_s: float, ends_per_s: float) -> float:
    """Give the polls a clip that the calls pay for which submissions and results leave.

    Args:
        spare_per_s: calls a second that nothing else takes; infinite when polls are not counted.
        ends_per_s: clips that end in a second.
    """
    return MOST_POLLS if ends_per_s <= 0 else min(MOST_POLLS, max(FEWEST_POLLS, spare_per_s / ends_per_s))


@dataclass(slots=True)
class PollBudget:
    """How many polls a clip can be afforded. It follows slowly: what is submitted together ends together."""

    polls: float = START_POLLS  #: so many a clip
    ends: deque[float] = field(default_factory=deque)  #: when requests ended lately; whoever sees an end appends it
    updated_at: float = 0.0  #: when it was last updated, by the clock of `update`; time to again after `UPDATE_S`
    _planned_for: float = START_POLLS

    def update(self, now: float, times: RunTimes, waiting: int, spare_per_s: float, most_per_s: float) -> bool:
        """Update it; return whether what was planned before is no longer right.

        Args:
            now: in seconds, by a clock that never jumps.
            times: run times of the oldest request that waits.
            waiting: how many do.
            spare_per_s: calls a second that submissions and results left in the last minute.
            most_per_s: calls a second that the rate allows.
        """
        while self.ends and self.ends[0] < now - ENDS_S:
            self.ends.popleft()
        typical = max(times.typical, 1e-3)
        # As seen lately or by Little's law: long jobs end in waves, and what is spare between two can't be kept.
        ends = max(len(self.ends) / ENDS_S, waiting / (typical + times.schedule(self.polls).lag))
        if typical > SOON_S:
            kept = SOON_S / typical
            spare_per_s = min(spare_per_s, kept * spare_per_s + (1.0 - kept) * (most_per_s - 2 * ends))
        target = affordable_polls(spare_per_s, ends)
        follows = typical * (DOWN if target < self.polls else UP)
        self.polls += min(1.0, (now - self.updated_at) / max(UPDATE_S, follows)) * (target - self.polls)
        self.updated_at = now
        if self._planned_for / REPLAN < self.polls < self._planned_for * REPLAN:
            return False
        self._planned_for = self.polls
        return True


def best_polls(known: Distribution, lag_price: float, slow: float = SLOW) -> Schedule:
    """Minimise polls + u + slow × u² over all schedules on the grid, u being lag_price × lag.

    cost(j), of all that still run at ages[j], is the least of S(j) + (what their lag up to k comes to) + cost(k) over
    the next poll k > j. `parts` holds what k alone decides of it. The best k never falls as j rises, so the search ends
    at the last one found. The last age is always polled at.
    """
    ages, ended, weighed, last = known.ages, known.ended, known.weighed, len(known.ages) - 1
    square = slow * lag_price**2
    by_ended = [lag_price * age + square * age * age for age in ages]
    by_weighed = [lag_price + 2 * square * age for age in ages]
    columns = zip(by_ended, ended, by_weighed, weighed, known.squared, strict=True)
    parts = [a * e - b * w + square * s for a, e, b, w, s in columns]
    following = [last] * (last + 1)
    for j in range(last - 1, -1, -1):
        least, at, e, w = math.inf, last, ended[j], weighed[j]
        for k in range(j + 1, following[j + 1] + 1):
            if (cost := parts[k] - e * by_ended[k] + w * by_weighed[k]) < least:
                least, at = cost, k
        following[j] = at
        parts[j] += least - square * known.squared[j] + 1.0 - e
    chosen = [0]
    while chosen[-1] < last:
        chosen.append(following[chosen[-1]])
    steps = list(pairwise(chosen))
    lag = sum(ages[k] * (ended[k] - ended[j]) - (weighed[k] - weighed[j]) for j, k in steps)
    return Schedule([ages[k] for k in chosen[1:]], sum(1.0 - ended[j] for j, _ in steps), lag, lag_price)


def schedule_for(known: Distribution, polls: float, guess: float = 0.0) -> Schedule:
    """Give the best schedule of about so many polls: the price of lag is found by trying.

    The polls beyond the first grow about two thirds as fast as the price, which gives the next one to try. A `guess`,
    the price of an alike distribution, saves most tries.
    """
    low, high = 1e-4 / known.ages[-1], 1e5 / known.ages[-1]
    price = guess if low < guess < high else math.sqrt(low * high)
    nearest = found = best_polls(known, price)
    while abs(found.polls - polls) > NEAR * polls and high > (1.0 + NEAR) * low:
        low, high = (price, high) if found.polls < polls else (low, price)
        price *= (max(polls - 1.0, 0.01) / max(found.polls - 1.0, 0.01)) ** 1.5
        if not low < price < high:
            price = math.sqrt(low * high)
        found = best_polls(known, price)
        nearest = min(nearest, found, key=lambda each: abs(each.polls - polls))
    return nearest


# --- the distribution of run times -----------------------------------------------------------------------


def estimate(run_times: Sequence[float], expected: float) -> Distribution:
    """Smooth run times (the oldest first) and mix them with the prior; all in seconds."""
    n, middle = len(run_times), math.log(max(expected, 1e-3))
    weights = [0.5 ** ((n - 1 - i) / HALF_LIFE) for i in range(n)]
    seen = sorted(zip(map(math.log, run_times), weights, strict=True))
    logs = [x for x, _ in seen]
    if n and abs(middle - logs[n // 2]) >= 3 * PRIOR_SIGMA:
        middle = logs[n // 2]  # what was expected is far off
    fading = (ENOUGH / (ENOUGH + n)) ** 4 * (sum(weights) or 1.0)
    boxes = [(middle + z, fading * weight, PRIOR_SIGMA / 4) for z, weight in PRIOR]
    boxes += [(x, weight, width) for (x, weight), width in zip(seen, _widths(logs), strict=True)]
    each = POINTS // len(boxes)
    spread = [(2 * i + 1) / each - 1.0 for i in range(each)]
    points = sorted((x + width * part, weight) for x, weight, width in boxes for part in spread)
    return _on_grid([x for x, _ in points], [weight for _, weight in points])


def _widths(logs: list[float]) -> list[float]:
    """Give half the width of each box: 1.5 times the distance to a near neighbour.

    It is bounded in the tail, by 1.5 times what Silverman's rule gives for the middle half.
    """
    n = len(logs)
    if n < ENOUGH:
        return [math.sqrt(3.0) * PRIOR_SIGMA / n for _ in range(n)]
    near = round(0.37 * n**0.7)
    widest = 1.5 * max(NARROWEST, math.sqrt(3.0) * 0.9 * (logs[3 * n // 4] - logs[n // 4]) / 1.349 * n**-0.2)
    gaps = [[abs(logs[i] - logs[k]) for k in (i - near, i + near) if 0 <= k < n] for i in range(n)]
    return [max(NARROWEST, min(widest, *(1.5 * gap for gap in each))) for each in gaps]


def _on_grid(logs: list[float], weights: list[float]) -> Distribution:
    """Keep the ages that matter: half of them spread over the logarithm, half over the ends."""
    ages, total = [math.exp(x) for x in logs], sum(weights)
    ended, weighed, squared = (
        [share / total for share in accumulate(w * a**power for a, w in zip(ages, weights, strict=True))]
        for power in (0, 1, 2)
    )
    rank = [(share + (x - logs[0]) / (logs[-1] - logs[0])) / 2 for x, share in zip(logs, ended, strict=True)]
    marks = {bisect_left(rank, i / GRID) for i in range(1, GRID)}
    kept = sorted({bisect_right(ages, ages[i]) - 1 for i in marks} | {len(ages) - 1})
    return Distribution(*((0.0, *(column[i] for i in kept)) for column in (ages, ended, weighed, squared)))
