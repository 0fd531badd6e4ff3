"""The plan: what is new, what it costs, how long; unknown is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.billing.budget import Budget, Cap, Caps, Sums
from batchgen.billing.prices import PriceSource, Quote
from batchgen.clip import ClipSummary, State, Wanted
from batchgen.planning import Action, AssumedPace, Conditions, Plan, make_plan, time_needed
from batchgen.planning.cost import reach
from batchgen.selection import Selection

MODEL = "wan-2.5-t2v"


def clip(
    n: int, model: str = MODEL, *, prompt_id: str = "", take: int = 1, priority: int = 0, **params: object
) -> Wanted:
    values = {"prompt": "x", "size": "1280*720", "duration": 5, **params}
    return Wanted(
        f"k{n}", prompt_id or f"p{n}", take, model, json.dumps(values), f"clip_{n}", order=n, priority=priority
    )


def known(n: int, state: State = State.DONE, of: Wanted | None = None, **facts: Any) -> ClipSummary:
    """A clip of the ledger that was submitted once; `of` is how the manifest asked for it then."""
    wanted = of or clip(n)
    base = ClipSummary(
        f"k{n}", wanted.prompt_id, wanted.take, wanted.model, wanted.params, wanted.name, n, 0, "", None, None,
        state, 1, 0, 0, "", 1000.0, 0, 0, 0,
    )  # fmt: skip
    return base._replace(**facts)


def quote(model: str, params: Mapping[str, Any]) -> Quote:
    if model != MODEL:
        return Quote(None, PriceSource.UNKNOWN)
    each = 625_000 if params["duration"] == 5 else 1_250_000
    return Quote(each, PriceSource.MANIFEST, each, PriceSource.MANIFEST)


def plan_of(
    clips: Sequence[Wanted], in_ledger: Iterable[ClipSummary] = (), selection: Selection | None = None, **given: Any
) -> Plan:
    budget = Budget(caps=Caps(given.pop("cap", None), **given.pop("caps", {})), spent=given.pop("spent", 0))
    if reserved := given.pop("reserved", 0):
        budget.add("x", spent=0, clips=1, reserved=reserved, opened=1, unpriced=0)
    conditions = Conditions(
        name="night", day="2026-11-24", budget=budget, warnings=["given"], free_bytes=given.pop("free_bytes", None),
        pace=AssumedPace(**{"rpm": 50, "in_flight": 32, "latency_s": 212, **given}),
    )  # fmt: skip
    return make_plan(clips, in_ledger, quote=quote, conditions=conditions, selection=selection, each_clip=True)


def counts(plan: Plan) -> dict[Action, int]:
    return {step.action: step.count for step in plan.steps}


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, *State]), max_size=30), st.integers(0, 5))
def test_every_wanted_clip_is_counted_once(states: list[State | None], strangers: int) -> None:
    """A count that does not add up makes every other one doubtful."""
    clips = [clip(n) for n in range(len(states))]
    there = [known(n, state) for n, state in enumerate(states) if state is not None]
    there += [known(100 + n) for n in range(strangers)]
    plan = plan_of(clips, there)
    stand = [Action.DONE, Action.FAILED, Action.BLOCKED, Action.UNCONFIRMED, Action.LOST, Action.IN_FLIGHT]
    assert plan.new + sum(plan.count(action) for action in stand) == plan.wanted == len(states)
    assert plan.count(Action.UNWANTED) == strangers
    assert sum(group.count for group in plan.cost.groups) == plan.new == len(plan.keys.submit)
    assert sum(counts(plan).values()) == plan.wanted + strangers
    assert len(plan.clips) == plan.wanted + strangers


def test_only_what_is_new_is_estimated() -> None:
    """Done, failed and unconfirmed clips cost nothing in the next run."""
    there = [known(1), known(2, State.FAILED), known(3, State.UNCONFIRMED), known(4)]
    plan = plan_of([clip(n) for n in range(6)], there)
    assert (plan.new, plan.cost.total, plan.cost.unpriced) == (2, 1_250_000, 0)


def test_groups_are_told_apart_by_model_size_duration_and_price() -> None:
    """The table is where a wrong `duration: 10` is seen before it is paid for."""
    clips = [clip(0), clip(1), clip(2, duration=10), clip(3, size="720*1280"), clip(4, model="other")]
    groups = plan_of(clips).cost.groups
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
    assert (mixed.cost.total, mixed.cost.unpriced) == (625_000, 1)
    unknown = plan_of([clip(1, model="other")])
    assert (unknown.cost.total, unknown.cost.unpriced) == (None, 1)
    assert any("no known price" in text for text in unknown.warnings)


def test_nothing_new_costs_nothing() -> None:
    """The second plan of a finished night is $0.00 and 0 s, and says neither "unknown"."""
    plan = plan_of([clip(0)], [known(0)])
    assert (plan.cost.total, plan.seconds, plan.disk.needed, list(plan.warnings)) == (0, 0.0, 0, ["given"])


@pytest.mark.parametrize(("cap", "warned"), [(None, False), (1_250_000, False), (1_249_999, True)])
def test_an_estimate_over_what_the_budget_has_left_is_warned_of(cap: int | None, warned: bool) -> None:
    """What is spent and reserved counts."""
    plan = plan_of([clip(0)], cap=cap, spent=500_000, reserved=125_000)
    assert any("budget" in text for text in plan.warnings) is warned


def test_a_full_disk_is_foreseen() -> None:
    """It is cheaper to make room in the evening."""
    assert plan_of([clip(0)]).disk.needed == 1280 * 720 * 5
    assert any("disk" in text for text in plan_of([clip(0)], free_bytes=1_000_000).warnings)
    assert not any("disk" in text for text in plan_of([clip(0)], free_bytes=10**10).warnings)


def test_odd_parameters_of_unknown_models_are_planned_too() -> None:
    """They pass through unchecked."""
    odd = Wanted("k0", "p", 1, "other", '{"size": ["x"], "duration": "long"}', "odd")
    bare = Wanted("k1", "p", 1, "other", "{}", "bare")
    plan = plan_of([odd, bare])
    assert plan.new == 2
    assert plan.disk.needed is None


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


def test_a_plan_says_what_of_its_pace_was_learned() -> None:
    """The clips in flight only where they, and not the calls, hold the run up."""
    notes: dict[str, Any] = {"rpm_note": "at 60 of 120 calls", "in_flight_note": "with 10 clips in flight"}
    calls = plan_of([clip(n) for n in range(100)], rpm=60, in_flight=60, **notes)
    assert (calls.seconds, calls.pace.rpm, calls.pace.in_flight) == (100 * 4 + 212, 60, 60)
    assert calls.pace.limits_note == "at 60 of 120 calls"
    places = plan_of([clip(n) for n in range(100)], rpm=60, in_flight=10, **notes)
    assert (places.pace.rpm, places.pace.in_flight) == (60, 10)
    assert places.seconds == pytest.approx(100 * 21.2 + 212)
    assert places.pace.limits_note == "at 60 of 120 calls, and with 10 clips in flight"
    assert plan_of([clip(0)], rpm=60, in_flight=10, in_flight_note="with 10").pace.limits_note == "with 10"
    assert plan_of([clip(0)], latency_s=None, in_flight_note="with 10").pace.limits_note == ""


# --- what is done with each, and why --------------------------------------------------------------------


def test_a_changed_clip_is_told_beside_what_it_takes_the_place_of() -> None:
    """An edit costs money: it is the first thing to look at before yes."""
    plan = plan_of([clip(2, prompt_id="a", duration=10), clip(3, prompt_id="b")], [known(1, of=clip(1, prompt_id="a"))])
    assert counts(plan) == {Action.NEW: 1, Action.CHANGED: 1, Action.UNWANTED: 1}
    (change,) = plan.changes
    assert [(edit.name, edit.before, edit.after) for edit in change.edits] == [("duration", "5", "10")]
    assert (change.count, list(change.clips)) == (1, ["clip_2"])
    assert plan.step(Action.CHANGED).estimate == 1_250_000


def test_forty_like_changes_are_one_line() -> None:
    """A default that was changed is one decision, not forty."""
    old = [known(n, of=clip(n, prompt_id=f"a{n}")) for n in range(40)]
    new = [clip(100 + n, prompt_id=f"a{n}", duration=10) for n in range(40)]
    (change,) = plan_of(new, old).changes
    assert (change.count, change.alike, len(change.clips)) == (40, True, 3)


def test_texts_rewritten_each_in_its_own_way_are_one_change_of_their_parameter() -> None:
    """Forty new prompts must not scroll the cost away."""
    old = [known(n, of=clip(n, prompt_id=f"a{n}", prompt=f"old words {n}")) for n in range(40)]
    new = [clip(100 + n, prompt_id=f"a{n}", prompt=f"new text {n}", seed=n) for n in range(40)]
    (change,) = plan_of(new, old).changes
    assert (change.count, change.alike) == (40, False)
    assert "prompt" in {edit.name for edit in change.edits}


def test_another_take_of_the_same_prompt_is_no_change() -> None:
    """It stands beside the first one, and takes nobody's place."""
    plan = plan_of([clip(1, prompt_id="a"), clip(2, prompt_id="a", take=2)], [known(1, of=clip(1, prompt_id="a"))])
    assert counts(plan) == {Action.NEW: 1, Action.DONE: 1}


