"""Amounts are read and told exactly, and an unknown price is unknown."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.money import decimal_usd, exact, exact_usd, micro_of, places_for, price_class_of, to_micro, to_usd, usd


@pytest.mark.parametrize(
    ("value", "micro"),
    [
        ("0.1", 100_000), (0.1, 100_000), (1, 1_000_000), ("0.3125", 312_500), (0, 0), (" 2.5 ", 2_500_000),
        (1e-7, 0), ("1e-6", 1), (None, None), (True, None), (-1, None), ("nan", None), ("inf", None),
        ("a lot", None), ("", None), (1e7, None), ([], None), ({}, None),
    ],
)  # fmt: skip
def test_an_amount_is_read_exactly_or_not_at_all(value: object, micro: int | None) -> None:
    """A wrong price is worse than none."""
    assert to_micro(value) == micro


@pytest.mark.parametrize(
    ("micro", "text"),
    [(None, "unknown"), (0, "$0.00"), (625_000, "$0.63"), (312_500, "$0.31"), (1_250_000, "$1.25"),
     (-5_000_000, "-$5.00"), (1_234_565_000, "$1,234.57"), (2_500, "$0.0025"), (1, "$0.000001"), (5_000, "$0.01")],
)  # fmt: skip
def test_people_read_two_decimals(micro: int | None, text: str) -> None:
    """Points line up in a column; unknown is never shown as 0, nor is a fraction of a cent."""
    assert usd(micro) == text


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (625_000, "$0.625"),
        (312_500, "$0.3125"),
        (1_234_560_000, "$1,234.56"),
        (1, "$0.000001"),
    ],
)
def test_a_bill_and_a_comparison_show_the_last_digit(micro: int | None, text: str) -> None:
    """Else a bill does not add up, and a price that moved by half a cent seems to be the same."""
    assert exact(micro) == text


def test_a_column_has_as_many_decimals_as_its_finest_amount() -> None:
    """One amount with more would push its point out of line."""
    assert [usd(each, places_for([625_000, 1_250_000])) for each in (625_000, 1_250_000)] == ["$0.625", "$1.250"]


@given(st.integers(0, 10**12).map(lambda n: n * 100))
def test_json_amounts_are_exact_to_four_decimals(micro: int) -> None:
    """Scripts add them up."""
    assert to_micro(to_usd(micro)) in (micro, None if micro > 10**12 else micro)


@given(st.integers(0, 10**12), st.booleans())
def test_an_amount_survives_every_way_to_usd_and_back(micro: int, owed: bool) -> None:
    """What a sidecar or the events file says is read back to the last digit; a debt only where one can be."""
    signed = -micro if owed else micro
    assert micro_of(decimal_usd(signed)) == micro_of(exact_usd(signed)) == signed
    assert to_micro(exact_usd(signed), debt=True) == signed
    assert to_micro(exact_usd(signed)) == (None if signed < 0 else signed)


@pytest.mark.parametrize(("rounding", "micro"), [(ROUND_CEILING, 2), (ROUND_DOWN, 1)])
def test_a_fraction_of_a_micro_dollar_is_rounded_as_the_caller_needs(rounding: str, micro: int) -> None:
    """A price is rounded up and a cap down, so that no clip costs more than either says."""
    assert micro_of(Decimal("0.0000015"), rounding) == micro


def test_numbers_too_long_to_write_are_no_amounts() -> None:
    """Python refuses to write an integer of 5,000 digits; an answer with one must not end the run."""
    assert to_micro(10**5000) is None


def test_the_price_class_is_model_size_and_duration() -> None:
    """Prompt and seed don't change the price."""
    assert price_class_of("m", {"size": "1*2", "duration": 5, "seed": 3}) == "m 1*2 5"
    assert price_class_of("m", {}) == "m"
