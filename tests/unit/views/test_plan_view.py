"""What `plan` shows: what a run would do and why, exact where it is exact, readable at 60 columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from batchgen.billing.budget import Budget, Cap, Caps
from batchgen.billing.prices import PriceSource, Quote
from batchgen.clip import ClipSummary, State, Wanted
from batchgen.planning import Action, AssumedPace, Conditions, Plan, make_plan
from batchgen.planning.model import BudgetReach, DiskEstimate
from batchgen.selection import Selection
from batchgen.views.plan import plan_object, plan_text
from batchgen.views.text import columns

NOW = 1_795_485_600.0
MODEL = "wan-2.5-t2v"
LONG = "A courier on a Kestrel bike crosses Tokyo at {} while the rain falls on all the lights"


def clip(n: int, prompt_id: str = "", model: str = MODEL, **params: object) -> Wanted:
    values = {"prompt": "x", "size": "1280*720", "duration": 5, **params}
    return Wanted(f"k{n}", prompt_id or f"p{n}", 1, model, json.dumps(values), f"{prompt_id or 'clip'}_{n}", order=n)


def known(wanted: Wanted, state: State, **facts: Any) -> ClipSummary:
    return ClipSummary(
        wanted.key, wanted.prompt_id, 1, wanted.model, wanted.params, wanted.name, wanted.order, 0, "", None, None,
        state, 1, 0, 0, "", NOW - 600, 0, 0, 0,
    )._replace(**facts)  # fmt: skip


def quote(model: str, params: Mapping[str, Any]) -> Quote:
    if model != MODEL:
        return Quote(None, PriceSource.UNKNOWN)
    if params["duration"] == 10:
        return Quote(1_600_000, PriceSource.LEARNED, 1_250_000, PriceSource.TABLE, 14)
    return Quote(625_000, PriceSource.TABLE, 625_000, PriceSource.TABLE)


def a_plan(selection: Selection | None = None, *, each_clip: bool = False) -> Plan:
    """A batch with something of everything."""
    wanted = [clip(n) for n in range(1, 1101)]
    wanted += [clip(n, "other", "someone-elses-model-with-a-rather-long-name", size="") for n in range(1101, 1121)]
    there: list[ClipSummary] = []

    def add(count: int, state: State, **facts: Any) -> None:
        for n in range(len(there), len(there) + count):
            wanted.append(clip(5000 + n))
            there.append(known(wanted[-1], state, **facts))

    add(30, State.DONE, spent=625_000)
    add(3, State.GENERATING, reserved=1_250_000)
    add(2, State.FAILED, reason="the worker died (job 7f3a9c0011223344)", failures=2)
    add(1, State.FAILED, reason="422: seed must be a number")
    add(1, State.BLOCKED, reason="content policy")
    add(2, State.UNCONFIRMED, reserved=1_250_000, reason="the connection was reset")
    add(1, State.LOST, uncharged=1, reason="the service keeps no record of it any more")
    add(2, State.PENDING, reason="the worker died", failures=1)
    for n in range(40):
        wanted.append(clip(7000 + n, f"shot{n}", duration=10))
        there.append(known(clip(8000 + n, f"shot{n}"), State.DONE, spent=625_000))
    for n, time in enumerate(("dawn", "noon")):
        wanted.append(clip(7100 + n, f"courier{n}", prompt=LONG.format("night"), seed=n))
        there.append(known(clip(8100 + n, f"courier{n}", prompt=LONG.format(time)), State.DONE, spent=625_000))
    roll = known(clip(9000, "shot0"), State.PENDING, requests=0, reroll_of=wanted[0].key, name="clip_1_reroll")
    wall = Budget(caps=Caps(700_000_000, 900_000_000, 5_000, unknown_ok=True), spent=45_000_000, clips=75)
    wall.add(f"{MODEL} 1280*720 5", spent=0, clips=3, reserved=6_250_000, opened=5, unpriced=0)
    pace = AssumedPace(
        rpm=50, in_flight=32, latency_s=200.0, latency_note="learned from the last 72 clips: 200 s each"
    )  # fmt: skip
    conditions = Conditions(
        name="shibuya-night", pace=pace, budget=wall, day="2026-11-24", free_bytes=4_000_000_000,
        price_source="estimate of 2026-11: another vendor's list plus 25 %",
    )  # fmt: skip
    return make_plan(
        wanted, [*there, roll], quote=quote, conditions=conditions, selection=selection, each_clip=each_clip
    )


def text_of(plan: Plan, width: int, **how: bool) -> str:
    return plan_text(plan, width, now=NOW, tz=UTC, **how)


@pytest.mark.parametrize(
    ("name", "width", "ascii_only"),
    [("plan_60", 60, False), ("plan_80", 80, False), ("plan_120", 120, False), ("plan_80_ascii", 80, True)],
)
def test_the_plan_is_written_as_in_the_golden_text(
    name: str, width: int, ascii_only: bool, golden: Callable[[str, str], None]
) -> None:
    """It is what a person says yes to."""
    golden(name, text_of(a_plan(), width, ascii=ascii_only))


def test_a_pace_that_was_learned_is_told_where_the_time_is() -> None:
    """A time that is twice what was configured wants a reason."""
    plan, why = a_plan(), "at 60 of 120 calls a minute, since so it is"
    slow = replace(plan, pace=replace(plan.pace, rpm=60.0, in_flight=10, rpm_note=why))
    assert "200 s each; at 60 of 120 calls a minute, since so it is)" in text_of(slow, 200)
    bare = replace(slow, pace=replace(slow.pace, latency_note=""))
    assert "(at 60 of 120 calls a minute, since so it is)" in text_of(bare, 200)
    obj = plan_object(slow)
    assert (obj["rpm"], obj["most_in_flight"], obj["pace_source"]) == (60.0, 10, why)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_asked(width: int, ascii_only: bool) -> None:
    """Tables that wrap can't be read; nor can a list of every clip."""
    text = text_of(a_plan(each_clip=True), width, ascii=ascii_only)
    assert max(columns(line) for line in text.splitlines()) <= width
    assert text.isascii() or not ascii_only