def test_what_was_never_submitted_is_nothing_that_could_be_changed() -> None:
    """A run forgets it; it was not paid for, so it is not told as no longer wanted either."""
    never = known(1, State.PENDING, clip(1, prompt_id="a"), requests=0)
    plan = plan_of([clip(2, prompt_id="a", duration=10)], [never])
    assert counts(plan) == {Action.NEW: 1}
    assert plan.count(Action.UNWANTED) == 0


def test_of_several_that_came_before_the_last_one_is_compared() -> None:
    """The manifest of yesterday, not that of last week."""
    old = [known(1, of=clip(1, prompt_id="a", duration=10)), known(2, of=clip(2, prompt_id="a", size="832*480"))]
    (change,) = plan_of([clip(3, prompt_id="a")], old).changes
    assert [(edit.name, edit.before, edit.after) for edit in change.edits] == [("size", "832*480", "1280*720")]


def test_rerolls_of_wanted_clips_are_wanted() -> None:
    """They stand in the ledger only, and cost as much as any other; with their root they go."""
    roll = known(9, State.PENDING, clip(9, prompt_id="a", take=2), requests=0, reroll_of="k1")
    root = known(1, of=clip(1, prompt_id="a"))
    plan = plan_of([clip(1, prompt_id="a")], [root, roll])
    assert counts(plan) == {Action.REROLL: 1, Action.DONE: 1}
    assert (plan.wanted, plan.new, plan.cost.total, list(plan.keys.submit)) == (2, 1, 625_000, ["k9"])
    assert counts(plan_of([clip(5, prompt_id="b")], [root, roll])) == {Action.NEW: 1, Action.UNWANTED: 1}


