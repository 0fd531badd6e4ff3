"""Estimates: who told a price, when what was charged is believed over it, and when that is news."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.billing.prices import PriceSource, Quote, drift_text, quote_of

GRADE = "wan-2.5-t2v 1280*720 5"
TABLE = 625_000


def after(*charges: int, manifest: int | None = None, table: int | None = TABLE) -> Quote:
    """The quote after these charges."""
    return quote_of(charges, manifest=manifest, table=table)


def test_the_manifest_beats_the_table_and_nothing_told_is_unknown() -> None:
    """Who pays knows better than we do; and an unknown price is not 0."""
    assert after() == Quote(TABLE, PriceSource.TABLE, TABLE, PriceSource.TABLE)
    assert after(manifest=700_000) == Quote(700_000, PriceSource.MANIFEST, 700_000, PriceSource.MANIFEST)
    assert after(table=None) == Quote(None, PriceSource.UNKNOWN)
    assert after(manifest=0).each == 0


def test_two_charges_are_chance_three_are_a_price() -> None:
    """One odd bill must not make the night's estimate; from the third on, the bill knows better than any table."""
    assert after(800_000, 800_000).source is PriceSource.TABLE
    assert after(800_000, 800_000, 800_000, manifest=700_000) == Quote(
        800_000, PriceSource.LEARNED, 700_000, PriceSource.MANIFEST, 3
    )
    assert after(800_000, 800_000, 800_000, table=None).each == 800_000


def test_one_odd_charge_does_not_move_the_estimate() -> None:
    """A median, not a mean: and always an amount that was really charged."""
    assert after(625_000, 9_000_000, 625_000).each == 625_000
    assert after(600_000, 600_000, 700_000, 700_000).each == 600_000


@pytest.mark.parametrize(
    ("charged", "percent"),
    [(625_000, None), (687_500, None), (687_501, 10), (800_000, 28), (562_500, None), (500_000, -20)],
)
def test_a_drift_of_more_than_a_tenth_is_told(charged: int, percent: int | None) -> None:
    """Less is noise; more is money."""
    assert after(charged, charged, charged).drift_percent == percent


def test_a_drift_says_from_what_to_what_and_by_whom() -> None:
    """So that one knows what to write under prices:."""
    text = drift_text(GRADE, after(800_000, 800_000, 800_000))
    assert text == f"{GRADE} is charged $0.80 a clip (median of the last 3), 28 % more than the table's $0.63"
    assert "20 % less than the manifest's $1.00" in drift_text(GRADE, after(*[800_000] * 3, manifest=1_000_000))
    assert drift_text(GRADE, after()) == drift_text(GRADE, after(*[800_000] * 3, table=None)) == ""


def test_a_price_told_as_nothing_drifts_with_any_charge() -> None:
    """No division by a price of 0."""
    assert after(*[800_000] * 3, manifest=0).drift_percent == 100


@given(st.lists(st.integers(1, 10**9), min_size=3, max_size=80), st.integers(0, 10**9))
def test_an_estimate_is_between_what_was_charged(charges: list[int], told: int) -> None:
    """It is one of them, whatever was told."""
    assert after(*charges, manifest=told).each in charges
