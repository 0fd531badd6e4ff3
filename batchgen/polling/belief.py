"""What is believed of run times, from those seen lately: a distribution over ages. Pure.

Each run time seen is a box in the logarithm of the age, so that the sum of them rises in straight lines and costs
no more than the points. How wide the boxes are decides what is learned: two queues must not be smeared into one,
and the luck of twenty clips is no shape. So the width is chosen as Rudemo (1982) and Bowman (1984) do, from a few
parts of Silverman's by what each would have foretold: the likelihood of every clip by all the others. Then the boxes
are made narrower where many end and wider in the tail, by the square root of the density (Abramson, 1982).

The newest clip counts most (a half-life of `HALF_LIFE` clips, so that drift is followed), and a log-normal prior
round the published mean counts as one clip at first and fades.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

#: Spread of run times before any was seen (sigma of the log).
PRIOR_SIGMA = 0.25
#: After how many more clips one counts half.
HALF_LIFE = 38
#: From this many clips on, their own spread says how wide they are smoothed; and how narrow at least (of the log).
ENOUGH = 5
NARROWEST = 0.02
#: Widths that are tried, as parts of the widest; a clip that others foretell less than so (of the log) says nothing.
WIDTHS = (1.0, 0.5, 0.25, 0.125)
UNLIKELY = 1e-4
#: In the tail no box is wider than so many times the widest.
STRETCH = 4.0
#: Ages that a look may be put at, and how much finer the rise is reckoned.
GRID = 128
FINER = 3


@dataclass(frozen=True, slots=True)
class Belief:
    """The distribution of run times on a grid of ages: `mass[i]` ends in (ages[i-1], ages[i]], at `centre[i]`."""

    ages: tuple[float, ...]
    mass: tuple[float, ...]
    centre: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Run times by size, as logarithms, and what each one weighs; all of them weigh one."""

    logs: list[float]
    weights: list[float]

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Seen:
        """Weigh run times that come the oldest first."""
        newest = len(seconds) - 1
        points = sorted((math.log(value), 0.5 ** ((newest - i) / HALF_LIFE)) for i, value in enumerate(seconds))
        total = sum(weight for _, weight in points)
        return cls([x for x, _ in points], [weight / total for _, weight in points])

    def widest(self) -> float:
        """Half of a box's width by Silverman's rule; of few, the prior's, narrower with each of them."""
        if len(self.logs) < ENOUGH:
            return math.sqrt(3.0) * PRIOR_SIGMA / len(self.logs)
        middle = sum(w * x for x, w in zip(self.logs, self.weights, strict=True))
        spread = math.sqrt(sum(w * (x - middle) ** 2 for x, w in zip(self.logs, self.weights, strict=True)))
        effective = 1.0 / sum(w * w for w in self.weights)
        return max(NARROWEST, math.sqrt(3.0) * 0.9 * spread * float(effective**-0.2))


def believe(seconds: Sequence[float], expected: float) -> Belief:
    """Smooth what was seen (oldest first) and mix it with the prior; all in seconds."""
    told = math.log(max(expected, 1e-3))
    if not seconds:
        return _gridded(*_risen(Seen([], []), [], told, 1.0))
    seen = Seen.of(seconds)
    middle = seen.logs[len(seen.logs) // 2]
    centre = told if abs(told - middle) < 3 * PRIOR_SIGMA else middle  # it was told of another matter altogether
    return _gridded(*_risen(seen, _widths(seen), centre, (ENOUGH / (ENOUGH + len(seconds))) ** 4))


def _widths(seen: Seen) -> list[float]:
    """Give half the width of each box."""
    widest = seen.widest()
    if len(seen.logs) < ENOUGH:
        return [widest] * len(seen.logs)
    tried = [max(NARROWEST, part * widest) for part in WIDTHS]
    width, near = max(((width, _near(seen, width)) for width in tried), key=lambda each: _foretold(seen, *each))
    usual = math.exp(fmean(map(math.log, near)))
    return [max(NARROWEST, min(STRETCH * widest, width * math.sqrt(usual / weight))) for weight in near]


def _near(seen: Seen, width: float) -> list[float]:
    """Weigh what lies within a width of each clip, itself too."""
    below = [0.0, *accumulate(seen.weights)]
    return [below[bisect_right(seen.logs, x + width)] - below[bisect_left(seen.logs, x - width)] for x in seen.logs]


def _foretold(seen: Seen, width: float, near: list[float]) -> float:
    """The log-likelihood of each clip, had only the others been seen."""
    return sum(
        own * math.log(max(UNLIKELY, (weight - own) / (2 * width * (1 - own))))
        for own, weight in zip(seen.weights, near, strict=True)
    )


def _risen(seen: Seen, widths: list[float], centre: float, prior: float) -> tuple[list[float], list[float]]:
    """Give evenly spaced logarithms of ages, and the weight of what ends up to each."""
    low = min([centre - 4 * PRIOR_SIGMA, *(x - width for x, width in zip(seen.logs, widths, strict=True))])
    high = max([centre + 4 * PRIOR_SIGMA, *(x + width for x, width in zip(seen.logs, widths, strict=True))])
    points = FINER * GRID
    step = (high - low) / points
    start, slope = [0.0] * (points + 2), [0.0] * (points + 2)
    for x, weight, width in zip(seen.logs, seen.weights, widths, strict=True):
        rise, begins, ends = weight / (2 * width), x - width - low, x + width - low
        first, after = math.ceil(begins / step), min(points + 1, math.ceil(ends / step))
        start[first] -= rise * begins
        slope[first] += rise
        start[after] += rise * ends
        slope[after] -= rise
    fine = [low + step * i for i in range(points + 1)]
    boxes = (a + step * i * b for i, (a, b) in enumerate(zip(accumulate(start), accumulate(slope), strict=True)))
    curve = (0.5 + 0.5 * math.erf((x - centre) / (PRIOR_SIGMA * math.sqrt(2.0))) for x in fine)
    risen = accumulate((box + prior * share for box, share in zip(boxes, curve, strict=False)), max)
    return fine, list(risen)


def _gridded(fine: list[float], risen: list[float]) -> Belief:
    """Keep the grid points that matter: half of them spread over the ages, half over the ends."""
    top = risen[-1]
    rank = [0.5 * i / (len(fine) - 1) + 0.5 * share / top for i, share in enumerate(risen)]
    kept = sorted({bisect_left(rank, i / GRID) for i in range(1, GRID)} | {len(fine) - 1})
    ages = [math.exp(fine[i]) for i in kept]
    shares = [0.0, *(risen[i] / top for i in kept)]
    mass = tuple(after - before for before, after in pairwise(shares))
    starts = [math.exp(fine[0]), *ages[:-1]]
    return Belief(tuple(ages), mass, tuple((before + after) / 2 for before, after in zip(starts, ages, strict=True)))
