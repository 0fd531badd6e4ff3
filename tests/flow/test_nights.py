"""Simulated nights: the pace that the account bears, in the fewest calls. `tests/bench/nights` has many more."""

from __future__ import annotations

import pytest
from night_run import Night, simulate
from night_service import Weather, log_normal


def harmless(night: Night) -> None:
    assert (night.expired, night.paid_twice) == (0, 0)


def test_a_night_takes_hardly_longer_than_rate_and_slots_set() -> None:
    """What a person waits for in the morning."""
    night = simulate(Weather(), "ours", 300)
    harmless(night)
    assert night.over <= 1.05
    assert night.polls <= 3.0
    assert night.limited == 0


@pytest.mark.parametrize("rpm", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_where_calls_are_scarce_they_go_to_submissions(rpm: int) -> None:
    """Each wasted look is a clip less: scarce is where the slots could take more than the rate lets be submitted."""
    night = simulate(Weather(rpm=rpm), "ours", 12 * rpm)
    harmless(night)
    assert night.polls <= 1.5
    assert night.over <= 1.05


@pytest.mark.slow
def test_calls_are_scarce_too_where_the_rate_is_high_and_the_slots_are_many() -> None:
    """It is not the rate that says so, but who could use it."""
    night = simulate(Weather(rpm=60, slots=120), "ours", 720)
    harmless(night)
    assert night.polls <= 1.5


@pytest.mark.slow
def test_looks_give_way_when_calls_get_short() -> None:
    """While no long job had ended calls were to spare; then all end, and submissions need each of them."""
    night = simulate(Weather(slots=400, run=log_normal(900.0, 0.3)), "ours", 1500)
    harmless(night)
    assert night.polls <= 1.5


@pytest.mark.slow
def test_calls_are_not_spent_on_long_jobs_while_nothing_is_known_of_them() -> None:
    """Four hundred that run for half an hour: an expectation of minutes must not have each looked at each minute."""
    night = simulate(Weather(rpm=40, slots=400, run=log_normal(1800.0, 0.15)), "ours", 1200)
    harmless(night)
    assert night.polls <= 1.5
    assert night.over <= 1.25


def test_calls_that_nobody_needs_buy_a_short_lag() -> None:
    """The rate is paid for."""
    night = simulate(Weather(rpm=1000, slots=40), "ours", 120)
    harmless(night)
    assert night.mean_lag <= 12.0


@pytest.mark.parametrize(
    "weather",
    [
        Weather(outage=(800, 2000)),
        pytest.param(Weather(rpm=120, hidden_rpm=60, slots=80), marks=pytest.mark.slow),
        Weather(bursts=((600, 30, 1500),), drift=1.0),
        pytest.param(Weather(run=log_normal(900.0, 0.3), slots=8), marks=pytest.mark.slow),
    ],
    ids=["outage", "hidden limit", "bursts and drift", "long jobs"],
)
def test_no_weather_makes_a_record_expire(weather: Weather) -> None:
    """Its hour runs from the submission on."""
    night = simulate(weather, "ours", 250)
    harmless(night)
    assert night.over <= 1.6
    assert night.limited <= 25


def test_a_hidden_limit_is_learned_after_few_refusals() -> None:
    """A refused call is a wasted one."""
    night = simulate(Weather(rpm=120, hidden_rpm=60, slots=80), "ours", 300)
    assert night.limited <= 12


def test_a_full_service_is_not_filled_further() -> None:
    """What waits there has its hour running."""
    night = simulate(Weather(slots=6), "ours", 100)
    harmless(night)
    assert night.queued <= 200.0
    assert night.over <= 1.05


@pytest.mark.parametrize("others_s", [pytest.param(30.0, marks=pytest.mark.slow), 120.0])
def test_a_queue_that_is_not_ours_does_not_stop_the_night(others_s: float) -> None:
    """Fewer in flight would wait there just as long: 200 clips took 18 hours, one after the other."""
    night = simulate(Weather(slots=400, others_s=others_s), "ours", 200, in_flight=32)
    harmless(night)
    assert night.makespan <= 4000.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [19, 11, 14])
def test_under_others_queue_luck_decides_little(seed: int) -> None:
    """Which of the first requests ended first decided between 1.4 and 1.8 times what rate and slots set."""
    night = simulate(Weather(slots=400, others_s=120.0, seed=seed), "ours", 1000)
    harmless(night)
    assert night.over <= 1.45


@pytest.mark.parametrize("slots", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_service_that_tells_no_queue_time_is_not_filled_beyond_the_hour(slots: int) -> None:
    """What waits there runs out of it: of 100 clips 71 were lost."""
    night = simulate(Weather(slots=slots, told=False), "ours", 60, in_flight=32)
    harmless(night)
    assert night.over <= 1.1


def test_a_service_that_shrinks_in_the_night_is_not_sent_more_than_it_can_do() -> None:
    """All but what was in flight at that minute is collected: nothing that was submitted since runs out of its hour."""
    night = simulate(Weather(bursts=((600.0, 38, 12 * 3600.0),)), "ours", 150, in_flight=32)
    assert night.expired <= 4
