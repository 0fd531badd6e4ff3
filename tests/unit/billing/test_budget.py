"""The budget is a wall: in all, by the day, and in clips; and an unknown price is unknown, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.billing.budget import (
    NO_CAPS,
    TIGHT,
    TRIALS,
    UNSEEN_FACTOR,
    Budget,
    Cap,
    Caps,
    SetAside,
    Sums,
    changes_of,
    day_of,
    next_day,
    share_of,
)
from batchgen.clip import Request

MON, TUE = "2026-11-23", "2026-11-24"
BERLIN = ZoneInfo("Europe/Berlin")


def noon(day: str) -> float:
    """A time of a local day."""
    return datetime.fromisoformat(f"{day}T12:00").timestamp()


def held(price: int, day: str = MON) -> Request:
    """A request on its way."""
    return Request(1, noon(day), price)


def charged(cost: int | None, day: str = MON) -> Request:
    """A request that was charged."""
    return Request(1, noon(day), cost=cost, outcome="charged")


def free(day: str = MON) -> Request:
    """A request that failed."""
    return Request(1, noon(day), outcome="failed")


def is_open(request: Request) -> bool:
    """Say whether what it costs is not known."""
    return not request.free and request.cost is None


def move(wall: Budget, price_class: str, before: Request | None, after: Request) -> None:
    """Book the change of one request."""
    for change in changes_of(price_class, before, after):
        wall.book(change)


def wall_of(*stakes: Request, caps: Caps = NO_CAPS) -> Budget:
    """A wall with these requests of one class booked."""
    wall = Budget(caps=caps)
    for stake in stakes:
        move(wall, "g", None, stake)
    return wall


# --- prices ---------------------------------------------------------------------------------------------------


def test_the_worst_price_is_the_highest_seen_else_the_manifests_else_twice_the_estimate() -> None:
    """What was charged is truer than any table."""
    wall = Budget()
    assert wall.worst("g", None) is None
    assert wall.worst("g", 10) == 10 * UNSEEN_FACTOR
    assert wall.worst("g", 10, 15) == 15
    move(wall, "g", held(20), charged(12))
    move(wall, "g", held(12), charged(8))
    assert wall.worst("g", 10, 15) == 12
    assert wall.worst("other", 10) == 10 * UNSEEN_FACTOR


def test_a_free_clip_says_nothing_of_the_next_ones_price() -> None:
    """Free credits must not open the wall."""
    wall = wall_of(held(5), caps=Caps(usd=10))
    move(wall, "g", held(5), charged(0))
    assert wall.worst("g", 3) == 6


# --- the caps -------------------------------------------------------------------------------------------------


def test_no_cap_lets_all_pass() -> None:
    """A budget is the user's choice; without one an unknown price is no barrier either."""
    assert wall_of(charged(10**12)).barrier(10**12, MON) is None
    assert wall_of(charged(10**12)).barrier(None, MON) is None


def test_a_cap_is_met_to_the_last_micro_dollar() -> None:
    """The wall is where it was put, not one clip before or after."""
    wall = wall_of(held(30), caps=Caps(usd=100))
    move(wall, "another class", None, charged(40))
    assert wall.barrier(30, MON) is None
    assert wall.barrier(31, MON) is Cap.TOTAL
    assert wall.barrier(30, MON, SetAside(1, 1)) is Cap.TOTAL


def test_a_days_cap_counts_what_was_submitted_on_that_day() -> None:
    """Yesterday's charge that comes in today is yesterday's; so is what is still on its way from then."""
    wall = wall_of(held(60), held(30, TUE), caps=Caps(usd_per_day=100))
    move(wall, "g", held(60), charged(50))
    assert (wall.barrier(0, MON), wall.barrier(1, MON)) == (None, Cap.DAY)  # what is dated later counts, too
    assert (wall.on(TUE).spent, wall.on(TUE).reserved) == (0, 30)
    assert wall.barrier(70, "2026-11-25") is None


def test_the_cap_in_clips_counts_what_is_charged_or_may_be() -> None:
    """A refused and a failed submission are free, and give their place back."""
    wall = wall_of(held(0), charged(5), caps=Caps(clips=3))
    assert wall.barrier(None, MON) is None
    assert wall.barrier(None, MON, SetAside(0, 1)) is Cap.CLIPS
    move(wall, "g", None, held(0))
    assert wall.barrier(None, MON) is Cap.CLIPS
    move(wall, "g", held(0), free())
    assert wall.barrier(None, MON) is None


