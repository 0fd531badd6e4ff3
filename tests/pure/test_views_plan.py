"""What `plan` shows: marked as estimated, exact where it is exact, readable at 80 columns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.planning import Group, Plan
from batchgen.views.plan import plan_object, plan_text
from batchgen.views.words import columns

GOLDEN = Path(__file__).parent / "golden"
PLAN = Plan(
    name="shibuya-night",
    wanted=1_220,
    new=1_180,
    done=30,
    failed=3,
    blocked=1,
    unconfirmed=2,
    lost=1,
    in_flight=3,
    unwanted=4,
    groups=[
        Group("wan-2.5-t2v", "1280*720", 5, 1_100, 625_000, 687_500_000),
        Group("wan-2.5-t2v", "832*480", 10, 60, 312_500, 18_750_000),
        Group("someone-elses-model-with-a-rather-long-name", "", None, 20, None, None),
    ],
    estimate=706_250_000,
    unpriced=20,
    seconds=7_900,
    bytes=5_400_000_000,
    spent=18_750_000,
    reserved=1_875_000,
    cap=700_000_000,
    warnings=["the estimate of $706.25 is more than the budget has left"],
    price_source="from another vendor's list plus 25 %; the service publishes no table",
)


@pytest.mark.parametrize("width", [60, 80])
def test_the_plan_is_told_as_in_the_golden_text(width: int) -> None:
    """It is what a person says yes to."""
    assert plan_text(PLAN, width) + "\n" == (GOLDEN / f"plan_{width}.txt").read_text("utf-8")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_asked(width: int, ascii_only: bool) -> None:
    """Tables that wrap can't be read."""
    text = plan_text(PLAN, width, ascii=ascii_only)
    assert max(columns(line) for line in text.splitlines()) <= width
    assert text.isascii() or not ascii_only


def test_the_object_is_exact_and_null_where_unknown() -> None:
    """A script that sums must not take an unknown price for nothing."""
    obj = plan_object(PLAN)
    assert obj["schema_version"] == 1
    assert json.dumps(obj["estimated_usd"]) == "706.25"
    assert obj["groups"][1]["estimated_usd_each"] == 0.3125
    assert obj["groups"][2]["estimated_usd_each"] is None
    assert obj["groups"][2]["size"] is None
    assert (obj["new"], obj["unwanted"], obj["unpriced"]) == (1_180, 4, 20)


def test_all_unknown_is_told_as_unknown() -> None:
    """Never as $0.00 or 0 s."""
    plan = replace(PLAN, estimate=None, seconds=None, bytes=None, cap=None)
    text = plan_text(plan)
    assert "Estimated cost  unknown" in text
    assert "Estimated time  unknown" in text
    assert "Estimated disk  unknown" in text
    assert "Budget          none set" in text
    assert plan_object(plan)["estimated_usd"] is None


def test_a_plan_with_nothing_new_says_so() -> None:
    """After a good night, "0 new" is the news."""
    text = plan_text(replace(PLAN, new=0, groups=[], estimate=0, unpriced=0, seconds=0.0, bytes=0))
    assert "0 new" in text
    assert "Estimated cost  $0.00" in text
    assert "Each" not in text


def test_a_hundred_kinds_are_cut_in_the_text_only() -> None:
    """A matrix over sizes must not scroll the cost away."""
    plan = replace(PLAN, groups=[replace(PLAN.groups[0], count=n) for n in range(100, 0, -1)])
    assert "and 80 more kinds" in plan_text(plan)
    assert len(plan_object(plan)["groups"]) == 100
