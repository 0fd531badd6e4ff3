"""Shapes that run times may have, and what a schedule of polls costs when the truth is known."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

from batchgen.polling.schedule import Distribution, Schedule, best_polls

SHAPES: dict[str, Callable[[random.Random], float]] = {
    "narrow": lambda dice: dice.lognormvariate(math.log(213), 0.1),
    "log-normal": lambda dice: dice.lognormvariate(math.log(213), 0.25),
    "wide": lambda dice: dice.lognormvariate(math.log(213), 0.5),
    "two modes": lambda dice: dice.lognormvariate(math.log(90 if dice.random() < 0.4 else 300), 0.1),
    "uniform": lambda dice: dice.uniform(120, 300),
    "memoryless": lambda dice: dice.expovariate(1 / 213),
    "heavy tail": lambda dice: 150 * dice.paretovariate(3),
    "three modes": lambda dice: dice.lognormvariate(math.log(dice.choices((60, 180, 420), (3, 4, 3))[0]), 0.08),
    "a tenth is slow": lambda dice: dice.lognormvariate(math.log(150 if dice.random() < 0.9 else 450), 0.1),
    "retries": lambda dice: dice.lognormvariate(math.log(180), 0.1) if dice.random() < 0.8 else dice.uniform(200, 800),
}
#: The part of lags that a bound on lag may let pass.
LATE = 0.05


@dataclass(frozen=True)
class Spent:
    """What a schedule comes to: polls a clip, mean lag and its 95th percentile in seconds."""

    polls: float
    lag: float
    p95: float


def spent(ages: Sequence[float], ends: list[float]) -> Spent:
    """Hold a schedule against jobs that end at these ages; beyond its last poll it goes on by its last steps."""
    ages = [*ages, *(ages[-1] * 1.08**n for n in range(1, 60))]
    seen = [bisect_left(ages, end) for end in ends]
    lags = sorted(ages[n] - end for n, end in zip(seen, ends, strict=True))
    return Spent(fmean(n + 1 for n in seen), fmean(lags), lags[int(0.95 * len(lags))])


def known(ends: list[float]) -> Distribution:
    """The true distribution, unsmoothed: a poll may be at every 300th of the sorted ends, and in the gaps between."""
    marks = [*ends[:: len(ends) // 300], ends[-1]]
    ages = sorted({*marks, *(low * 1.02**n for low, high in pairwise(marks) for n in range(_fill(low, high)))})
    sums, squares = (list(accumulate((end**power for end in ends), initial=0.0)) for power in (1, 2))
    cells = [0, *(bisect_right(ends, age) for age in ages)]
    n = len(ends)
    columns = ([column[cell] / n for cell in cells] for column in (range(n + 1), sums, squares))
    return Distribution([0.0, *ages], *columns)


def _fill(low: float, high: float) -> int:
    return min(100, int(math.log(high / low) / math.log(1.02))) + 1 if low > 0 else 1


def frontier(truth: Distribution) -> list[Schedule]:
    """The best schedules there are for the mean lag, by growing lag."""
    return sorted((best_polls(truth, 10 ** (x / 4), slow=0.0) for x in range(-24, 2)), key=lambda each: each.lag)


def fewest_polls(best: Sequence[Schedule], lag: float) -> float:
    """The fewest polls a clip at a mean lag: between two of the best schedules, as a coin would choose them."""
    for nosy, patient in pairwise(best):
        if nosy.lag <= lag <= patient.lag and patient.lag > nosy.lag:
            part = (lag - nosy.lag) / (patient.lag - nosy.lag)
            return nosy.polls + part * (patient.polls - nosy.polls)
    return best[0].polls if lag < best[0].lag else best[-1].polls


def fewest_within(truth: Distribution, bound: float, late: float = LATE) -> float:
    """The fewest polls a clip by which at most this part lags by more than a bound: a quantile of the lag.

    Polls + price × part that is late is minimised exactly; between the two schedules round the part that is
    allowed, a coin chooses, so that no schedule that keeps the bound takes fewer.
    """
    low, high = 1e-3, 1e6
    strict, loose = _within(truth, bound, high), _within(truth, bound, low)
    for _ in range(24):
        found = _within(truth, bound, price := math.sqrt(low * high))
        low, high = (low, price) if found[1] <= late else (price, high)
        strict, loose = (found, loose) if found[1] <= late else (strict, found)
    if loose[1] <= max(late, strict[1]):
        return min(strict[0], loose[0])
    return strict[0] + (late - strict[1]) / (loose[1] - strict[1]) * (loose[0] - strict[0])


def _within(truth: Distribution, bound: float, price: float) -> tuple[float, float]:
    """Polls a clip, and the part that is late, of the schedule that minimises polls + price × that part."""
    n, ended = len(truth.ages) - 1, truth.ended
    centres = [*map(_mean, pairwise(truth.weighed), pairwise(ended), truth.ages[1:])]
    overdue = [0.0, *(ended[bisect_left(centres, age - bound)] for age in truth.ages[1:])]
    cost, polls, late, far = [0.0] * (n + 1), [0.0] * (n + 1), [0.0] * (n + 1), n
    for j in range(n - 1, -1, -1):
        whole = [cost[k] + price * max(0.0, overdue[k] - ended[j]) for k in range(j + 1, far + 1)]
        far = j + 1 + whole.index(min(whole))
        cost[j] = min(whole) + 1.0 - ended[j]
        polls[j] = polls[far] + 1.0 - ended[j]
        late[j] = late[far] + max(0.0, overdue[far] - ended[j])
    return polls[0], late[0]


def _mean(weighed: tuple[float, float], ended: tuple[float, float], age: float) -> float:
    """The mean of what ends in one cell; of an empty one, its age."""
    share = ended[1] - ended[0]
    return (weighed[1] - weighed[0]) / share if share > 0 else age


def fixed_interval(ends: list[float], p95: float) -> float:
    """Polls a clip of the widest fixed interval whose lag has this 95th percentile."""
    low, high = 0.1, 3.0 * p95 + 1.0
    for _ in range(14):
        step = (low + high) / 2
        low, high = (low, step) if _every(step, ends).p95 > p95 else (step, high)
    return _every(low, ends).polls


def _every(step: float, ends: list[float]) -> Spent:
    seen = [math.ceil(end / step) for end in ends]
    lags = sorted(n * step - end for n, end in zip(seen, ends, strict=True))
    return Spent(fmean(seen), fmean(lags), lags[int(0.95 * len(lags))])