def test_what_another_take_has_replaced_is_not_wanted() -> None:
    """`retry --blocked --new-seed`: the manifest still has it, and the run does not."""
    there = [
        known(0, State.BLOCKED, flags="replaced"),
        known(9, State.PENDING, clip(9, prompt_id="p0", take=2), requests=0, reroll_of="k0"),
    ]
    plan = plan_of([clip(0)], there)
    assert counts(plan) == {Action.REROLL: 1, Action.REPLACED: 1}
    assert plan.wanted == 1


def test_what_is_tried_again_is_told_apart_from_what_is_new() -> None:
    """Its attempts count."""
    plan = plan_of([clip(0), clip(1)], [known(0, State.PENDING, reason="worker died")])
    assert counts(plan) == {Action.NEW: 1, Action.AGAIN: 1}
    assert [clip.why for clip in plan.clips if clip.action is Action.AGAIN] == ["worker died"]
    plan = plan_of([clip(0)], [known(0, State.PENDING, attempts=3)])
    assert [clip.why for clip in plan.clips] == ["attempt 4 of 5"]


def test_failures_are_told_by_cause_and_whether_another_try_may_help() -> None:
    """A worker that died is worth a retry, a parameter that is refused is not."""
    there = [
        known(0, State.FAILED, reason="worker 12345 died", flags="transient"),
        known(1, State.FAILED, reason="worker 99999 died", failures=2),
        known(2, State.FAILED, reason="422 bad seed", flags="final", failures=2),
        known(3, State.BLOCKED, reason="policy"),
    ]
    plan = plan_of([clip(n) for n in range(4)], there)
    assert [(cause.count, cause.transient) for cause in plan.step(Action.FAILED).causes] == [(2, True), (1, False)]
    assert [(cause.count, cause.transient) for cause in plan.step(Action.BLOCKED).causes] == [(1, False)]


