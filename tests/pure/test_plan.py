"""The plan: what is new, what it costs, how long; unknown is unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.clip import State, Wanted
from batchgen.planning import Plan, make_plan, time_needed


def clip(n: int, model: str = "wan-2.5-t2v", **params: object) -> Wanted:
    values = {"prompt": "x", "size": "1280*720", "duration": 5, **params}
    return Wanted(f"k{n}", "p", 1, model, json.dumps(values), f"clip_{n}")


def price(wanted: Wanted) -> int | None:
    if wanted.model != "wan-2.5-t2v":
        return None
    return 625_000 if json.loads(wanted.params)["duration"] == 5 else 1_250_000


def plan_of(
    clips: list[Wanted],
    states: Mapping[str, State] | None = None,
    *,
    cap: int | None = None,
    spent: int = 0,
    reserved: int = 0,
    free_bytes: int | None = None,
) -> Plan:
    return make_plan(
        clips,
        states or {},
        price=price,
        rpm=50,
        in_flight=32,
        latency_s=212,
        name="night",
        cap=cap,
        spent=spent,
        reserved=reserved,
        free_bytes=free_bytes,
        warnings=["given"],
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, *State]), max_size=30), st.integers(0, 5))
def test_every_wanted_clip_is_counted_once(states: list[State | None], strangers: int) -> None:
    """A count that does not add up makes every other one doubtful."""
    clips = [clip(n) for n in range(len(states))]
    known = {f"k{n}": state for n, state in enumerate(states) if state is not None}
    known |= {f"other{n}": State.DONE for n in range(strangers)}
    plan = plan_of(clips, known)
    parts = (plan.new, plan.done, plan.failed, plan.blocked, plan.unconfirmed, plan.lost, plan.in_flight)
    assert sum(parts) == plan.wanted == len(states)
    assert plan.unwanted == strangers
    assert sum(group.count for group in plan.groups) == plan.new


def test_only_what_is_new_is_estimated() -> None:
    """Done, failed and unconfirmed clips cost nothing in the next run."""
    states = dict.fromkeys(("k1", "k2", "k3", "k4"), State.DONE) | {"k2": State.FAILED, "k3": State.UNCONFIRMED}
    plan = plan_of([clip(n) for n in range(6)], states)
    assert (plan.new, plan.estimate, plan.unpriced) == (2, 1_250_000, 0)


def test_groups_are_told_apart_by_model_size_duration_and_price() -> None:
    """The table is where a wrong `duration: 10` is seen before it is paid for."""
    clips = [clip(0), clip(1), clip(2, duration=10), clip(3, size="720*1280"), clip(4, model="other")]
    groups = plan_of(clips).groups
    assert groups[0].count == 2
    assert groups[0].total == 1_250_000
    assert {(g.model, g.size, g.duration, g.each) for g in groups} == {
        ("wan-2.5-t2v", "1280*720", 5, 625_000),
        ("wan-2.5-t2v", "1280*720", 10, 1_250_000),
        ("wan-2.5-t2v", "720*1280", 5, 625_000),
        ("other", "1280*720", 5, None),
    }


def test_an_unknown_price_is_never_zero() -> None:
    """A total that leaves clips out silently is a lie about money."""
    mixed = plan_of([clip(0), clip(1, model="other")])
    assert (mixed.estimate, mixed.unpriced) == (625_000, 1)
    unknown = plan_of([clip(1, model="other")])
    assert (unknown.estimate, unknown.unpriced) == (None, 1)
    assert any("no known price" in text for text in unknown.warnings)


def test_nothing_new_costs_nothing() -> None:
    """The second plan of a finished night is $0.00 and 0 s, and says neither "unknown"."""
    plan = plan_of([clip(0)], {"k0": State.DONE})
    assert (plan.estimate, plan.seconds, plan.bytes, list(plan.warnings)) == (0, 0.0, 0, ["given"])


@pytest.mark.parametrize(("cap", "warned"), [(None, False), (1_250_000, False), (1_249_999, True)])
def test_an_estimate_over_what_the_budget_has_left_is_warned_of(cap: int | None, warned: bool) -> None:
    """What is spent and reserved counts."""
    plan = plan_of([clip(0)], cap=cap, spent=500_000, reserved=125_000)
    assert any("budget" in text for text in plan.warnings) is warned


def test_a_full_disk_is_foreseen() -> None:
    """It is cheaper to make room in the evening."""
    assert plan_of([clip(0)]).bytes == 1280 * 720 * 5
    assert any("disk" in text for text in plan_of([clip(0)], free_bytes=1_000_000).warnings)
    assert not any("disk" in text for text in plan_of([clip(0)], free_bytes=10**10).warnings)


def test_odd_parameters_of_unknown_models_are_planned_too() -> None:
    """They pass through unchecked."""
    odd = Wanted("k0", "p", 1, "other", '{"size": ["x"], "duration": "long"}', "odd")
    bare = Wanted("k1", "p", 1, "other", "{}", "bare")
    plan = plan_of([odd, bare])
    assert plan.new == 2
    assert plan.bytes is None


@pytest.mark.parametrize(
    ("clips", "rpm", "in_flight", "latency", "seconds"),
    [
        (0, 50, 32, 212, 0.0),
        (0, 50, 32, None, 0.0),
        (1_000, 50, 32, 212, 1_000 * 212 / 32 + 212),
        (1_000, 5, 32, 212, 1_000 * 4 * 12 + 212),
        (1_000, 0, 32, 212, 1_000 * 212 / 32 + 212),
        (1_000, None, 0, 212, 1_000 * 212 + 212),
        (1_000, 50, 32, None, None),
    ],
)
def test_the_time_is_bound_by_calls_or_by_places(
    clips: int, rpm: float | None, in_flight: int, latency: float | None, seconds: float | None
) -> None:
    """Whichever is slower decides when one can go to bed."""
    assert time_needed(clips, rpm=rpm, in_flight=in_flight, latency_s=latency) == seconds
