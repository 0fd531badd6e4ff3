"""The distribution of run times, estimated from those seen lately. Pure.

Each run time is spread over a box in the logarithm of the age, so that the luck of twenty clips is taken for no shape.
How wide its box is follows from its near neighbours (Loftsgaarden and Quesenberry, 1965): narrow where many end, so
that two queues are not smeared into one, and wide in the tail. The newest clip counts most, so that drift is followed.
A log-normal prior round the published mean counts at first and fades.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

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