def test_money_is_told_for_each_kind_and_adds_up() -> None:
    """Known, reserved and unknown apart; an unknown cost is never a 0 in a sum."""
    there = [
        known(0, spent=625_000),
        known(1, spent=700_000),
        known(2, State.GENERATING, reserved=1_250_000),
        known(3, State.LOST, uncharged=1),
        known(9, spent=300_000),
    ]
    plan = plan_of([clip(n) for n in range(4)], there)
    steps = {step.action: (step.spent, step.reserved, step.uncharged) for step in plan.steps}
    assert steps == {
        Action.DONE: (1_325_000, 0, 0),
        Action.IN_FLIGHT: (0, 1_250_000, 0),
        Action.LOST: (0, 0, 1),
        Action.UNWANTED: (300_000, 0, 0),
    }


def test_resubmission_is_planned_only_on_the_users_word() -> None:
    """It may be paid for twice, so it is never part of what is new."""
    clips = [clip(0), clip(1, model="other")]
    there = [known(0, State.UNCONFIRMED), known(1, State.LOST, clips[1])]
    assert not plan_of(clips, there).keys.resubmit
    one = plan_of(clips, there, Selection(resubmit_unconfirmed=True))
    assert (list(one.keys.resubmit), one.step(Action.RESUBMIT).estimate, one.new, one.cost.total) == (
        ["k0"],
        625_000,
        0,
        0,
    )
    both = plan_of(clips, there, Selection(resubmit_unconfirmed=True, resubmit_lost=True)).step(Action.RESUBMIT)
    assert (both.count, both.estimate, both.unpriced) == (2, 625_000, 1)


def test_until_when_what_is_in_flight_can_be_collected() -> None:
    """The first record goes an hour after its submission; a link that is known lives for days."""
    there = [known(0, State.GENERATING, at=5000.0), known(1, State.GENERATING, at=4000.0)]
    there.append(known(2, State.DOWNLOADING, at=1.0))
    assert plan_of([clip(n) for n in range(3)], there).collect_until == 4000.0 + 3600.0
    assert plan_of([clip(2)], there[2:]).collect_until is None


# --- how far the money goes -----------------------------------------------------------------------------


def test_the_run_submits_in_the_order_of_the_plan() -> None:
    """First takes first, then priority, then the manifest's order: under a cap that is what one gets."""
    clips = [clip(0, take=2), clip(1), clip(2, priority=5), clip(3)]
    assert list(plan_of(clips).keys.submit) == ["k2", "k1", "k3", "k0"]


def test_a_canary_is_planned_as_the_run_would_choose_it() -> None:
    """`--only` and `--limit` leave the rest for later, and none of its cost is told."""
    clips = [clip(n, prompt_id=f"{'ab'[n % 2]}{n}") for n in range(6)]
    plan = plan_of(clips, selection=Selection(only="a*, clip_1", limit=3))
    assert list(plan.keys.submit) == ["k0", "k1", "k2"]
    assert (plan.new, plan.cost.total, counts(plan)) == (6, 3 * 625_000, {Action.NEW: 3, Action.LATER: 3})


