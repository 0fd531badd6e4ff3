"""Budget, `--limit`, `--only`, account trouble: what a run may spend, and how it stops."""

from __future__ import annotations

import json

import pytest
from bad_replies import after, drop, first, says
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time

TEN = [f"shot {number}" for number in range(10)]


@pytest.mark.parametrize("price", [0.3125, 1.2])
def test_the_cap_is_never_passed_by_the_services_own_books(api: FakeApi, desk: Desk, price: float) -> None:
    """Promise 4, below and above the table's estimate: a charge of up to twice that was reserved."""
    api.price = lambda _params: price
    desk.manifest(*TEN)
    ended = desk.run("--max-usd", "2.60").expect(4)
    assert api.charged <= 2.6 < api.charged + price
    assert ended.obj["spent_usd"] == api.charged
    assert (ended.obj["reserved_usd"], ended.obj["cap_usd"]) == (0.0, 2.6)
    assert "budget" in ended.obj["stopped"]


def test_a_price_beyond_all_that_was_reserved_stops_the_next_submission(api: FakeApi, desk: Desk) -> None:
    """One clip at a time: the first charge re-prices the rest, and none of them fits any more."""
    api.price = lambda _params: 3.0
    desk.manifest(*TEN)
    desk.run("--max-usd", "4", "--in-flight", "1").expect(4, done=1, pending=9)
    assert api.charged == 3.0


@pytest.mark.slow
def test_a_price_that_rises_in_the_night_passes_the_cap_by_the_surplus_in_flight(api: FakeApi, desk: Desk) -> None:
    """The bound of promise 4: 16 in flight at the first higher charge, each by what it was above its reservation."""
    api.price = lambda _params: 0.5 if len(api.jobs) < 6 else 1.0
    desk.manifest(*[f"shot {number}" for number in range(40)])
    ended = desk.run("--max-usd", "12", "--in-flight", "16").expect(4)
    events = [json.loads(line) for line in (desk.batch / "events.jsonl").read_text().splitlines()]
    rise = next(i for i, event in enumerate(events) if event.get("cost_usd") == 1.0)
    held = {event["clip"]: event["held_usd"] for event in events[:rise] if event["event"] == "SubmitStarted"}
    charged = {event["clip"] for event in events[:rise] if event["event"] == "Generated"}
    surplus = sum(1.0 - usd for clip, usd in held.items() if clip not in charged)
    assert 0.0 < api.charged - 12.0 <= surplus <= 16 * 0.5
    assert not [event for event in events[rise:] if event["event"] == "SubmitStarted"]
    assert (ended.obj["spent_usd"], ended.obj["reserved_usd"]) == (api.charged, 0.0)


def test_the_cap_counts_over_all_runs_and_a_raised_one_goes_on(api: FakeApi, desk: Desk) -> None:
    """A cap that began anew with each run would be none; the manifest's budget is one, a flag beats it."""
    desk.manifest(*TEN[:4], more="budget: {max_usd: 1.30}")
    for _ in range(2):
        ended = desk.run("--in-flight", "1").expect(4, done=2, pending=2)
        assert "to continue, raise max_usd" in ended.obj["stopped"]
        assert api.posts == 2
    desk.run("--max-usd", "2.00").expect(0, done=4)
    assert api.charged == 2.0


def test_an_unknown_price_is_never_taken_for_nothing(api: FakeApi, desk: Desk) -> None:
    """With a cap, a model without a price submits nothing, and says where to write the price."""
    desk.manifest("a cat", more="model: wan-9")
    ended = desk.run("--max-usd", "50").expect(4, pending=1)
    assert "prices" in ended.obj["stopped"]
    assert not api.of("stray")


@pytest.mark.parametrize("said", ["flag", "manifest"])
def test_an_unknown_price_goes_out_at_the_users_word(api: FakeApi, desk: Desk, said: str) -> None:
    """Here to a service that does not know the model either, which is told with what to do."""
    word = "allow_unknown_price: true" if said == "manifest" else ""
    desk.manifest("a cat", more=f"model: wan-9\nbudget: {{max_usd: 50, {word}}}")
    ended = desk.run(*(["--allow-unknown-price"] if said == "flag" else [])).expect(4, pending=1)
    assert len(api.of("stray")) == 1
    assert ended.obj["stopped"].startswith("model")
    assert "check model: in the manifest" in ended.obj["stopped"]


