"""When to poll: the fewest polls for their lag, within the calls that can be spared."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_times import SHAPES, Spent, fewest_polls, fewest_within, fixed_interval, frontier, known, spent

from batchgen.polling.schedule import (
    COLD_POLLS,
    ENOUGH,
    FEWEST_POLLS,
    HALF_LIFE,
    LATELY,
    MEMORY,
    MIN_STEP_S,
    MOST_POLLS,
    NEAR,
    SCOUTS,
    TAIL_CAP_S,
    UNKNOWN_S,
    Distribution,
    RunTimes,
    Schedule,
    affordable_polls,
    best_polls,
    estimate,
    next_poll,
    schedule_for,
)

SECONDS = st.floats(0.01, 4000.0)


def learned(values: list[float], expected: float = 213.0) -> RunTimes:
    times = RunTimes(expected)
    for value in values:
        times.learn(value)
    return times


def polled(times: RunTimes, until: float, *, polls: float = MOST_POLLS, older: int = 0) -> list[float]:
    found, age = [], 0.0
    while age < until:
        age = next_poll(age, times, polls=polls, older=older)
        found.append(age)
    return found


@given(st.floats(0, 10_000), st.lists(SECONDS, max_size=30), st.floats(0, 1000), st.floats(0, 100))
def test_the_next_poll_is_always_later(age: float, seen: list[float], mean: float, calls: float) -> None:
    """A poll at "now" would be a storm."""
    assert next_poll(age, learned(seen, mean), polls=calls) >= age + MIN_STEP_S * 0.999


@given(st.lists(SECONDS, max_size=60), st.floats(0.02, 600))
def test_a_whole_wait_takes_a_bounded_number_of_polls(seen: list[float], ends: float) -> None:
    """Half a minute of polling once a second is what this replaces."""
    assert len(polled(learned(seen), ends)) <= 120


def small(masses: list[float]) -> Distribution:
    ages = [0.0, *(10.0 * (i + 1) ** 1.3 for i in range(len(masses)))]
    shares = [mass / sum(masses) for mass in masses]
    centres = [(before + after) / 2 for before, after in itertools.pairwise(ages)]
    powers = [[share * centre**power for share, centre in zip(shares, centres, strict=True)] for power in (0, 1, 2)]
    return Distribution(ages, *([0.0, *itertools.accumulate(power)] for power in powers))


def cells(known: Distribution) -> list[tuple[float, float, float]]:
    """Age, share that ends since the age before, and the mean of its run times."""
    steps = list(zip(known.ages, known.ended, known.weighed, strict=True))
    return [
        (age, ended - before[1], (weighed - before[2]) / (ended - before[1]))
        for before, (age, ended, weighed) in itertools.pairwise(steps)
    ]


def worth(known: Distribution, chosen: Sequence[float], price: float, slow: float) -> float:
    """Polls + u + slow × u² of any schedule, straight from the definition."""
    total, before, all_cells = 0.0, 0.0, cells(known)
    for poll in chosen:
        for age, share, centre in all_cells:
            total += share * (age > before)
            lag = price * (poll - centre)
            total += share * (lag + slow * lag**2) * (before < age <= poll)
        before = poll
    return total


def every_schedule(known: Distribution) -> list[tuple[float, ...]]:
    inner, last = known.ages[1:-1], known.ages[-1:]
    sizes = range(len(inner) + 1)
    return [(*chosen, *last) for size in sizes for chosen in itertools.combinations(inner, size)]


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=9), st.floats(1e-4, 10.0), st.floats(0.0, 1.0))
def test_no_schedule_on_the_grid_is_cheaper(masses: list[float], price: float, slow: float) -> None:
    """The one claim of the module, against all schedules there are."""
    known = small(masses)
    found = best_polls(known, price, slow)
    least = min(worth(known, chosen, price, slow) for chosen in every_schedule(known))
    assert worth(known, found.ages, price, slow) == pytest.approx(least)
    assert found.polls + price * found.lag == pytest.approx(worth(known, found.ages, price, 0.0))


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=9), st.floats(1.0, 200.0), st.floats(0.0, 0.5))
def test_no_schedule_keeps_a_bound_on_the_lag_with_fewer_polls(masses: list[float], bound: float, late: float) -> None:
    """The yardstick for a quantile of the lag, against all schedules there are."""
    known = small(masses)
    free, all_cells = math.inf, cells(known)
    for chosen in every_schedule(known):
        sees = [next(poll for poll in chosen if poll >= age) for age, _, _ in all_cells]
        missed = sum(share * (poll - bound > centre) for (_, share, centre), poll in zip(all_cells, sees, strict=True))
        if missed <= late:
            free = min(free, worth(known, chosen, 0.0, 0.0))
    assert fewest_within(known, bound, late) <= free * (1 + 1e-6)


@dataclass(frozen=True)
class Truth:
    """A shape of run times, and the best schedules for it."""

    shape: str
    ends: list[float]
    known: Distribution
    best: list[Schedule]

    def judged(self, clips: int, calls: float, seeds: int = 4) -> list[tuple[Spent, float]]:
        """What was learned from so many clips costs, and that by the polls of the best schedule of the same lag."""
        ours = []
        for seed in range(seeds):
            dice = random.Random(seed)
            times = learned([SHAPES[self.shape](dice) for _ in range(clips)])
            ours.append(spent(times.schedule(calls).ages, self.ends))
        return [(each, each.polls / fewest_polls(self.best, each.lag)) for each in ours]


#: The shapes of the fast tier.
QUICK = {"log-normal", "two modes", "memoryless", "heavy tail"}


@pytest.fixture(
    scope="module", params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SHAPES]
)
def truth(request: pytest.FixtureRequest) -> Truth:
    """Each shape in turn."""
    dice = random.Random(77)
    ends = sorted(SHAPES[request.param](dice) for _ in range(4_000))
    return Truth(request.param, ends, known(ends), frontier(known(ends)))


#: Clips learned from, polls a clip → what it may cost of the optimum; a wish for six has more to get wrong.
BARS = {
    (20, 1.5): 1.15, (20, 2.0): 1.25, (20, 4.0): 1.4, (20, 6.0): 1.45,
    (60, 1.5): 1.15, (60, 2.0): 1.15, (60, 4.0): 1.2, (60, 6.0): 1.3,
    (240, 1.5): 1.15, (240, 2.0): 1.15, (240, 4.0): 1.15, (240, 6.0): 1.2,
}  # fmt: skip


@pytest.mark.parametrize(("clips", "calls"), BARS)
def test_what_was_learned_costs_hardly_more_than_knowing(truth: Truth, clips: int, calls: float) -> None:
    """Within 15 % of the polls that the best schedule for the true distribution takes, at the same mean lag."""
    assert fmean(ratio for _, ratio in truth.judged(clips, calls)) <= BARS[clips, calls]


def test_half_the_polls_of_a_fixed_interval_do_where_there_is_something_to_know(truth: Truth) -> None:
    """At the same 95th percentile of lag; the yardstick is the best schedule for just that, and it can't do magic."""
    for ours, _ in truth.judged(MEMORY, 4.0, seeds=2):
        fixed = fixed_interval(truth.ends, ours.p95)
        least = fewest_within(truth.known, ours.p95)
        assert least / fixed >= 0.65 or ours.polls / fixed <= 0.6
        assert least / fixed >= 0.35 or ours.polls / fixed <= 0.5
        assert ours.polls <= 1.55 * least


