"""`batchgen set`, and the run that takes up what it said."""

from __future__ import annotations

import time

import pytest
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def test_a_cap_that_was_set_before_a_run_binds_it_and_no_later_one(api: FakeApi, desk: Desk) -> None:
    """From its first submission on; the run says so, and `status` shows the cap."""
    api.price = lambda _params: 0.3125
    desk.run("--limit", "1", "--in-flight", "1").expect(0, done=1, pending=2)
    desk.call("set", "night", "max-usd=0.70", "paused=no").expect(0)
    ended = desk.run("--in-flight", "1").expect(4, done=2, pending=1)
    assert "set for the rest of this run: max-usd=0.7 paused=no" in ended.said
    assert (ended.obj["cap_usd"], ended.obj["spent_usd"]) == (0.7, 0.625)
    assert '"text": "max-usd=0.7 paused=no"' in (desk.batch / "events.jsonl").read_text()
    assert desk.run().expect(0, done=3).obj["set"] == {"now": None, "waiting": None, "text": None}


@pytest.mark.slow
def test_a_live_run_is_paused_and_resumed_within_seconds(api: FakeApi, desk: Desk) -> None:
    """From another terminal; `status` there shows how it stands."""
    api.run_s = 0.3
    desk.manifest(*[f"shot {number}" for number in range(60)])
    process = desk.start(*desk.paid("--yes", "--json", "--in-flight", "1"))
    until = time.monotonic() + 30
    while not api.posts and time.monotonic() < until:
        time.sleep(0.05)
    told = desk.call("set", "night", "paused=yes", "rpm=600", "--json").expect(0).obj
    assert told["takes_effect"] == "now"
    while desk.call("status", "night", "--json").obj["control"] != "paused" and time.monotonic() < until:
        time.sleep(0.2)
    assert desk.call("status", "night", "--json").obj["set"]["now"]["rpm"] == 600.0
    time.sleep(1.0)
    posts = api.posts
    time.sleep(1.0)
    assert api.posts == posts < 60
    desk.call("set", "night", "paused=no", "in-flight=32").expect(0)
    desk.end(process).expect(0, done=60)
