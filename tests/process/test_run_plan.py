"""`plan --out` and `run --plan`: exactly what was looked at, or a refusal that says what has moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bad_replies import after, drop, says
from command import Desk, Ended
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def plan(desk: Desk, *options: str) -> Ended:
    """Plan the night at the fake service, to `p.plan`."""
    return desk.call("plan", "night.yaml", "--base-url", desk.url, "--json", "--out", "p.plan", *options).expect(0)


def apply(desk: Desk, *options: str) -> Ended:
    """Run the plan: nobody is there to be asked, and no --yes is said."""
    return desk.call(*desk.paid("--json", "--plan", "p.plan", *options))


def refused(desk: Desk, api: FakeApi, *options: str) -> str:
    """Expect that a run of the plan submits nothing; give what it says."""
    posts = api.posts
    said = apply(desk, *options).expect(2).said
    assert api.posts == posts
    return said


def test_a_plan_that_was_looked_at_is_run_without_asking(api: FakeApi, desk: Desk) -> None:
    """As terraform does: the plan is the agreement. Run again, it has nothing left to do."""
    planned = plan(desk)
    assert planned.obj["saved"]["file"] == "p.plan"
    assert planned.obj["submits"] == 3
    assert not desk.batch.exists()
    apply(desk).expect(0, done=3)
    apply(desk).expect(0, done=3)
    assert api.posts == 3


def test_an_edit_after_the_plan_is_refused(api: FakeApi, desk: Desk) -> None:
    """Nobody has agreed to the fourth clip; the batch is not even touched."""
    plan(desk)
    desk.manifest("a cat", "a dog", "an owl", "a fish")
    assert "the manifest was edited" in refused(desk, api)
    assert not desk.batch.exists()


def test_an_edited_prompt_file_is_refused_by_its_name(api: FakeApi, desk: Desk) -> None:
    """The manifest is as it was, its clips are not."""
    (desk.folder / "night.yaml").write_text("prompts:\n  - file: shots.csv\n")
    (desk.folder / "shots.csv").write_text("prompt\na cat\n")
    plan(desk)
    (desk.folder / "shots.csv").write_text("prompt\na cat\na dog\n")
    assert "files of the manifest were edited: shots.csv" in refused(desk, api)


def test_clips_made_meanwhile_are_refused(api: FakeApi, desk: Desk) -> None:
    """Another run was faster."""
    plan(desk)
    desk.run("--limit", "1").expect(0, done=1, pending=2)
    assert "the ledger has changed (paid 0 → 1)" in refused(desk, api)


def test_a_plan_of_some_runs_those_and_leaves_the_rest(api: FakeApi, desk: Desk) -> None:
    """A canary that somebody looked at; the options are in the plan."""
    plan(desk, "--only", "c*,d*", "--limit", "1")
    for _ in range(2):
        ended = apply(desk).expect(0, done=1, pending=2).obj
        assert (ended["stopped"], ended["last_run"]["left_out"], ended["next"]) == (None, 2, [])
    assert api.prompts == {"a cat": 1}


def test_a_killed_run_goes_on_with_its_plan(api: FakeApi, desk: Desk) -> None:
    """What the plan's own clips have become is no move of the world, however it came about."""
    api.run_s = 60.0
    plan(desk)
    process = desk.start(*desk.paid("--json", "--plan", "p.plan"))
    api.until(lambda: len(api.jobs) == 3)
    desk.kill(process)
    for job in api.jobs.values():
        job.run_s = 0.0
    apply(desk).expect(0, done=3)
    assert len(api.jobs) == 3


def test_a_plan_whose_charges_were_dearer_goes_on_all_the_same(api: FakeApi, desk: Desk) -> None:
    """It learned a price on its way; stopped by the account, it is resumed with the same file."""
    api.price = lambda _params: 0.8
    api.scripts["submit"] = after(4, says(401, "invalid_api_key"))
    desk.manifest(*[f"shot {number}" for number in range(6)])
    plan(desk)
    apply(desk, "--in-flight", "1").expect(4, done=4, pending=2)
    api.scripts.clear()
    apply(desk).expect(0, done=6)


def test_a_learned_price_before_the_start_is_a_move(api: FakeApi, desk: Desk) -> None:
    """What was agreed to was $0.625 a clip."""
    api.price = lambda _params: 0.8
    desk.manifest(*[f"shot {number}" for number in range(5)])
    (drift,) = desk.run("--limit", "3").expect(0, done=3, pending=2).obj["price_drifts"]
    assert (drift["class"], drift["told_by"], drift["drift_percent"]) == ("wan-2.5-t2v 1280*720 5", "table", 28)
    told = " ".join(desk.call("status", "night.yaml").expect(0).stdout.decode().split())
    assert "is charged $0.80 a clip (median of the last 3), 28 % more than the table's $0.63." in told
    planned = plan(desk)
    assert planned.obj["estimated_usd"] == 1.6
    (price,) = planned.obj["prices"]
    assert (price["source"], price["charges"], price["drift_percent"]) == ("learned", 3, 28)
    assert any("28 % more than the table's $0.63" in text for text in planned.obj["warnings"])
    api.price = lambda _params: 0.9
    desk.run("--limit", "1").expect(0, done=4, pending=1)
    assert "the ledger has changed" in refused(desk, api)