def test_of_memoryless_run_times_nothing_can_be_saved() -> None:
    """How old it is says nothing of when it ends: no schedule beats the fixed interval, and ours is hardly worse."""
    dice = random.Random(5)
    ends = sorted(SHAPES["memoryless"](dice) for _ in range(8_000))
    ours = spent(learned([SHAPES["memoryless"](dice) for _ in range(MEMORY)]).schedule(4.0).ages, ends)
    fixed = fixed_interval(ends, ours.p95)
    assert fewest_within(known(ends), ours.p95) >= 0.93 * fixed
    assert ours.polls <= 1.1 * fixed


@pytest.mark.parametrize("calls", [1.5, 2.0, 4.0])
def test_run_times_that_grow_by_half_are_followed(calls: float) -> None:
    """Over the clips that are remembered; what counts is how long they take at the end of them."""
    ratios = []
    for seed in range(4):
        dice = random.Random(seed)
        times = learned([dice.lognormvariate(math.log(213 * (1 + n / 480)), 0.15) for n in range(240)])
        ends = sorted(dice.lognormvariate(math.log(319.5), 0.15) for _ in range(4_000))
        ours = spent(times.schedule(calls).ages, ends)
        ratios.append(ours.polls / fewest_polls(frontier(known(ends)), ours.lag))
    assert fmean(ratios) <= 1.15


def ended_by(found: Distribution, age: float) -> float:
    return found.ended[bisect_right(found.ages, age) - 1]


def test_two_queues_are_not_smeared_into_one() -> None:
    """Nothing ends between them, and no poll is worth anything there."""
    dice = random.Random(4)
    found = estimate([SHAPES["two modes"](dice) for _ in range(MEMORY)], 90.0)
    assert ended_by(found, 210.0) - ended_by(found, 130.0) < 0.02


