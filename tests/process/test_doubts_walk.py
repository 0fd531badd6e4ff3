"""A user's way through a doubt: the answer is lost, then status, reconcile, the user's word, and giving up."""

from __future__ import annotations

import pytest
from bad_replies import Gate, drop, first, says
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def test_from_a_lost_answer_to_a_whole_batch(api: FakeApi, desk: Desk) -> None:
    """Nothing was accepted, nobody can know: each command says what it saw, and what to type next."""
    api.scripts["submit"] = first(1, drop)
    desk.run("--in-flight", "1").expect(5, done=2, unconfirmed=1)
    [doubt] = desk.call("status", "night.yaml", "--json").expect(0).obj["attention"]
    assert doubt["looked"]["whole"]  # the run looked at its end
    assert doubt["looked"]["rows"] == 2
    assert doubt["looked"]["absence_counts_at"] > doubt["looked"]["at"]
    assert "batchgen reconcile night.yaml" in doubt["next"]

    told = desk.call("reconcile", "night.yaml", "--base-url", api.url).expect(0)
    assert b"not among 2 requests on " in told.stdout
    assert b"; conclusive from " in told.stdout
    assert b"Checked 1 clip: 0 resolved, 1 open." in told.stdout
    assert desk.call("reconcile", "night.yaml").expect(0).stdout  # the origin is the batch's own

    desk.run("--resubmit-unconfirmed").expect(5, done=2, unconfirmed=1)
    assert api.posts == 3
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(0, done=3)
    assert set(api.prompts.values()) == {1}


def test_a_history_that_is_down_is_said_so_and_nothing_is_assumed(api: FakeApi, desk: Desk) -> None:
    """Unknown is not absent, in every place where it is told."""
    desk.manifest("a cat")
    api.scripts = {"submit": first(1, drop), "history": says(503, "down")}
    desk.run().expect(5, unconfirmed=1)
    [row] = desk.call("reconcile", "night.yaml", "--json").expect(0).obj["clips"]
    assert (row["was"], row["now"], row["looked"]["whole"]) == ("unconfirmed", "unconfirmed", False)
    assert "could not be read" in row["note"]
    assert b"could not be read" in desk.call("status", "night.yaml").expect(0).stdout
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(5, unconfirmed=1)
    assert api.posts == 1


@pytest.mark.slow
def test_what_is_given_up_stays_in_the_bill_and_is_made_again_only_on_its_own_word(api: FakeApi, desk: Desk) -> None:
    """`forget` asks; plain `retry` leaves it; status does not call it free."""
    desk.manifest("a cat", "a dog")
    api.scripts["submit"] = first(1, drop)
    ended = desk.run("--in-flight", "1").expect(5, done=1, unconfirmed=1)
    name, reserved = ended.obj["attention"][0]["clip"], ended.obj["reserved_usd"]
    [done] = [clip.stem for clip in desk.clips]

    for wrong, why in (("catt_1", "did you mean"), (done, "is done, not unconfirmed or lost")):
        refused = desk.call("forget", "night.yaml", wrong, "--yes").expect(2)
        assert why in refused.said
    assert "pass --yes" in desk.call("forget", "night.yaml", name).expect(2).said
    desk.call("status", "night.yaml", "--json").expect(0, done=1, unconfirmed=1)

    told = desk.call("forget", "night.yaml", "*", "--yes", "--json").expect(0).obj["forgotten"]
    assert [(one["clip"], one["was"], one["reserved_usd"]) for one in told] == [(name, "unconfirmed", reserved)]
    after = desk.call("status", "night.yaml", "--json").expect(0, done=1, failed=1).obj
    assert after["reserved_usd"] == reserved > 0
    assert "free" not in after["failures"][0]["advice"]
    assert desk.call("retry", "night.yaml", "--json").expect(0).obj["retried"] == []
    desk.run().expect(3, done=1, failed=1)
    assert api.posts == 2
    assert desk.call("retry", "night.yaml", "--forgotten", "--json").expect(0).obj["retried"] == [name]
    ended = desk.run().expect(0, done=2)
    assert api.posts == 3
    assert ended.obj["reserved_usd"] == reserved  # of the one that was given up


def test_a_live_batch_can_not_be_changed_by_giving_up(api: FakeApi, desk: Desk) -> None:
    """The run holds it; once it was killed, what it was submitting is in doubt like any other."""
    gate = api.scripts["submit"] = Gate(accepts=False)
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held == 3)
    try:
        desk.call("forget", "night.yaml", "*", "--yes").expect(6)
    finally:
        desk.kill(process)
    told = desk.call("forget", "night.yaml", "*", "--yes", "--json").expect(0).obj["forgotten"]
    assert [one["was"] for one in told] == ["unconfirmed"] * 3


def test_what_another_batch_of_this_machine_bought_is_not_claimed(api: FakeApi, desk: Desk) -> None:
    """Two manifests ask for the same clip; the one whose answer never came must not take the other's."""
    desk.manifest("a cat")
    desk.manifest("a cat", name="other.yaml")
    desk.call("run", "other.yaml", *desk.paid("--yes", "--json")[2:]).expect(0, done=1)
    api.scripts["submit"] = first(2, drop)
    desk.run().expect(5, unconfirmed=1)
    assert api.posts == 2
    desk.run("--resubmit-unconfirmed", "--history-settle", "0").expect(0, done=1)
    assert api.prompts == {"a cat": 2}