def test_a_retry_between_two_halves_is_refused(api: FakeApi, desk: Desk) -> None:
    """Progress of the plan's own clips is fine; a clip that the plan left alone and that is wanted now is not."""
    api.error = lambda params: "bad" if params["prompt"] == "a cat" else None
    desk.run("--only", "cat").expect(3, failed=1, pending=2)
    plan(desk)
    api.scripts["submit"] = says(401, "invalid_api_key")
    apply(desk, "--in-flight", "1").expect(4, failed=1, pending=2)
    desk.call("retry", "night.yaml", "--all").expect(0)
    api.scripts.clear()
    assert "not in the plan have changed (failed 1 → 0, pending 0 → 1)" in refused(desk, api)


def test_doubts_of_its_own_do_not_stop_a_plan(api: FakeApi, desk: Desk) -> None:
    """An answer that is lost leaves a clip unconfirmed; the next half settles it and goes on."""
    api.scripts["submit"] = drop
    plan(desk)
    apply(desk).expect(5, unconfirmed=3)
    api.scripts.clear()
    apply(desk).expect(5, unconfirmed=3)
    assert api.posts == 3


@pytest.mark.parametrize(("option", "value"), [("--max-usd", "5"), ("--resubmit-lost", "")])
def test_an_option_that_says_something_else_is_refused(api: FakeApi, desk: Desk, option: str, value: str) -> None:
    """The plan's caps are the caps; the same said twice is no contradiction."""
    plan(desk, "--max-usd", "9")
    assert f"{option} differs from the plan" in refused(desk, api, *filter(None, (option, value)))
    ended = apply(desk, "--max-usd", "9").expect(0, done=3)
    assert ended.obj["cap_usd"] == 9.0


def test_the_plans_cap_holds(api: FakeApi, desk: Desk) -> None:
    """It is what somebody agreed to; and the plan said how far it would go."""
    planned = plan(desk, "--max-usd", "1.30")
    assert (planned.obj["cap_reaches"], planned.obj["stopped_by"]) == (2, "total")
    apply(desk, "--in-flight", "1").expect(4, done=2, pending=1)
    assert api.charged == 1.0


@pytest.mark.parametrize("content", [None, b"prompts: [a cat]", b"\xff\xfe"])
def test_what_is_no_plan_is_refused_in_words(api: FakeApi, desk: Desk, content: bytes | None) -> None:
    """No file, a manifest, bytes: one line, exit 2."""
    if content is not None:
        (desk.folder / "p.plan").write_bytes(content)
    said = refused(desk, api)
    assert "p.plan" in said
    assert said.count("\n") == 1


def test_an_edited_plan_is_refused(api: FakeApi, desk: Desk) -> None:
    """A plan is what was agreed to, not what somebody made of it later."""
    plan(desk, "--limit", "1")
    file = desk.folder / "p.plan"
    value = json.loads(file.read_text())
    value["basis"]["settings"]["limit"] = None
    file.write_text(json.dumps(value))
    assert "edited or damaged" in refused(desk, api)


def test_the_sandbox_and_a_folder_of_ones_own_are_part_of_the_plan(desk: Desk, tmp_path: Path) -> None:
    """A rehearsal's plan can't be run for money, nor in another folder."""
    options = ("--dir", str(tmp_path / "own"))
    desk.call("plan", "night.yaml", "--sandbox", "--out", "p.plan", *options).expect(0)
    run = ("run", "night.yaml", "--plan", "p.plan", "--json", "--sandbox-latency", "0.1")
    elsewhere = desk.call(*run).expect(2)
    assert "the batch folder is night.sandbox, the plan has" in elsewhere.said
    ended = desk.call(*run, *options).expect(0, done=3)
    assert ended.obj["sandbox"]
    assert len(list((tmp_path / "own" / "clips").glob("*.mp4"))) == 3


def test_a_plan_goes_to_its_file_whole_or_not_at_all(desk: Desk) -> None:
    """A folder that is not there is told in words; a plan of before is replaced."""
    said = desk.call("plan", "night.yaml", "--out", "nowhere/p.plan").expect(2).said
    assert "cannot write nowhere/p.plan: No such file or directory" in said
    for _ in range(2):
        told = desk.call("plan", "night.yaml", "--out", "p.plan").expect(0).stdout.decode()
    assert "batchgen run night.yaml --plan p.plan" in told
    assert [path.name for path in desk.folder.glob("p.plan*")] == ["p.plan"]


def test_a_plan_never_overwrites_what_is_no_plan(desk: Desk) -> None:
    """A slip of the fingers (--out night.yaml) must not cost the manifest, and nothing else; an old plan may go."""
    manifest = desk.folder / "night.yaml"
    before = manifest.read_bytes()
    said = desk.call("plan", "night.yaml", "--out", "night.yaml").expect(2).said
    assert "not a saved plan" in said
    assert manifest.read_bytes() == before
    for _ in range(2):
        plan(desk)