def test_the_newest_clips_say_the_most() -> None:
    """A queue that has gone is soon forgotten: what came 120 clips before counts by four half-lives less."""
    old = 0.5 ** (120 / HALF_LIFE)
    found = estimate([100.0] * 120 + [200.0] * 120, 150.0)
    assert ended_by(found, 120.0) == pytest.approx(old / (1.0 + old), rel=0.05)


@given(st.lists(SECONDS, min_size=ENOUGH, max_size=40), st.floats(1.1, MOST_POLLS), st.floats(0.0, 1e3))
def test_a_guess_of_the_price_saves_tries_and_changes_nothing_else(
    seen: list[float], calls: float, guess: float
) -> None:
    """Of the last price: so near is near enough from either side."""
    found = estimate(seen, 213.0)
    straight, guessed = schedule_for(found, calls), schedule_for(found, calls, guess)
    if abs(straight.polls - calls) <= NEAR * calls:
        assert abs(guessed.polls - calls) <= abs(straight.polls - calls) + 2 * NEAR * calls


@given(st.lists(SECONDS, max_size=40), st.floats(1.1, MOST_POLLS))
def test_a_wish_for_so_many_polls_is_kept(seen: list[float], calls: float) -> None:
    """What the rate leaves is spent, and not much more."""
    found = schedule_for(estimate(seen, 213.0), calls)
    assert found.polls <= 1.6 * calls + 0.5
    assert list(found.ages) == sorted(found.ages)


def test_scarce_calls_mean_hardly_more_than_one_poll_a_clip() -> None:
    """Each wasted poll is taken from a submission."""
    dice = random.Random(2)
    times = learned([dice.lognormvariate(math.log(213), 0.25) for _ in range(100)])
    assert times.schedule(affordable_polls(0.1, 0.2)).polls < 1.5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.2, 1.0, 1.4])
def test_where_less_than_a_poll_and_a_half_is_left_no_more_is_taken(shape: str, share: float) -> None:
    """Whatever the run times are like, and also by what really happens, not only by what is believed."""
    dice = random.Random(3)
    times = learned([SHAPES[shape](dice) for _ in range(MEMORY)])
    ages = times.schedule(affordable_polls(share * 0.2, 0.2)).ages
    assert spent(ages, [SHAPES[shape](dice) for _ in range(2_000)]).polls <= 1.5


@given(st.floats(0, 20), st.floats(0.001, 20))
def test_polls_take_what_submissions_and_results_leave(spare: float, ends: float) -> None:
    """Polls must leave room for submissions, and use what is left."""
    affordable = affordable_polls(spare, ends)
    assert FEWEST_POLLS <= affordable <= MOST_POLLS
    assert affordable == FEWEST_POLLS or affordable * ends <= spare * 1.001
    assert affordable == MOST_POLLS or affordable * ends >= spare * 0.999


def test_the_first_poll_after_learning_is_late() -> None:
    """Nothing ends in its first seconds, and each poll costs a call."""
    times = learned([200.0 + n for n in range(20)])
    assert next_poll(0.0, times) >= 195.0


def test_polls_are_dense_where_requests_end_and_sparse_before_and_after() -> None:
    """The lag after the end is what a person waits for."""
    dice = random.Random(1)
    times = learned([dice.gauss(210, 15) for _ in range(100)])
    found = polled(times, 900.0)
    round_the_end = [poll for poll in found if 190 <= poll <= 240]
    assert found[0] > 160
    assert 4 <= len(round_the_end) <= 18
    assert len([poll for poll in found if poll > 300]) <= 30


def test_a_cold_start_polls_early_because_an_expectation_can_be_wrong() -> None:
    """A sandbox of four seconds must not wait for three minutes; one scout is enough for all."""
    found = polled(RunTimes(213.0), 213.0)
    assert found[:4] == [213.0 * part for part in COLD_POLLS]
    assert polled(RunTimes(213.0), 213.0, older=1)[0] > 100.0


def test_while_nothing_is_known_the_oldest_few_are_polled_for_all() -> None:
    """Hundreds of jobs that run for half an hour would be polled each minute, by an expectation of minutes."""
    for expected in (0.0, 213.0):
        times = RunTimes(expected)
        assert polled(times, 1800.0, older=SCOUTS - 1)[0] < 300.0
        rest = polled(times, 3500.0, older=SCOUTS)
        assert rest[0] == UNKNOWN_S  # were the oldest ones stuck, half of the hour is left
        assert 2 <= len(rest) <= 4