def test_caps_by_the_day_and_in_clips_hold_over_runs_and_are_told(api: FakeApi, desk: Desk) -> None:
    """In the manifest, or by a flag that beats it; `status` shows how much of them is used."""
    desk.manifest(*TEN, more="budget: {max_usd_per_day: 1.80, max_clips: 5}")
    for _ in range(2):
        ended = desk.run("--in-flight", "1").expect(4, done=3, pending=7)
        assert "after midnight" in ended.obj["stopped"]
        assert (ended.obj["today_usd"], ended.obj["cap_usd_per_day"]) == (1.5, 1.8)
    ended = desk.run("--max-usd-per-day", "100").expect(4, done=5, pending=5)
    assert "5 of 5 clips" in ended.obj["stopped"]
    assert "to continue, raise max_clips" in ended.obj["stopped"]
    told = desk.call("status", "night.yaml").expect(0).stdout.decode()
    assert "Submitted 5 of 5 clips" in told
    assert "Today $2.50 of $100.00" in told
    desk.run("--max-usd-per-day", "100", "--max-clips", "7").expect(4, done=7, pending=3)
    assert api.posts == 7


def test_limit_submits_exactly_so_many_clips(api: FakeApi, desk: Desk) -> None:
    """A first look for little money; without the limit the rest follows."""
    desk.manifest(*TEN[:6])
    ended = desk.run("--limit", "2").expect(0, done=2, pending=4)
    assert (ended.obj["stopped"], ended.obj["last_run"]["left_out"], ended.obj["next"]) == (None, 4, [])
    assert api.posts == 2
    desk.run("--limit", "4").expect(0, done=6)
    assert api.posts == 6


def test_only_submits_what_the_glob_names(api: FakeApi, desk: Desk) -> None:
    """By id or name; the rest stays pending, and that is what was asked for."""
    desk.run("--only", "c*,d*").expect(0, done=2, pending=1)
    assert api.prompts == {"a cat": 1, "a dog": 1}
    desk.run("--only", "owl_1,nothing").expect(0, done=3)


def test_account_trouble_stops_submission_and_collects_what_is_paid(api: FakeApi, desk: Desk) -> None:
    """Promise 6: no credits after two: these are fetched, the others stay pending, and go on when it is mended."""
    api.scripts["submit"] = after(2, says(406, "Insufficient credits"))
    desk.manifest(*TEN[:6])
    ended = desk.run("--in-flight", "2").expect(4, done=2, pending=4)
    assert ended.obj["stopped"].startswith("credits")
    assert "Insufficient credits" in ended.obj["stopped"]
    assert api.posts <= 5
    api.scripts.clear()
    desk.run().expect(0, done=6)
    assert set(api.prompts.values()) == {1}


def test_a_bad_key_stops_at_once_in_plain_words(api: FakeApi, desk: Desk) -> None:
    """401 at the first POST: nothing else is tried, nothing is lost."""
    api.scripts["submit"] = says(401, "invalid_api_key")
    desk.manifest(*TEN)
    ended = desk.run("--in-flight", "1").expect(4, pending=10)
    assert api.posts == 1
    assert "key" in ended.obj["stopped"]
    assert "invalid_api_key" in ended.obj["stopped"]
    assert ended.obj["next"] == ["batchgen run night.yaml"]


def test_the_most_urgent_of_several_exit_codes_is_given(api: FakeApi, desk: Desk) -> None:
    """Stopped early (4) beats a clip in doubt (5), which beats a failed one (3)."""
    api.scripts["submit"] = first(1, drop)
    api.error = lambda params: "invalid parameter" if params["prompt"] == "a dog" else None
    desk.run("--in-flight", "1", "--max-clips", "1").expect(4, unconfirmed=1, pending=2)
    desk.run().expect(5, unconfirmed=1, failed=1, done=1)
    assert api.posts == 3