@pytest.mark.parametrize(
    ("cap", "far"), [(None, None), (0, 0), (624_999, 0), (625_000, 1), (6_249_999, 9), (10**9, 10)]
)
def test_how_far_the_cap_reaches(cap: int | None, far: int | None) -> None:
    """“Enough for the first 38 of 60” is what one decides by."""
    assert plan_of([clip(n) for n in range(10)], cap=cap).budget.reach == far


def test_what_is_spent_and_reserved_shortens_the_reach() -> None:
    """The cap is that of the batch over all its runs."""
    assert plan_of([clip(n) for n in range(10)], cap=2_500_000, spent=625_000, reserved=1_250_000).budget.reach == 1


def test_the_first_clip_of_a_class_that_was_never_charged_needs_room_for_twice_its_estimate() -> None:
    """So much is reserved for it; a plan that promises it would be wrong by one."""
    table = [("a", Quote(625_000, PriceSource.TABLE, 625_000, PriceSource.TABLE))] * 3
    assert reach(table, Budget(caps=Caps(1_249_999)), "") == (0, Cap.TOTAL)
    assert reach(table, Budget(caps=Caps(1_250_000)), "") == (2, Cap.TOTAL)
    assert reach(table, Budget(caps=Caps(1_249_999), seen={"a": 625_000}), "") == (1, Cap.TOTAL)


def test_the_caps_by_the_day_and_in_clips_shorten_the_reach_too() -> None:
    """Whichever comes first; and the real wall is left as it was."""
    queue = [("a", Quote(625_000, PriceSource.MANIFEST, 625_000, PriceSource.MANIFEST))] * 9
    assert reach(queue, Budget(caps=Caps(10**8, clips=4), clips=1), "") == (3, Cap.CLIPS)
    wall = Budget(caps=Caps(usd_per_day=2_000_000), days={"today": Sums(spent=625_000)})
    assert reach(queue, wall, "today") == (2, Cap.DAY)
    assert reach(queue, wall, "tomorrow") == (3, Cap.DAY)
    assert wall == Budget(caps=Caps(usd_per_day=2_000_000), days={"today": Sums(spent=625_000)})


def test_an_unknown_price_under_a_cap_submits_nothing_unless_that_was_said() -> None:
    """The run refuses it, so the plan must not promise it."""
    clips = [clip(0, model="other"), clip(1)]
    plan = plan_of(clips, cap=10**9)
    assert (plan.budget.reach, plan.budget.barrier) == (0, Cap.PRICE)
    assert any("submit nothing" in text for text in plan.warnings)
    plan = plan_of(clips, cap=10**9, caps={"unknown_ok": True})
    assert (plan.budget.reach, plan.budget.barrier) == (2, None)


def test_the_upper_figure_is_that_of_all_clips_that_are_submitted() -> None:
    """Where nothing was charged yet: 3 of 4 clips at what others paid, and one at its own price."""

    def unproven(_model: str, params: Mapping[str, Any]) -> Quote:
        each = 625_000 * params["duration"] // 5
        return Quote(
            each, PriceSource.TABLE, each, PriceSource.TABLE, high=800_000 if params["duration"] == 5 else None
        )

    clips = [clip(0), clip(1), clip(2), clip(3, duration=10)]
    cost = make_plan(clips, [], quote=unproven, conditions=Conditions()).cost
    assert (cost.total, cost.high) == (3_125_000, 3_650_000)
    assert make_plan([], [], quote=unproven, conditions=Conditions()).cost.high is None


def test_a_learned_price_far_from_what_was_told_is_warned_of() -> None:
    """The night's estimate is the learned one, and a person is told why it moved."""

    def learned(_model: str, _params: Mapping[str, Any]) -> Quote:
        return Quote(800_000, PriceSource.LEARNED, 625_000, PriceSource.TABLE, 14)

    plan = make_plan([clip(0)], [], quote=learned, conditions=Conditions())
    assert plan.cost.total == 800_000
    assert any("28 % more than the table's $0.63" in text for text in plan.warnings)