def test_scouts_see_the_first_ends_soon_however_scarce_calls_are() -> None:
    """Their ends move the polls of all."""
    few = learned([1800.0] * (SCOUTS - 1))
    scouts = [polled(few, 1800.0, polls=FEWEST_POLLS, older=older)[-1] for older in (0, SCOUTS - 1)]
    assert max(scouts) < 1900.0 < polled(few, 1800.0, polls=FEWEST_POLLS, older=SCOUTS)[-1]
    few.learn(1800.0)
    assert len({polled(few, 1800.0, polls=FEWEST_POLLS, older=older)[-1] for older in (0, SCOUTS)}) == 1


def test_the_tail_is_never_more_than_a_minute_apart() -> None:
    """What is late is still worth money."""
    found = polled(learned([10.0] * 20), 3600.0)
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert max(gaps) <= TAIL_CAP_S + 1e-6


def test_the_oldest_run_times_are_forgotten_and_the_newest_count_most() -> None:
    """Yesterday's queue says little of tonight's."""
    times = learned([10.0] * MEMORY + [100.0] * MEMORY)
    assert times.count == MEMORY
    assert times.typical == 100.0
    drifting = learned([100.0] * MEMORY + [300.0] * (MEMORY // 2))
    assert drifting.schedule(4.0).lag < 20.0
    assert sum(1 for poll in drifting.schedule(4.0).ages if 280 < poll < 330) >= 2


@given(st.lists(SECONDS, min_size=1, max_size=2 * MEMORY))
def test_the_median_is_of_the_remembered(seen: list[float]) -> None:
    """The estimate of the time left is made of it."""
    last = sorted(seen[-MEMORY:])
    assert learned(seen).typical == last[len(last) // 2]


@given(st.lists(SECONDS, max_size=60), SECONDS)
def test_an_estimate_is_a_distribution_on_growing_ages(seen: list[float], expected: float) -> None:
    """All that the best polls are worked out from."""
    found = estimate(seen, expected)
    assert found.ages[0] == found.ended[0] == found.weighed[0] == 0.0
    assert found.ended[-1] == pytest.approx(1.0)
    assert all(before < after for before, after in itertools.pairwise(found.ages))
    assert all(before < after for before, after in itertools.pairwise(found.ended))
    for (low, high), (_, share, centre) in zip(itertools.pairwise(found.ages), cells(found), strict=True):
        assert low * (1 - 1e-6) <= centre <= high * (1 + 1e-6) or share < 1e-9


def test_what_is_expected_to_take_no_time_is_polled_at_once() -> None:
    """A manifest may expect 0 seconds."""
    assert next_poll(0.0, RunTimes(0.0)) <= 1.0


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


def test_a_queue_that_has_gone_is_in_no_forecast() -> None:
    """Others took most slots for a while: what ends without a queue now must not wait for polls that fit a long one."""
    times = RunTimes(213.0)
    for n in range(60):
        times.learn(210.0 + n % 7, 210.0 + n % 7)
    for n in range(60):
        times.learn(810.0 + n % 7, 210.0 + n % 7)
    assert next_poll(0.0, times, polls=FEWEST_POLLS) > 700.0
    for _ in range(LATELY):
        times.learn(213.0, 213.0)
    assert 213.0 <= times.typical <= 217.0
    assert next_poll(0.0, times, polls=FEWEST_POLLS) < 230.0
    assert times.schedule(FEWEST_POLLS).lag < 20.0


def test_a_queue_that_comes_is_in_the_forecast_at_once_and_an_unknown_one_never() -> None:
    """It is judged by the latest few alone, and by what the service reports of it."""
    times = RunTimes(213.0)
    for _ in range(MEMORY):
        times.learn(300.0)
    assert times.typical == 300.0
    times = learned([])
    for _ in range(40):
        times.learn(813.0, 213.0)
    for queue in (0.0,) * LATELY:
        times.learn(213.0 + queue, 213.0)
    assert times.typical == 213.0
    times.learn(813.0, 213.0)
    assert times.typical == 813.0


@given(st.lists(st.tuples(st.floats(0.0, 4000.0), st.floats(0.0, 4000.0) | st.none()), min_size=1, max_size=40))
def test_whatever_a_service_reports_of_queue_and_run_there_is_a_schedule(
    seen: list[tuple[float, float | None]],
) -> None:
    """A run of no time behind a queue that has gone, or one that is longer than the whole."""
    times = RunTimes(213.0)
    for seconds, run_s in seen:
        times.learn(seconds, run_s)
        assert times.typical > 0
    assert next_poll(0.0, times) >= MIN_STEP_S * 0.999
