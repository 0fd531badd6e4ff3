"""The circuit breaker: closed, open, half-open; who may ask when, and what counts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen import breaker
from batchgen.breaker import Backoff, CircuitBreaker

TABLE = {name: value for name, value in vars(breaker).items() if isinstance(value, Backoff)}


def waits(of: CircuitBreaker, failures: int) -> list[float]:
    """Fail as soon as one may ask again, so many times; gives the waits."""
    now, found = 0.0, []
    for _ in range(failures):
        assert of.failed(now)
        found.append(of.until - now)
        now = of.until
    return found


def test_closed_nobody_waits() -> None:
    """As it is nearly always."""
    one = CircuitBreaker(Backoff())
    assert (one.closed, one.tries, one.lasted_s(100.0)) == (True, 0, 0.0)
    assert one.until < 0.0
    assert not one.succeeded()


def test_waits_double_up_to_the_cap() -> None:
    """Further and further apart, and never through the night."""
    one = CircuitBreaker(Backoff(base_s=2.0, cap_s=20.0, least=1.0), dice=lambda: 0.0)
    assert waits(one, 6) == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


@pytest.mark.parametrize(("least", "dice", "wait"), [(0.5, 0.0, 15.0), (0.5, 1.0, 30.0), (1.0, 0.0, 30.0)])
def test_the_dice_spread_what_is_above_the_least(least: float, dice: float, wait: float) -> None:
    """So that not all machines come at once."""
    one = CircuitBreaker(Backoff(base_s=30.0, least=least), dice=lambda: dice)
    assert waits(one, 1) == [wait]


def test_a_hint_is_obeyed() -> None:
    """The other side knows best."""
    one = CircuitBreaker(Backoff(), dice=lambda: 0.0)
    one.failed(10.0, hint=90.0)
    assert one.until >= 100.0


def test_what_had_left_before_it_opened_says_nothing_new() -> None:
    """Eight calls that were out together are one failure."""
    one = CircuitBreaker(Backoff(base_s=10.0, least=1.0))
    assert one.failed(0.0)
    until = one.until
    assert not any(one.failed(float(n)) for n in range(1, 9))
    assert (one.until, one.tries) == (until, 1)
    assert one.failed(until)
    assert one.tries == 2


def test_while_one_goes_to_see_the_others_wait_for_what_it_meets() -> None:
    """A failed probe opens it again, for longer; a good one lets all follow."""
    one = CircuitBreaker(Backoff(base_s=10.0, least=1.0))
    one.failed(0.0)
    one.probe(10.0)
    assert math.isinf(one.until)
    assert one.failed(10.1)
    assert one.until == pytest.approx(30.1)
    one.probe(30.1)
    assert one.succeeded()
    assert one.closed
    assert one.until < 0.0


def test_a_probe_that_never_reports_is_given_up_for_lost() -> None:
    """It may have been cancelled."""
    one = CircuitBreaker(Backoff(base_s=10.0, least=1.0, lease_s=60.0))
    one.failed(0.0)
    one.probe(10.0)
    assert one.until == 70.0


def test_a_probe_that_did_not_get_that_far_lets_another_one_go() -> None:
    """It was stopped by another gate."""
    one = CircuitBreaker(Backoff(base_s=10.0, least=1.0))
    one.failed(0.0)
    one.probe(10.0)
    one.release()
    assert one.until == 10.0


def test_a_probe_of_what_is_closed_is_nothing() -> None:
    """Every call of a sound service is one."""
    one = CircuitBreaker(Backoff())
    one.probe(5.0)
    assert one.until < 0.0


@given(st.lists(st.tuples(st.sampled_from(["failed", "probe", "succeeded", "release"]), st.floats(0.1, 500.0))))
def test_how_long_it_lasts_counts_from_the_first_failure_and_ends_with_a_success(
    steps: list[tuple[str, float]],
) -> None:
    """`--give-up` is measured by it."""
    one, now, since = CircuitBreaker(Backoff(lease_s=60.0)), 0.0, None
    for what, seconds in steps:
        now += seconds
        if what in ("failed", "probe"):
            getattr(one, what)(now)
        else:
            getattr(one, what)()
        since = None if what == "succeeded" else now if what == "failed" and since is None else since
        assert one.lasted_s(now) == pytest.approx(0.0 if since is None else now - since)
        assert one.closed == (since is None)
        assert one.until <= now + 61.0


def test_every_instance_has_its_numbers_in_one_table() -> None:
    """The behaviour of a night in trouble can be read from it."""
    assert len(TABLE) == 9
    assert all(0.0 <= each.least <= 1.0 and 0.0 < each.base_s <= each.cap_s <= 600.0 for each in TABLE.values())
