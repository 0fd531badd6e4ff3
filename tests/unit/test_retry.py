"""How long to wait: grows, has a ceiling, obeys the server, and never comes all at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.retry import CAP_S, FREE_RETRIES, SUBMIT_TRIES, delay, retry_after


def test_the_ceiling_doubles_until_the_cap() -> None:
    """A long outage is asked about once a minute, not once an hour."""
    assert [delay(n) for n in range(1, 9)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, CAP_S, CAP_S]
    assert delay(10_000) == CAP_S


def test_a_hint_is_obeyed_with_a_little_spread() -> None:
    """The server knows best; a herd that comes back at once does not."""
    assert delay(1, hint=30.0, dice=0.0) == 30.0
    assert delay(9, hint=30.0, dice=1.0) == 31.0
    assert delay(1, hint=0.0, dice=1.0) == 0.0
    assert delay(1, hint=600.0, dice=1.0) <= 601.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", -5.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("9" * 400, None),
        ("Mon, 1 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """One reading for the API and for the hosts of the files; nonsense asks for nothing."""
    assert retry_after(text, 10.0) == seconds


@given(st.integers(1, 100), st.floats(0, 1), st.floats(0.1, 10), st.floats(1, 100))
def test_a_wait_is_never_nothing_nor_above_its_cap(attempt: int, dice: float, base: float, cap: float) -> None:
    """A wait of 0 would be a storm."""
    assert 0.05 <= delay(attempt, dice=dice, base=base, cap=cap) <= max(0.05, cap)


def test_the_promised_tries_are_kept() -> None:
    """The manual promises at least six tries of a 500 and at most two of a FAILED."""
    assert SUBMIT_TRIES >= 6
    assert FREE_RETRIES == 2
