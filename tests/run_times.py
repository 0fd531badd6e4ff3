"""Shapes that run times may have, and what a schedule of looks costs when the truth is known."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

from batchgen.schedule import Belief, Looks, best_looks

SHAPES: dict[str, Callable[[random.Random], float]] = {
    "narrow": lambda dice: dice.lognormvariate(math.log(213), 0.1),
    "log-normal": lambda dice: dice.lognormvariate(math.log(213), 0.25),
    "wide": lambda dice: dice.lognormvariate(math.log(213), 0.5),
    "two modes": lambda dice: dice.lognormvariate(math.log(90 if dice.random() < 0.4 else 300), 0.1),
    "uniform": lambda dice: dice.uniform(120, 300),
    "memoryless": lambda dice: dice.expovariate(1 / 213),
    "heavy tail": lambda dice: 150 * dice.paretovariate(3),
}


@dataclass(frozen=True)
class Spent:
    """What a schedule comes to: looks a clip, mean lag and its 95th percentile in seconds."""

    looks: float
    lag: float
    p95: float


def spent(ages: Sequence[float], ends: list[float]) -> Spent:
    """Hold a schedule against jobs that end at these ages; beyond its last look it goes on by its last steps."""
    ages = [*ages, *(ages[-1] * 1.08**n for n in range(1, 60))]
    seen = [bisect_left(ages, end) for end in ends]
    lags = sorted(ages[n] - end for n, end in zip(seen, ends, strict=True))
    return Spent(fmean(n + 1 for n in seen), fmean(lags), lags[int(0.95 * len(lags))])


def known(ends: list[float]) -> Belief:
    """The true distribution, unsmoothed: a look may be at every 300th of the sorted ends, and in the gaps between."""
    marks = [*ends[:: len(ends) // 300], ends[-1]]
    ages = sorted({*marks, *(low * 1.02**n for low, high in pairwise(marks) for n in range(_fill(low, high)))})
    sums = list(accumulate(ends, initial=0.0))
    cells = list(pairwise([0, *(bisect_right(ends, age) for age in ages)]))
    centres = [(sums[b] - sums[a]) / (b - a) if b > a else age for (a, b), age in zip(cells, ages, strict=True)]
    return Belief(tuple(ages), tuple((b - a) / len(ends) for a, b in cells), tuple(centres))


def _fill(low: float, high: float) -> int:
    return min(100, int(math.log(high / low) / math.log(1.02))) + 1 if low > 0 else 1


def frontier(truth: Belief) -> list[Looks]:
    """The best schedules there are, by growing lag."""
    return sorted((best_looks(truth, 10 ** (x / 4)) for x in range(-24, 2)), key=lambda looks: looks.lag)


def fewest_looks(best: Sequence[Looks], lag: float) -> float:
    """The fewest looks a clip at a mean lag: between two of the best schedules, as a coin would choose them."""
    for nosy, patient in pairwise(best):
        if nosy.lag <= lag <= patient.lag and patient.lag > nosy.lag:
            part = (lag - nosy.lag) / (patient.lag - nosy.lag)
            return nosy.calls + part * (patient.calls - nosy.calls)
    return best[0].calls if lag < best[0].lag else best[-1].calls


def fixed_interval(ends: list[float], p95: float) -> float:
    """Looks a clip of the widest fixed interval whose lag has this 95th percentile."""
    low, high = 0.1, 3.0 * p95 + 1.0
    for _ in range(14):
        step = (low + high) / 2
        low, high = (low, step) if _every(step, ends).p95 > p95 else (step, high)
    return _every(low, ends).looks


def _every(step: float, ends: list[float]) -> Spent:
    seen = [math.ceil(end / step) for end in ends]
    lags = sorted(n * step - end for n, end in zip(seen, ends, strict=True))
    return Spent(fmean(seen), fmean(lags), lags[int(0.95 * len(lags))])
