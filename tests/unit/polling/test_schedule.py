"""When to look: the cheapest looks for their lag, within the calls that can be spared."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_times import SHAPES, Spent, fewest_looks, fewest_within, fixed_interval, frontier, known, spent

from batchgen.polling.belief import ENOUGH, Belief, believe
from batchgen.polling.schedule import (
    COLD_LOOKS,
    FEWEST_LOOKS,
    MEMORY,
    MIN_STEP_S,
    MOST_LOOKS,
    NEAR,
    SCOUTS,
    TAIL_CAP_S,
    UNTOLD_S,
    Looks,
    RunTimes,
    affordable_looks,
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


def looks(times: RunTimes, until: float, *, calls: float = MOST_LOOKS, older: int = 0) -> list[float]:
    found, age = [], 0.0
    while age < until:
        age = next_look(age, times, calls=calls, older=older)
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


def worth(belief: Belief, chosen: tuple[float, ...], price: float, slow: float) -> float:
    """Looks + u + slow × u² of any schedule, straight from the definition."""
    total, before = 0.0, 0.0
    for look in chosen:
        for age, mass, centre in zip(belief.ages, belief.mass, belief.centre, strict=True):
            total += mass * (age > before)
            lag = price * (look - centre)
            total += mass * (lag + slow * lag**2) * (before < age <= look)
        before = look
    return total


def every_schedule(belief: Belief) -> list[tuple[float, ...]]:
    inner, last = belief.ages[:-1], belief.ages[-1:]
    sizes = range(len(inner) + 1)
    return [(*chosen, *last) for size in sizes for chosen in itertools.combinations(inner, size)]


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=9), st.floats(1e-4, 10.0), st.floats(0.0, 1.0))
def test_no_schedule_on_the_grid_is_cheaper(masses: list[float], price: float, slow: float) -> None:
    """The one claim of the module, against all schedules there are."""
    belief = small(masses)
    found = best_looks(belief, price, slow)
    least = min(worth(belief, chosen, price, slow) for chosen in every_schedule(belief))
    assert worth(belief, found.ages, price, slow) == pytest.approx(least)
    assert found.calls + price * found.lag == pytest.approx(worth(belief, found.ages, price, 0.0))


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=9), st.floats(1.0, 200.0), st.floats(0.0, 0.5))
def test_no_schedule_keeps_a_bound_on_the_lag_with_fewer_looks(masses: list[float], bound: float, late: float) -> None:
    """The yardstick for a quantile of the lag, against all schedules there are."""
    belief = small(masses)
    free = (math.inf,)
    for chosen in every_schedule(belief):
        ends = list(zip(belief.centre, belief.ages, belief.mass, strict=True))
        sees = [next(look for look in chosen if look >= age) for _, age, _ in ends]
        missed = sum(mass * (look - bound > centre) for (centre, _, mass), look in zip(ends, sees, strict=True))
        if missed <= late:
            free = (min(free[0], worth(belief, chosen, 0.0, 0.0)),)
    assert fewest_within(belief, bound, late) <= free[0] * (1 + 1e-6)


@dataclass(frozen=True)
class Truth:
    """A shape of run times, and the best schedules for it."""

    shape: str
    ends: list[float]
    belief: Belief
    best: list[Looks]

    def judged(self, clips: int, calls: float, seeds: int = 4) -> list[tuple[Spent, float]]:
        """What was learned from so many clips costs, and that by the looks of the best schedule of the same lag."""
        ours = []
        for seed in range(seeds):
            dice = random.Random(seed)
            times = learned([SHAPES[self.shape](dice) for _ in range(clips)])
            ours.append(spent(times.looks(calls).ages, self.ends))
        return [(each, each.looks / fewest_looks(self.best, each.lag)) for each in ours]


@pytest.fixture(scope="module", params=SHAPES)
def truth(request: pytest.FixtureRequest) -> Truth:
    """Each shape in turn."""
    dice = random.Random(77)
    ends = sorted(SHAPES[request.param](dice) for _ in range(4_000))
    return Truth(request.param, ends, known(ends), frontier(known(ends)))


#: Clips learned from, looks a clip → what it may cost of the optimum; a wish for six has more to get wrong.
BARS = {
    (20, 1.5): 1.15, (20, 2.0): 1.25, (20, 4.0): 1.4, (20, 6.0): 1.45,
    (60, 1.5): 1.15, (60, 2.0): 1.15, (60, 4.0): 1.2, (60, 6.0): 1.3,
    (240, 1.5): 1.15, (240, 2.0): 1.15, (240, 4.0): 1.15, (240, 6.0): 1.2,
}  # fmt: skip


@pytest.mark.parametrize(("clips", "calls"), BARS)
def test_what_was_learned_costs_hardly_more_than_knowing(truth: Truth, clips: int, calls: float) -> None:
    """Within 15 % of the looks that the best schedule for the true distribution takes, at the same mean lag."""
    assert fmean(ratio for _, ratio in truth.judged(clips, calls)) <= BARS[clips, calls]


def test_half_the_looks_of_a_fixed_interval_do_where_there_is_something_to_know(truth: Truth) -> None:
    """At the same 95th percentile of lag; the yardstick is the best schedule for just that, and it can't do magic."""
    for ours, _ in truth.judged(MEMORY, 4.0, seeds=2):
        fixed = fixed_interval(truth.ends, ours.p95)
        least = fewest_within(truth.belief, ours.p95)
        assert least / fixed >= 0.65 or ours.looks / fixed <= 0.6
        assert least / fixed >= 0.35 or ours.looks / fixed <= 0.5
        assert ours.looks <= 1.55 * least