def test_colour_says_nothing_that_the_words_do_not() -> None:
    """Whoever can't see it reads the same; a plan without it has no escapes at all."""
    plain, coloured = text_of(a_plan(), 80), text_of(a_plan(), 80, colour=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[33m  ~    42 changed\x1b[0m" in coloured


def test_each_clip_is_listed_when_that_is_asked() -> None:
    """With its sign, its price and what was changed."""
    text = text_of(a_plan(each_clip=True), 120)
    assert "  ~ shot7_7007  1280*720 10 s  $1.60  duration 5 -> 10" in text
    assert "  + clip_1_reroll  1280*720 5 s  $0.63" in text
    assert "  ✗ clip_5033  the worker died (job 7f3a9c0011223344)" in text
    plan = a_plan(each_clip=True)
    assert len(plan_object(plan)["clips"]) == plan.wanted + plan.count(Action.UNWANTED)
    assert "clips" not in plan_object(a_plan())


def test_the_object_is_exact_and_null_where_unknown() -> None:
    """A script that sums must not take an unknown price for nothing."""
    obj = plan_object(a_plan())
    assert obj["schema_version"] == 1
    assert json.dumps(obj["estimated_usd"]) == "754.625"
    groups = {group["model"]: group for group in obj["groups"]}
    assert groups["someone-elses-model-with-a-rather-long-name"]["estimated_usd_each"] is None
    assert groups["someone-elses-model-with-a-rather-long-name"]["size"] is None
    assert (obj["new"], obj["unwanted"], obj["unpriced"], obj["wanted"]) == (1_165, 42, 20, 1_205)
    actions = {step["action"]: step for step in obj["actions"]}
    assert {name: step["count"] for name, step in actions.items()} == {
        "new": 1_120, "changed": 42, "reroll": 1, "again": 2, "in_flight": 3, "unconfirmed": 2, "lost": 1,
        "failed": 3, "blocked": 1, "done": 30, "unwanted": 42,
    }  # fmt: skip
    assert actions["new"]["unpriced"] == 20
    assert actions["unwanted"]["spent_usd"] == 26.25
    assert [change["count"] for change in obj["changes"]] == [40, 2]
    assert obj["collect_before"] == "2026-11-24T02:50:00.000Z"
    (learned,) = [price for price in obj["prices"] if price["source"] == "learned"]
    assert (learned["charges"], learned["told_usd"], learned["drift_percent"]) == (14, 1.25, 28)


def test_all_unknown_is_told_as_unknown() -> None:
    """Never as $0.00 or 0 s."""
    plan = a_plan()
    groups = [replace(group, each=None, total=None) for group in plan.cost.groups]
    plan = replace(
        plan,
        cost=replace(plan.cost, groups=groups),
        seconds=None,
        disk=DiskEstimate(),
        budget=BudgetReach(),
    )
    text = text_of(plan, 80)
    assert "Estimated cost  unknown" in text
    assert "Estimated time  unknown" in text
    assert "Estimated disk  unknown" in text
    assert "Budget          none set" in text
    assert plan_object(plan)["estimated_usd"] is None


def test_a_missing_price_is_not_said_to_be_a_small_budget() -> None:
    """The run submits nothing, however much is left."""
    plan = a_plan()
    plan = replace(plan, budget=replace(plan.budget, reach=0, barrier=Cap.PRICE))
    (line,) = [line for line in text_of(plan, 200).splitlines() if line.startswith("Budget")]
    assert line.endswith(", a price is missing")


def test_a_plan_with_nothing_new_says_so() -> None:
    """After a good night, "0 new" is the news."""
    done, conditions = clip(1), Conditions(pace=AssumedPace(latency_s=5))
    plan = make_plan([done], [known(done, State.DONE, spent=5)], quote=quote, conditions=conditions)
    text = text_of(plan, 80)
    assert "+ 0 new" in text
    assert "Estimated cost  $0.00" in text
    assert "Each" not in text


def test_what_a_resubmission_may_cost_is_told_apart() -> None:
    """It is paid for only if the history does not have them, and may then be paid for twice."""
    text = text_of(a_plan(Selection(resubmit_unconfirmed=True)), 120)
    assert "? 2 resubmit" in text.replace("    ", "")
    assert "; up to $1.25 to resubmit 2 clips" in text


def test_records_that_are_gone_are_not_promised_to_be_fetched_by_a_time() -> None:
    """“until 02:50” in the past helps nobody."""
    assert "until 02:50" in text_of(a_plan(), 120)
    assert "until" not in plan_text(replace(a_plan(), steps=[s for s in a_plan().steps if s.action == "in_flight"]),
                                    120, now=NOW + 7200, tz=UTC)  # fmt: skip


def test_a_hundred_kinds_are_cut_in_the_text_only() -> None:
    """A matrix over sizes must not scroll the cost away."""
    plan = a_plan()
    groups = [replace(plan.cost.groups[0], count=n) for n in range(100, 0, -1)]
    plan = replace(plan, cost=replace(plan.cost, groups=groups))
    assert "and 80 more kinds" in plan_text(plan)
    assert len(plan_object(plan)["groups"]) == 100


def test_no_reason_can_steer_the_terminal() -> None:
    """It is the service's own text."""
    bad = known(clip(1), State.FAILED, reason="\x1b[2Jgone https://f.example/a?sig=secret")
    text = text_of(make_plan([clip(1)], [bad], quote=quote, conditions=Conditions(), each_clip=True), 80)
    assert "\x1b" not in text
    assert "secret" not in text
