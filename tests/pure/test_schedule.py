"""When to look: always later, dense round the expected end, sparse in the tail, within the budget of calls."""

from __future__ import annotations

import itertools
import math
import random

from hypothesis import given
from hypothesis import strategies as st

from batchgen.schedule import COLD_LOOKS, MEMORY, MIN_STEP_S, TAIL_CAP_S, RunTimes, next_look

SECONDS = st.floats(0.01, 4000.0)


def learned(values: list[float], expected: float = 213.0) -> RunTimes:
    times = RunTimes(expected)
    for value in values:
        times.learn(value)
    return times


def looks(times: RunTimes, until: float) -> list[float]:
    found, age = [], 0.0
    while age < until:
        age = next_look(age, times)
        found.append(age)
    return found


@given(st.floats(0, 10_000), st.lists(SECONDS, max_size=30), st.floats(0, 1000), st.integers(1, 500), SECONDS)
def test_the_next_look_is_always_later(age: float, seen: list[float], mean: float, waiting: int, rate: float) -> None:
    """A look at "now" would be a storm."""
    assert next_look(age, learned(seen, mean), waiting=waiting, calls_per_s=rate) >= age + MIN_STEP_S * 0.999


@given(st.floats(0, 3600), st.lists(SECONDS, max_size=30), st.integers(1, 300), st.floats(0.05, 10))
def test_looks_of_all_that_wait_keep_to_the_budget(age: float, seen: list[float], waiting: int, rate: float) -> None:
    """Polls must leave room for submissions."""
    times = learned(seen)
    early = times.count == 0 and age < COLD_LOOKS[-1] * times.expected
    look = next_look(age, times, waiting=waiting, calls_per_s=rate)
    assert early or look - age >= waiting / rate * 0.999


@given(st.lists(SECONDS, min_size=0, max_size=60), st.floats(0.02, 600))
def test_a_whole_wait_takes_a_bounded_number_of_looks(seen: list[float], ends: float) -> None:
    """Half a minute of polling once a second is what this replaces."""
    assert len(looks(learned(seen), ends)) <= 200


def test_the_first_look_after_learning_is_late() -> None:
    """Nothing ends in its first seconds, and each look costs a call."""
    times = learned([200.0 + n for n in range(20)])
    assert next_look(0.0, times) >= 200.0


def test_looks_are_dense_where_requests_end_and_sparse_before_and_after() -> None:
    """The lag after the end is what a person waits for."""
    dice = random.Random(1)
    times = learned([dice.gauss(210, 15) for _ in range(100)])
    found = looks(times, 900.0)
    round_the_end = [look for look in found if 190 <= look <= 240]
    assert found[0] > 170
    assert 4 <= len(round_the_end) <= 14
    assert len([look for look in found if look > 300]) <= 15


def test_a_cold_start_looks_early_because_an_expectation_can_be_wrong() -> None:
    """A sandbox of four seconds must not wait for three minutes."""
    found = looks(RunTimes(213.0), 213.0)
    assert found[:4] == [213.0 * part for part in COLD_LOOKS]


def test_the_tail_is_never_more_than_a_minute_apart() -> None:
    """What is late is still worth money."""
    found = looks(learned([10.0] * 20), 3600.0)
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert max(gaps) <= TAIL_CAP_S + 1e-6


def test_the_oldest_run_times_are_forgotten() -> None:
    """Yesterday's queue says little of tonight's."""
    times = learned([1.0] * MEMORY + [100.0] * MEMORY)
    assert times.count == MEMORY
    assert times.typical == 100.0


@given(st.lists(SECONDS, min_size=1, max_size=3 * MEMORY))
def test_the_median_is_of_the_remembered(seen: list[float]) -> None:
    """The sorted copy must follow the queue."""
    times = learned(seen)
    last = sorted(seen[-MEMORY:])
    assert times.typical == last[len(last) // 2]
    assert times.ended_by(math.inf) == 1.0


@given(st.lists(SECONDS, max_size=20), st.floats(0, 5000), st.floats(0, 5000))
def test_the_share_that_has_ended_only_grows(seen: list[float], one: float, other: float) -> None:
    """It is a distribution."""
    times, (early, late) = learned(seen), sorted((one, other))
    assert 0.0 <= times.ended_by(early) <= times.ended_by(late) <= 1.0


def test_nothing_expected_is_looked_at_at_once() -> None:
    """A manifest may expect 0 seconds."""
    assert next_look(0.0, RunTimes(0.0)) <= 1.0
