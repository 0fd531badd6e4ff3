"""The rate that an account allows: halved by a refusal, soon near what held, slowly beyond it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.ratelimit.adaptive_rate import (
    BACK_S,
    HEADROOM,
    MINUTE_S,
    PROBE_AT_MOST_S,
    PROBE_EVERY_S,
    SLOWEST_RPM,
    AdaptiveRate,
)


def steady(rate: AdaptiveRate, limit: float, *, until: float, begin: float = 0.0) -> tuple[float, list[float]]:
    """Call at the rate all the time under a limit in any 60 s; gives the calls let through, and when it was refused."""
    calls, refused, at = 0.0, [], begin
    rate.begin(begin)
    while at < until:
        at += 1.0
        sent = HEADROOM * rate.rpm
        if sent > limit:
            refused.append(at)
            rate.refused(at, int(limit))
        calls += min(sent, limit) / 60.0
        rate.grow(at, int(min(sent, limit)) + 1)
    return calls, refused


def test_a_refusal_halves_it_once_a_minute() -> None:
    """Those that follow are of the same burst."""
    rate = AdaptiveRate(120)
    assert rate.refused(10.0, 60)
    assert not rate.refused(10.0 + MINUTE_S - 1, 60)
    assert rate.rpm == 60
    assert rate.refused(10.0 + MINUTE_S, 60)
    assert rate.rpm == 30


def test_it_never_falls_to_nothing_and_no_limit_stays_none() -> None:
    """A night at one call a minute is still a night."""
    rate, free = AdaptiveRate(50), AdaptiveRate(0)
    for n in range(20):
        rate.refused(100.0 * n, 1)
        assert not free.refused(100.0 * n, 1)
    assert rate.rpm == SLOWEST_RPM
    assert free.rpm == 0


def test_the_way_back_is_one_step_to_what_the_refused_minute_let_through() -> None:
    """Half a minute later, and only if the rate was used."""
    rate = AdaptiveRate(120)
    rate.refused(0.0, 60)
    assert not rate.grow(BACK_S - 1, 60)
    assert not rate.grow(BACK_S, 5)
    assert rate.rpm == 60
    rate = AdaptiveRate(100)
    rate.refused(0.0, 80)
    assert not rate.grow(BACK_S, 20)
    assert rate.grow(2 * BACK_S, 60)
    assert rate.rpm == 80


def test_an_hour_of_refusals_does_not_move_the_limit_and_the_way_back_doubles() -> None:
    """A minute of which nothing was let through is no limit that a pace could keep."""
    rate, at = AdaptiveRate(50), 0.0
    rate.refused(at, 47)
    for at in range(60, 3600, 60):
        rate.refused(float(at), 0)
    assert (rate.rpm, rate.known_limit) == (1, 46.5)
    seen = [rate.rpm for n in range(1, 9) if rate.grow(at + n * BACK_S, math.ceil(HEADROOM * rate.rpm))]
    assert seen == [2, 4, 8, 16, 32, 46.5, 46.5]  # the last time since a whole minute has proved it


def test_a_limit_of_long_ago_is_none_when_the_rate_was_above_it() -> None:
    """An idle hour, and the first call after it is refused."""
    rate = AdaptiveRate(50, start=(40.0, 4.0))
    rate.refused(0.0, 0)
    assert rate.known_limit == pytest.approx(0.93 * 40)


@pytest.mark.parametrize("rpm", [1.0, 1.56, 2.0, 4.0])
def test_however_slow_it_is_it_comes_up_again(rpm: float) -> None:
    """All that is between two of so few calls is the call that is next."""
    rate = AdaptiveRate(50, start=(rpm, 0.93 * rpm))
    steady(rate, 1000, until=45 * 60.0)
    assert rate.rpm == 50


def test_a_fraction_of_a_call_is_no_reason_to_stay_low() -> None:
    """Of a rate of 1.9, one call a minute can be used."""
    rate = AdaptiveRate(1.9)
    rate.refused(0.0, 1)
    for at in range(60, 6 * 3600, 60):
        rate.grow(float(at), 1)
    assert rate.rpm == 1.9


def test_a_minute_that_was_not_used_costs_no_time() -> None:
    """The first one that is used after the wait proves as much as one that ended with it."""
    rate = AdaptiveRate(100)
    rate.refused(0.0, 50)
    assert not rate.grow(PROBE_EVERY_S, 10)
    assert rate.grow(PROBE_EVERY_S + 1.0, 48)


def test_the_way_back_never_leads_to_what_was_refused() -> None:
    """Whatever the minute before let through: a service may count in another way than we do."""
    rate = AdaptiveRate(100)
    rate.refused(0.0, 99)
    rate.grow(BACK_S, 60)
    assert rate.rpm == 93


def test_beyond_the_known_limit_it_grows_by_small_steps_that_widen_and_never_past_the_ceiling() -> None:
    """From half of it within half an hour, if nothing is refused."""
    rate = AdaptiveRate(100)
    rate.refused(0.0, 50)
    seen = []
    for n in range(1, 20):
        if rate.grow(n * PROBE_EVERY_S, int(rate.rpm)):
            seen.append(rate.rpm)
    assert seen == [52, 56, 64, 80, 93, 100]


def test_a_limit_that_is_met_at_one_place_is_left_alone_for_longer_and_longer() -> None:
    """Each 429 costs calls; a limit that stays deserves no knocking every ten minutes."""
    calls, refused = steady(AdaptiveRate(120), 60, until=8 * 3600.0)
    assert len(refused) <= 14
    assert calls >= HEADROOM * 60 * 8 * 60 * 0.99
    gaps = [after - before for before, after in pairwise(refused)]
    assert gaps[-1] <= 2 * PROBE_AT_MOST_S


def test_a_limit_that_is_gone_is_found_to_be_gone() -> None:
    """An incident of an hour does not hold the rest of the night down."""
    rate = AdaptiveRate(120)
    steady(rate, 30, until=3600.0)
    steady(rate, 1000, begin=3600.0, until=3 * 3600.0)
    assert rate.rpm == 120


def test_a_minute_that_held_much_more_than_the_known_limit_shows_that_it_was_none() -> None:
    """A 429 out of the blue, with hardly a call made, says nothing of where the limit lies."""
    rate = AdaptiveRate(120)
    rate.refused(0.0, 3)
    rate.grow(PROBE_EVERY_S, 57)
    rate.grow(PROBE_EVERY_S + BACK_S, 57)
    assert rate.rpm == pytest.approx(0.93 * 120)


def test_a_run_starts_where_the_last_one_stood_and_grows_from_there() -> None:
    """As after a 429 of its own."""
    rate = AdaptiveRate(120, start=(32.0, 60.0))
    assert rate.rpm == 32
    rate.begin(0.0)
    rate.grow(BACK_S, 31)
    assert rate.rpm == 60
    rate.grow(BACK_S + PROBE_EVERY_S, 57)
    assert 60 < rate.rpm < 64


def test_what_was_learned_is_never_more_than_what_is_configured() -> None:
    """The manifest's limit stays the ceiling."""
    rate = AdaptiveRate(50, start=(60.0, 62.0))
    assert (rate.rpm, rate.known_limit, rate.in_a_minute) == (50, 0, 48)
    assert AdaptiveRate(50, start=(0.0, math.inf)).rpm == SLOWEST_RPM


@given(st.floats(0.1, 1000), st.lists(st.tuples(st.booleans(), st.floats(0, 400), st.integers(0, 1000)), max_size=60))
def test_it_stays_between_the_slowest_and_the_ceiling(ceiling: float, script: list[tuple[bool, float, int]]) -> None:
    """Whatever happens."""
    rate, at = AdaptiveRate(ceiling), 0.0
    for refused, wait, held in script:
        at += wait
        (rate.refused if refused else rate.grow)(at, held)
        assert min(ceiling, SLOWEST_RPM) <= rate.rpm <= ceiling
        assert rate.in_a_minute <= max(1.0, ceiling)
        assert rate.usable <= HEADROOM * ceiling