@pytest.mark.parametrize(
    ("outcome", "live", "is_open"),
    [("open", True, True), ("unsure", True, True), ("lost", True, True), ("forgotten", True, True),
     ("charged", True, True), ("refused", False, False), ("failed", False, False), ("absent", False, False)],
)  # fmt: skip
def test_only_what_is_surely_free_frees_its_place(outcome: str, live: bool, is_open: bool) -> None:
    """In doubt, lost and given up: it may be on the bill."""
    share = share_of("g", Request(1, 1_790_000_000.0, 7, outcome=outcome))
    assert (share.clips, share.opened) == (live, is_open)
    assert changes_of("g", None, None) == ()


# --- surprises ------------------------------------------------------------------------------------------------


def test_a_charge_above_its_reservation_reprices_all_that_is_open() -> None:
    """Five more of the same may be on their way."""
    wall = wall_of(*[held(10)] * 5, caps=Caps(usd=100))
    assert wall.barrier(50, MON) is None
    move(wall, "g", held(10), charged(18))
    assert wall.reserved == 40
    left = 100 - 18 - 4 * 18
    assert wall.barrier(left, MON) is None
    assert wall.barrier(left + 1, MON) is Cap.TOTAL


def test_an_unknown_price_under_a_cap_in_usd_is_a_barrier_until_it_is_allowed() -> None:
    """Unknown is unknown: then too it is not taken for nothing, and counted by itself."""
    for caps in (Caps(usd=10), Caps(usd_per_day=10)):
        wall = Budget(caps=caps)
        assert wall.barrier(None, MON) is Cap.PRICE
        wall.caps = replace(caps, unknown_ok=True)
        assert wall.barrier(None, MON) is None
        move(wall, "g", None, held(0))
        assert (wall.reserved, wall.unpriced) == (0, 1)
        move(wall, "h", None, charged(10))
        assert wall.barrier(None, MON) is not None
    assert Budget(caps=Caps(clips=1)).barrier(None, MON) is None


def test_one_charge_makes_the_price_of_its_class_known_and_holds_it_against_the_cap() -> None:
    """From then on the wall applies, also to those that went out at an unknown price."""
    wall = Budget(caps=Caps(usd=100, unknown_ok=True))
    for _ in range(4):
        move(wall, "g", None, held(0))
    move(wall, "g", held(0), charged(20))
    assert wall.worst("g", None) == 20
    assert wall.barrier(20, MON) is None
    assert wall.barrier(21, MON) is Cap.TOTAL
    assert wall.unpriced == 3


# --- for all interleavings ------------------------------------------------------------------------------------

Step = tuple[int, int, int, bool]
STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99), st.integers(0, 40), st.booleans()), max_size=80)
CAPS = st.builds(Caps, *[st.none() | st.integers(0, 300)] * 2, st.none() | st.integers(0, 12))


@given(st.lists(CAPS, min_size=1, max_size=4), STEPS)
def test_nothing_that_is_submitted_passes_a_cap_and_only_a_surprise_does_by_its_excess(
    caps: Sequence[Caps], steps: Sequence[Step]
) -> None:
    """Requests open and end in any order, at any charge, over days, under caps that change between runs."""
    wall, requests, day = Budget(caps=caps[0]), list[Request](), 23
    for n, (what, which, amount, fails) in enumerate(steps):
        if what == 3:  # another day, or another run with another cap
            day, wall.caps = min(30, max(20, day + (1 if fails else -(which % 3)))), caps[n % len(caps)]
        elif what and requests:
            _end(wall, requests, which % len(requests), amount, fails=fails)
        else:
            today = f"2026-11-{day}"
            _start(wall, requests, today)


def _start(wall: Budget, requests: list[Request], day: str) -> None:
    price, caps = wall.worst("g", 10), wall.caps
    assert price is not None
    if wall.barrier(price, day):
        return
    requests.append(held(price, day))
    move(wall, "g", None, requests[-1])
    for cap, counted in (
        (caps.usd, requests),
        (caps.usd_per_day, [each for each in requests if day_of(each.intent_at) >= day]),
    ):
        worst = sum(max(each.reserved, wall.seen.get("g", 0)) if is_open(each) else each.cost or 0 for each in counted)
        assert cap is None or sum(each.reserved + (each.cost or 0) for each in counted) <= worst <= cap
    assert caps.clips is None or sum(not each.free for each in requests) <= caps.clips


def _end(wall: Budget, requests: list[Request], which: int, amount: int, *, fails: bool) -> None:
    before = requests[which]
    if not is_open(before):
        return
    day = day_of(before.intent_at)
    after = requests[which] = free(day) if fails else charged(amount, day)
    total, today = wall.spent + wall.reserved, wall.on(day).spent + wall.on(day).reserved
    move(wall, "g", before, after)
    excess = max(0, (after.cost or 0) - before.reserved)
    assert wall.spent + wall.reserved <= total + excess
    assert wall.on(day).spent + wall.on(day).reserved <= today + excess


