"""When to look: the cheapest looks for their lag, within the calls that can be spared."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_times import SHAPES, fewest_looks, frontier, known, spent

from batchgen.schedule import (
    COLD_LOOKS,
    FEWEST_LOOKS,
    MEMORY,
    MIN_STEP_S,
    MOST_LOOKS,
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


@given(st.floats(0, 10_000), st.lists(SECONDS, max_size=30), st.floats(0, 1000), st.floats(0, 100))
def test_the_next_look_is_always_later(age: float, seen: list[float], mean: float, calls: float) -> None:
    """A look at "now" would be a storm."""
    assert next_look(age, learned(seen, mean), calls=calls) >= age + MIN_STEP_S * 0.999


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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("calls", [1.5, 2.0, 4.0])
def test_what_was_learned_costs_hardly_more_than_knowing(shape: str, calls: float) -> None:
    """Within 15 % of the looks that the best schedule for the true distribution takes, at the same lag."""
    dice = random.Random(7)
    times = learned([SHAPES[shape](dice) for _ in range(MEMORY)])
    ends = sorted(SHAPES[shape](dice) for _ in range(4_000))
    ours = spent(times.looks(calls).ages, ends)
    assert ours.looks <= 1.15 * fewest_looks(frontier(known(ends)), ours.lag)


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
    assert times.looks(affordable_looks(0.1, 0.2)).calls < 1.5


@given(st.floats(0, 20), st.floats(0.001, 20))
def test_looks_take_what_submissions_and_results_leave(spare: float, ends: float) -> None:
    """Polls must leave room for submissions, and use what is left."""
    affordable = affordable_looks(spare, ends)
    assert FEWEST_LOOKS <= affordable <= MOST_LOOKS
    assert affordable == FEWEST_LOOKS or affordable * ends <= spare * 1.001
    assert affordable == MOST_LOOKS or affordable * ends >= spare * 0.999


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
