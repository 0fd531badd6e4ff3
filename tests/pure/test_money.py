"""The budget is a wall, and an unknown price is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.money import UNSEEN_FACTOR, Wall, price_class, to_micro, to_usd, usd


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
    [(None, "unknown"), (0, "$0.00"), (625_000, "$0.625"),
     (312_500, "$0.3125"), (1_250_000, "$1.25"), (-5_000_000, "-$5.00"),
     (1_234_560_000, "$1,234.56")],
)  # fmt: skip
def test_an_amount_is_told_in_full(micro: int | None, text: str) -> None:
    """Unknown is never shown as 0."""
    assert usd(micro) == text


@given(st.integers(0, 10**12).map(lambda n: n * 100))
def test_json_amounts_are_exact_to_four_decimals(micro: int) -> None:
    """Scripts add them up."""
    assert to_micro(to_usd(micro)) in (micro, None if micro > 10**12 else micro)


def test_the_price_class_is_model_size_and_duration() -> None:
    """Prompt and seed don't change the price."""
    assert price_class("m", {"size": "1*2", "duration": 5, "seed": 3}) == "m 1*2 5"
    assert price_class("m", {}) == "m"


def test_the_worst_price_is_the_highest_seen_else_the_manifests_else_twice_the_estimate() -> None:
    """What was charged is truer than any table."""
    wall = Wall()
    assert wall.worst("g", None) is None
    assert wall.worst("g", 10) == 10 * UNSEEN_FACTOR
    assert wall.worst("g", 10, 15) == 15
    wall.move("g", held=0, spent=12, charge=12)
    wall.move("g", held=0, spent=8, charge=8)
    assert wall.worst("g", 10, 15) == 12
    assert wall.worst("other", 10) == 10 * UNSEEN_FACTOR


def test_no_cap_lets_all_pass() -> None:
    """A budget is the user's choice."""
    assert Wall(spent=10**12).fits(10**12)


def test_a_cap_is_met_to_the_last_micro_dollar() -> None:
    """The wall is where it was put, not one clip before or after."""
    wall = Wall(cap=100, spent=40)
    wall.move("g", held=30, spent=0)
    assert wall.fits(30)
    assert not wall.fits(31)


def test_a_charge_above_its_reservation_reprices_all_that_is_open() -> None:
    """Five more of the same may be on their way."""
    wall = Wall(cap=100)
    for _ in range(5):
        wall.move("g", held=10, spent=0)
    assert wall.fits(50)
    wall.move("g", held=-10, spent=18, charge=18)
    assert wall.reserved == 40
    assert wall.fits(100 - 18 - 4 * 18)
    assert not wall.fits(100 - 18 - 4 * 18 + 1)


class Night:
    """Requests that are opened when they fit, and end in any order."""

    def __init__(self, cap: int, estimate: int) -> None:
        self.wall = Wall(cap=cap)
        self.estimate = estimate
        self.open: list[int] = []

    def start(self) -> bool:
        price = self.wall.worst("g", self.estimate)
        assert price is not None
        if not self.wall.fits(price):
            return False
        self.wall.move("g", held=price, spent=0)
        self.open.append(price)
        return True

    def end(self, which: int, cost: int | None) -> None:
        held = self.open.pop(which % len(self.open))
        self.wall.move("g", held=-held, spent=cost or 0, charge=cost)


Step = tuple[bool, int, int]


@given(st.integers(0, 500), st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 20)), max_size=80))
def test_spent_and_reserved_never_pass_the_cap(cap: int, steps: Sequence[Step]) -> None:
    """For all interleavings, as long as no charge passes its reservation."""
    night = Night(cap, estimate=10)
    for opens, which, cost in steps:
        if opens:
            night.start()
        elif night.open:
            held = night.open[which % len(night.open)]
            night.end(which, min(cost, held) or None)
        assert night.wall.spent + night.wall.reserved <= cap


@given(st.integers(100, 500), st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(1, 60)), max_size=80))
def test_a_surprise_stops_submission_until_all_that_is_open_fits_again(cap: int, steps: Sequence[Step]) -> None:
    """After a charge above its reservation nothing more is opened that the worst case would not bear."""
    night = Night(cap, estimate=10)
    for opens, which, cost in steps:
        if opens:
            started = night.start()
            worst_case = night.wall.spent + sum(max(held, night.wall.seen.get("g", 0)) for held in night.open)
            assert not started or worst_case <= cap
        elif night.open:
            night.end(which, cost)
    for which in range(len(night.open)):
        night.end(which, None)
    assert night.wall.reserved == 0
    assert night.wall.open["g"] == 0 if night.wall.open else True


def test_a_free_clip_says_nothing_of_the_next_ones_price() -> None:
    """Free credits must not open the wall."""
    wall = Wall(cap=10)
    wall.move("g", held=5, spent=0)
    wall.move("g", held=-5, spent=0, charge=0)
    assert wall.worst("g", 3) == 6