def test_of_memoryless_run_times_nothing_can_be_saved() -> None:
    """How old it is says nothing of when it ends: no schedule beats the fixed interval, and ours is hardly worse."""
    dice = random.Random(5)
    ends = sorted(SHAPES["memoryless"](dice) for _ in range(8_000))
    ours = spent(learned([SHAPES["memoryless"](dice) for _ in range(MEMORY)]).looks(4.0).ages, ends)
    fixed = fixed_interval(ends, ours.p95)
    assert fewest_within(known(ends), ours.p95) >= 0.93 * fixed
    assert ours.looks <= 1.1 * fixed


@pytest.mark.parametrize("calls", [1.5, 2.0, 4.0])
def test_run_times_that_grow_by_half_are_followed(calls: float) -> None:
    """Over the clips that are remembered; what counts is how long they take at the end of them."""
    ratios = []
    for seed in range(4):
        dice = random.Random(seed)
        times = learned([dice.lognormvariate(math.log(213 * (1 + n / 480)), 0.15) for n in range(240)])
        ends = sorted(dice.lognormvariate(math.log(319.5), 0.15) for _ in range(4_000))
        ours = spent(times.looks(calls).ages, ends)
        ratios.append(ours.looks / fewest_looks(frontier(known(ends)), ours.lag))
    assert fmean(ratios) <= 1.15


def test_two_queues_are_not_smeared_into_one() -> None:
    """Nothing ends between them, and no look is worth anything there."""
    dice = random.Random(4)
    belief = believe([SHAPES["two modes"](dice) for _ in range(MEMORY)], 90.0)
    between = sum(mass for age, mass in zip(belief.ages, belief.mass, strict=True) if 130 < age < 210)
    assert between < 0.02


def test_the_newest_clips_say_the_most() -> None:
    """A queue that has gone is soon looked for no more."""
    belief = believe([100.0] * 120 + [200.0] * 120, 150.0)
    old = sum(mass for age, mass in zip(belief.ages, belief.mass, strict=True) if age < 120)
    assert 0.1 < old < 0.25


@given(st.lists(SECONDS, min_size=ENOUGH, max_size=40), st.floats(1.1, MOST_LOOKS), st.floats(0.0, 1e3))
def test_a_guess_of_the_price_saves_tries_and_changes_nothing_else(
    seen: list[float], calls: float, guess: float
) -> None:
    """Of the last belief's price: so near is near enough from either side."""
    belief = believe(seen, 213.0)
    straight, guessed = looks_for(belief, calls), looks_for(belief, calls, guess)
    if abs(straight.calls - calls) <= NEAR * calls:
        assert abs(guessed.calls - calls) <= abs(straight.calls - calls) + 2 * NEAR * calls


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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.2, 1.0, 1.4])
def test_where_less_than_a_look_and_a_half_is_left_no_more_is_taken(shape: str, share: float) -> None:
    """Whatever the run times are like, and also by what really happens, not only by what is believed."""
    dice = random.Random(3)
    times = learned([SHAPES[shape](dice) for _ in range(MEMORY)])
    ages = times.looks(affordable_looks(share * 0.2, 0.2)).ages
    assert spent(ages, [SHAPES[shape](dice) for _ in range(2_000)]).looks <= 1.5


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
    assert looks(RunTimes(213.0), 213.0, older=1)[0] > 100.0


def test_while_nothing_is_known_the_oldest_few_look_for_all() -> None:
    """Hundreds of jobs that run for half an hour would be looked at each minute, by an expectation of minutes."""
    for expected in (0.0, 213.0):
        times = RunTimes(expected)
        assert looks(times, 1800.0, older=SCOUTS - 1)[0] < 300.0
        rest = looks(times, 3500.0, older=SCOUTS)
        assert rest[0] == UNTOLD_S  # were the oldest ones stuck, half of the hour is left
        assert 2 <= len(rest) <= 4


def test_scouts_see_the_first_ends_soon_however_scarce_calls_are() -> None:
    """What they tell moves the looks of all."""
    few = learned([1800.0] * (SCOUTS - 1))
    scouts = [looks(few, 1800.0, calls=FEWEST_LOOKS, older=older)[-1] for older in (0, SCOUTS - 1)]
    assert max(scouts) < 1900.0 < looks(few, 1800.0, calls=FEWEST_LOOKS, older=SCOUTS)[-1]
    few.learn(1800.0)
    assert len({looks(few, 1800.0, calls=FEWEST_LOOKS, older=older)[-1] for older in (0, SCOUTS)}) == 1


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


@given(st.lists(st.floats(0.0, 500.0), min_size=ENOUGH, max_size=2 * MEMORY))
def test_the_quickest_run_is_of_the_remembered(runs: list[float]) -> None:
    """The queue of yesterday's model is not tonight's."""
    times = RunTimes(213.0)
    for seconds in runs:
        times.learn(500.0, seconds)
    last = sorted(runs[-MEMORY:])
    assert times.quickest == last[len(last) // 20]
