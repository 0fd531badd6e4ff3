"""When to look: the cheapest looks for their lag, within the calls that can be spared."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.schedule import (
    COLD_LOOKS,
    MEMORY,
    MIN_STEP_S,
    MOST_LOOKS,
    OTHER_CALLS,
    TAIL_CAP_S,
    Belief,
    RunTimes,
    affordable_looks,
    believe,
    best_looks,
    looks_for,
    next_look,
)

SECONDS = st.floats(0.01, 4000.0)


def learned(values: list[float], expected: float = 213.0) -> RunTimes:
    times = RunTimes(expected)
    for value in values:
        times.learn(value)
    return times


def looks(times: RunTimes, until: float, *, first: bool = True) -> list[float]:
    found, age = [], 0.0
    while age < until:
        age = next_look(age, times, first=first)
        found.append(age)
    return found


@given(st.floats(0, 10_000), st.lists(SECONDS, max_size=30), st.floats(0, 1000), st.integers(1, 500), SECONDS)
def test_the_next_look_is_always_later(age: float, seen: list[float], mean: float, waiting: int, rate: float) -> None:
    """A look at "now" would be a storm."""
    assert next_look(age, learned(seen, mean), waiting=waiting, calls_per_s=rate) >= age + MIN_STEP_S * 0.999


@given(st.lists(SECONDS, max_size=60), st.floats(0.02, 600))
def test_a_whole_wait_takes_a_bounded_number_of_looks(seen: list[float], ends: float) -> None:
    """Half a minute of polling once a second is what this replaces."""
    assert len(looks(learned(seen), ends)) <= 120


def small(masses: list[float]) -> Belief:
    total = sum(masses)
    ages = tuple(10.0 * (i + 1) ** 1.3 for i in range(len(masses)))
    centres = tuple((before + after) / 2 for before, after in itertools.pairwise((0.0, *ages)))
    return Belief(ages, tuple(mass / total for mass in masses), centres)


def worth(belief: Belief, chosen: tuple[float, ...], price: float) -> float:
    """Looks + price × lag of any schedule, straight from the definition."""
    total, before = 0.0, 0.0
    for look in chosen:
        for age, mass, centre in zip(belief.ages, belief.mass, belief.centre, strict=True):
            total += mass * (age > before)
            total += price * mass * (look - centre) * (before < age <= look)
        before = look
    return total


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=9), st.floats(1e-4, 10.0))
def test_no_schedule_on_the_grid_is_cheaper(masses: list[float], price: float) -> None:
    """The one claim of the module, against all schedules there are."""
    belief = small(masses)
    inner, last = belief.ages[:-1], belief.ages[-1:]
    every = (
        worth(belief, (*chosen, *last), price)
        for size in range(len(inner) + 1)
        for chosen in itertools.combinations(inner, size)
    )
    found = best_looks(belief, price)
    assert worth(belief, found.ages, price) == pytest.approx(min(every))
    assert found.calls + price * found.lag == pytest.approx(worth(belief, found.ages, price))


SHAPES: dict[str, Callable[[random.Random], float]] = {
    "narrow": lambda dice: dice.lognormvariate(math.log(213), 0.1),
    "log-normal": lambda dice: dice.lognormvariate(math.log(213), 0.25),
    "wide": lambda dice: dice.lognormvariate(math.log(213), 0.5),
    "two modes": lambda dice: dice.lognormvariate(math.log(90 if dice.random() < 0.4 else 300), 0.1),
    "uniform": lambda dice: dice.uniform(120, 300),
    "memoryless": lambda dice: dice.expovariate(1 / 213),
    "heavy tail": lambda dice: 150 * dice.paretovariate(3),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("calls", [1.5, 2.0, 4.0])
def test_what_was_learned_costs_hardly_more_than_knowing(shape: str, calls: float) -> None:
    """Within 15 % of the looks that the best schedule for the true distribution takes, at the same lag."""
    dice = random.Random(7)
    times = learned([SHAPES[shape](dice) for _ in range(MEMORY)])
    ends = sorted(SHAPES[shape](dice) for _ in range(4_000))
    ours, lag = spent(times.looks(calls).ages, ends)
    truth = known(ends)
    frontier = sorted((best.lag, best.calls) for best in (best_looks(truth, 10 ** (x / 4)) for x in range(-24, 2)))
    cheaper, dearer = next(pair for pair in itertools.pairwise(frontier) if pair[0][0] <= lag <= pair[1][0])
    part = (lag - cheaper[0]) / (dearer[0] - cheaper[0])
    assert ours <= 1.15 * (cheaper[1] + part * (dearer[1] - cheaper[1]))


def spent(chosen: tuple[float, ...], ends: list[float]) -> tuple[float, float]:
    """Mean looks and mean lag of jobs that end at these ages; beyond the last look they go on by its last step."""
    ages = [*chosen, *(chosen[-1] * 1.08**n for n in range(1, 60))]
    seen = [bisect_left(ages, end) for end in ends]
    return fmean(n + 1 for n in seen), fmean(ages[n] - end for n, end in zip(seen, ends, strict=True))


def known(ends: list[float]) -> Belief:
    """The true distribution, unsmoothed: a look may be at every 300th of the ends, and in the gaps between."""
    marks = [*ends[:: len(ends) // 300], ends[-1]]
    ages = sorted({*marks, *(low * 1.02**n for low, high in itertools.pairwise(marks) for n in range(fill(low, high)))})
    sums = list(itertools.accumulate(ends, initial=0.0))
    upto = [0, *(bisect_right(ends, age) for age in ages)]
    cells = list(itertools.pairwise(upto))
    centres = [(sums[b] - sums[a]) / (b - a) if b > a else age for (a, b), age in zip(cells, ages, strict=True)]
    return Belief(tuple(ages), tuple((b - a) / len(ends) for a, b in cells), tuple(centres))


def fill(low: float, high: float) -> int:
    return min(100, int(math.log(high / low) / math.log(1.02))) + 1 if low > 0 else 1


@given(st.lists(SECONDS, max_size=40), st.floats(1.1, MOST_LOOKS))
def test_a_wish_for_so_many_looks_is_kept(seen: list[float], calls: float) -> None:
    """What the rate leaves is spent, and not much more."""
    found = looks_for(believe(seen, 213.0), calls)
    assert found.calls <= 1.6 * calls + 0.5
    assert list(found.ages) == sorted(found.ages)


def test_scarce_calls_mean_hardly_more_than_one_look_a_clip() -> None:
    """Each wasted look is taken from a submission."""
    dice = random.Random(2)
    times = learned([dice.lognormvariate(math.log(213), 0.25) for _ in range(100)])
    assert times.looks(affordable_looks(200, 0.8, times.typical)).calls < 1.5


@given(st.integers(1, 500), st.floats(0.05, 20), SECONDS)
def test_looks_submissions_and_results_together_keep_to_the_rate(waiting: int, rate: float, typical: float) -> None:
    """Polls must leave room for submissions."""
    affordable = affordable_looks(waiting, rate, typical)
    assert affordable <= 1.0 or waiting / typical * (affordable + OTHER_CALLS) <= rate * 1.001


def test_the_first_look_after_learning_is_late() -> None:
    """Nothing ends in its first seconds, and each look costs a call."""
    times = learned([200.0 + n for n in range(20)])
    assert next_look(0.0, times) >= 195.0


def test_looks_are_dense_where_requests_end_and_sparse_before_and_after() -> None:
    """The lag after the end is what a person waits for."""
    dice = random.Random(1)
    times = learned([dice.gauss(210, 15) for _ in range(100)])
    found = looks(times, 900.0)
    round_the_end = [look for look in found if 190 <= look <= 240]
    assert found[0] > 160
    assert 4 <= len(round_the_end) <= 18
    assert len([look for look in found if look > 300]) <= 30


def test_a_cold_start_looks_early_because_an_expectation_can_be_wrong() -> None:
    """A sandbox of four seconds must not wait for three minutes; one scout is enough for all."""
    found = looks(RunTimes(213.0), 213.0)
    assert found[:4] == [213.0 * part for part in COLD_LOOKS]
    assert looks(RunTimes(213.0), 213.0, first=False)[0] > 100.0


def test_the_tail_is_never_more_than_a_minute_apart() -> None:
    """What is late is still worth money."""
    found = looks(learned([10.0] * 20), 3600.0)
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert max(gaps) <= TAIL_CAP_S + 1e-6


def test_the_oldest_run_times_are_forgotten_and_the_newest_count_most() -> None:
    """Yesterday's queue says little of tonight's."""
    times = learned([10.0] * MEMORY + [100.0] * MEMORY)
    assert times.count == MEMORY
    assert times.typical == 100.0
    drifting = learned([100.0] * MEMORY + [300.0] * (MEMORY // 2))
    assert drifting.looks(4.0).lag < 20.0
    assert sum(1 for look in drifting.looks(4.0).ages if 280 < look < 330) >= 2


@given(st.lists(SECONDS, min_size=1, max_size=2 * MEMORY))
def test_the_median_is_of_the_remembered(seen: list[float]) -> None:
    """The estimate of the time left is made of it."""
    last = sorted(seen[-MEMORY:])
    assert learned(seen).typical == last[len(last) // 2]


@given(st.lists(SECONDS, max_size=60), SECONDS)
def test_a_belief_is_a_distribution_on_growing_ages(seen: list[float], expected: float) -> None:
    """All that the best looks are worked out from."""
    belief = believe(seen, expected)
    assert sum(belief.mass) == pytest.approx(1.0)
    assert min(belief.mass) >= 0.0
    assert all(before < after for before, after in itertools.pairwise(belief.ages))


def test_nothing_expected_is_looked_at_at_once() -> None:
    """A manifest may expect 0 seconds."""
    assert next_look(0.0, RunTimes(0.0)) <= 1.0


def test_the_quickest_run_is_known_once_enough_were_seen() -> None:
    """What still queues can't end sooner than that."""
    times = RunTimes(213.0)
    for seconds in (100.0, 90.0, 80.0, 200.0):
        times.learn(seconds + 50.0, seconds)
    assert times.quickest == 0.0
    times.learn(150.0, 60.0)
    assert times.quickest == 60.0
