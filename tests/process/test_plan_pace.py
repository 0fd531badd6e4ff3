"""`plan`, and the question before the first paid call, reckon with the rate that a run would really start at."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_replies import first, says
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time

PACE = "limits: {rpm: 1200}"
SLOW = "at 600 of 1200 calls a minute, to which it was slowed after refusals 0 min ago"


@pytest.fixture
def refused(api: FakeApi, desk: Desk) -> Desk:
    """A batch whose first night met a 429 at once, and thirty clips for the second one."""
    desk.manifest("a cat", more=PACE)
    api.scripts["submit"] = first(1, says(429, "too many requests", headers={"Retry-After": "1"}))
    desk.call("run", "night.yaml", "--base-url", desk.url, "--yes", "--expect-latency", "0.1").expect(0)
    for name in ("night.yaml", "other.yaml"):
        desk.manifest(*(f"clip {n}" for n in range(30)), more=PACE, name=name)
    return desk


def plan_at(desk: Desk, *options: str, name: str = "night.yaml", **more: object) -> tuple[float, int, str]:
    """Give the rate, the seconds and the words of a plan."""
    args = ("plan", name, "--base-url", desk.url, "--expect-latency", "0.1", "--json", *options)
    obj = desk.call(*args, **more).expect(0).obj
    return obj["rpm"], obj["estimated_s"], obj["pace_source"]


def standing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_a_plan_reckons_with_the_rate_that_the_account_was_slowed_to(refused: Desk) -> None:
    """With the key, and by the ledger without one; not after an explicit rate. It leaves what is remembered alone."""
    home = refused.folder / "home"
    before = standing(home)
    no_key = {"SEGMIND_API_KEY": None}
    assert plan_at(refused) == (600, 12, SLOW)
    assert plan_at(refused, env=no_key) == (600, 12, SLOW)
    assert plan_at(refused, env={**no_key, "SEGMIND_API_KEY_FILE": "/nowhere"}) == (600, 12, SLOW)
    assert plan_at(refused, name="other.yaml") == (600, 12, SLOW)
    assert plan_at(refused, name="other.yaml", env=no_key) == (1200, 6, "")
    assert plan_at(refused, "--rpm", "1200") == (1200, 6, "")
    assert plan_at(refused, env={"SEGMIND_API_KEY": "SG_another"}) == (1200, 6, "")
    assert plan_at(refused, "--sandbox")[2] == ""
    told = refused.call("plan", "night.yaml", "--base-url", refused.url).expect(0).stdout.decode()
    assert SLOW in " ".join(told.split())
    assert standing(home) == before


def test_a_plan_of_a_machine_that_remembers_nothing_leaves_it_at_that(desk: Desk) -> None:
    """Not even the folder of what is remembered is made."""
    desk.manifest("a cat", more=PACE)
    assert plan_at(desk)[0] == 1200
    assert not (desk.folder / "home").exists()


def test_an_address_that_is_none_is_for_the_run_to_refuse(desk: Desk) -> None:
    """A plan calls nobody."""
    desk.call("plan", "night.yaml", "--base-url", "nowhere").expect(0)
    desk.call("plan", "night.yaml", "--base-url", "http://[").expect(0)


def test_the_question_before_paying_reckons_with_it_too(refused: Desk) -> None:
    """Who says yes should know when it will be done."""
    asked = ("run", "night.yaml", "--base-url", refused.url, "--expect-latency", "0.1")
    assert "about 12 s" in refused.call(*asked).expect(2).said
    assert "about 6 s" in refused.call(*asked, "--rpm", "1200").expect(2).said