@given(STEPS)
def test_what_ended_leaves_nothing_behind(steps: Sequence[Step]) -> None:
    """Every reservation that was made is freed or settled, by class and by day."""
    wall, requests = Budget(), list[Request]()
    for _, which, amount, fails in steps:
        _start(wall, requests, f"2026-11-{10 + which % 3}")
        _end(wall, requests, len(requests) - 1, amount, fails=fails)
    assert (wall.reserved_by_class, wall.open, wall.reserved, wall.unpriced) == ({}, {}, 0, 0)
    assert sum((sums.spent for sums in wall.days.values()), 0) == wall.spent
    assert all(
        (sums.reserved_by_class, sums.open) == (Sums().reserved_by_class, Sums().open) for sums in wall.days.values()
    )


# --- a price that rises ---------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=60),
    st.integers(1, 400),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
)
def test_a_price_that_rises_passes_a_cap_by_what_was_in_flight_at_the_first_higher_charge_and_no_more(
    steps: Sequence[tuple[int, int]], cap: int, at_once: int, by_day: bool, known: bool
) -> None:
    """Any prices in any order, any concurrency, any cap: the sum is under the cap, but for those that were out."""
    wall = Budget(caps=Caps(usd_per_day=cap) if by_day else Caps(usd=cap))
    wall.seen = {"g": 3} if known else {}
    out, above, price = list[Request](), 0, 3
    for what, amount in steps:
        if what == 0:
            price = amount
        elif what == 1 and out:
            before = out.pop(0)
            move(wall, "g", before, charged(price))
            above += max(0, price - before.reserved)
        while len(out) < at_once and not _closed(wall, len(out)):
            out.append(held(wall.worst("g", 3) or 0))
            move(wall, "g", None, out[-1])
        assert wall.spent + wall.reserved <= cap + above
        assert len(out) <= TRIALS or "g" in wall.confirmed or (TIGHT + 1) * wall.reserved <= cap - wall.spent


def _closed(wall: Budget, flying: int) -> bool:
    worst = wall.worst("g", 3)
    return wall.barrier(worst, MON) is not None or (flying >= TRIALS and wall.tight("g", worst, MON))


@pytest.mark.parametrize(("cap", "spent", "tight"), [(49, 0, True), (50, 0, False), (59, 10, True), (60, 10, False)])
def test_a_cap_is_tight_below_four_times_what_is_in_flight(cap: int, spent: int, tight: bool) -> None:
    """By the day and in total, until a charge of this run has confirmed the price of the class, and of no other."""
    for caps in (Caps(usd=cap), Caps(usd_per_day=cap)):
        wall = wall_of(held(5), caps=caps)
        move(wall, "h", None, charged(spent))
        assert wall.tight("g", 5, MON) is tight
        wall.confirmed.add("g")
        assert not wall.tight("g", 5, MON)
    assert not wall_of(held(5), caps=Caps(clips=1)).tight("g", 5, MON)


def test_an_earlier_runs_charges_confirm_no_price() -> None:
    """They are why a price is expected; whether it still holds, only a charge of this run shows."""
    wall = wall_of(charged(5))
    assert wall.confirmed == {"g"}
    assert wall_of(charged(0)).confirmed == set()


# --- days -----------------------------------------------------------------------------------------------------


def at(text: str, zone: timezone | ZoneInfo = BERLIN) -> float:
    """Epoch seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("local", "day", "hours_left"),
    [
        ("2026-10-24 23:59", "2026-10-24", 1 / 60),
        ("2026-10-25 00:00", "2026-10-25", 25),  # summer time ends
        ("2026-10-25 23:30", "2026-10-25", 0.5),
        ("2026-03-29 00:00", "2026-03-29", 23),  # it begins
        ("2026-12-31 12:00", "2026-12-31", 12),
    ],
)
def test_a_day_is_the_local_calendars_whatever_is_done_to_the_clocks(local: str, day: str, hours_left: float) -> None:
    """A day of 25 hours is one day, and the next one begins at its midnight."""
    assert day_of(at(local), BERLIN) == day
    assert next_day(at(local), BERLIN).timestamp() - at(local) == pytest.approx(hours_left * 3600)


def test_where_midnight_is_jumped_over_the_day_begins_after_the_jump() -> None:
    """In Beirut the clocks go from 23:59 to 01:00."""
    beirut = ZoneInfo("Asia/Beirut")
    begins = next_day(at("2024-03-30 12:00", beirut), beirut)
    assert (begins.hour, begins.day) == (1, 31)
    assert day_of(begins.timestamp(), beirut) == "2024-03-31"
    assert day_of(begins.timestamp() - 1, beirut) == "2024-03-30"
