"""The other commands as processes: what they answer, with which exit code, and that none of them ever submits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_replies import Gate, drop, first, says
from command import KEY, STATES, Desk
from scripted_service import FakeApi

from batchgen.manifest.keys import derive_seed

pytestmark = pytest.mark.real_time


def at(desk: Desk, command: str, *options: str) -> list[str]:
    """Give the arguments of a command about a batch that has run: it knows its service by itself."""
    origin = ["--base-url", desk.url] if command == "doctor" else []
    return [command, "night.yaml", *origin, "--json", *options]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- plan, check ----------------------------------------------------------------------------------------------------


def test_plan_tells_count_and_price_and_writes_nothing(api: FakeApi, desk: Desk) -> None:
    """Before the first run and after it; no key is needed, and no call is made."""
    before = tree(desk.folder)
    plan = desk.call("plan", "night.yaml", "--json", env={"SEGMIND_API_KEY": None}).expect(0).obj
    assert (plan["wanted"], plan["new"], plan["done"], plan["estimated_usd"]) == (3, 3, 0, 1.875)
    assert tree(desk.folder) == before
    assert not api.calls


def test_plan_shows_what_an_edit_changes_and_what_a_sibling_has(desk: Desk) -> None:
    """Done, new and no longer wanted; a copied manifest would pay for the whole night again."""
    desk.run().expect(0)
    desk.manifest("a cat", "a dog", "a fish", "a crow")
    plan = desk.call("plan", "night.yaml", "--json").expect(0).obj
    assert (plan["wanted"], plan["new"], plan["done"], plan["unwanted"]) == (4, 2, 2, 1)
    assert plan["spent_usd"] == 1.5
    shutil.copy(desk.folder / "night.yaml", desk.folder / "night2.yaml")
    plan = desk.call("plan", "night2.yaml", "--json").expect(0).obj
    assert plan["new"] == 4
    assert any("night" in warning and "done" in warning for warning in plan["warnings"])


def test_check_tells_faults_with_their_places(api: FakeApi, desk: Desk) -> None:
    """For people as `file:line:column`, for programs as numbers; exit 2. A sound one is exit 0."""
    sound = desk.call("check", "night.yaml", "--json").expect(0).obj
    assert (sound["ok"], sound["clips"], sound["faults"]) == (True, 3, [])
    (desk.folder / "night.yaml").write_text("prompts:\n  - prompt: a cat\n    duration: 7\nlimts: {}\n")
    ended = desk.call("check", "night.yaml", "--json").expect(2)
    assert [(fault["line"], fault["column"] > 0) for fault in ended.obj["faults"]] == [(3, True), (4, True)]
    assert "night.yaml:3:" in ended.said
    assert not api.calls


# --- status ---------------------------------------------------------------------------------------------------------


def test_status_answers_beside_a_live_run(api: FakeApi, desk: Desk) -> None:
    """Without the manifest, by name or folder, and without disturbing the run."""
    gate = api.scripts["submit"] = Gate()
    process = desk.start(*desk.paid("--yes", "--json"))
    api.until(lambda: gate.held == 3)
    live = desk.call("status", "night.yaml", "--json").expect(0, submitting=3).obj
    assert live["live"] is True
    assert live["elapsed_s"] is None
    gate.open()
    ran = desk.end(process).expect(0).obj
    (desk.folder / "night.yaml").unlink()
    after = desk.call("status", "night.yaml", "--json").expect(0, done=3).obj
    assert after["live"] is False
    assert set(after) == set(ran)
    assert tuple(sorted(after["state"])) == tuple(sorted(STATES))
    assert (after["spent_usd"], after["clips_dir"]) == (ran["spent_usd"], ran["clips_dir"])


def test_status_of_nothing_is_exit_2(desk: Desk) -> None:
    """And it says how to begin."""
    ended = desk.call("status", "night.yaml", "--json").expect(2)
    assert "batchgen run" in ended.said


def test_status_tells_more_when_it_is_asked_to(desk: Desk) -> None:
    """Measured so far: how long clips take, when the next is looked at, what the account bears."""
    desk.run().expect(0)
    (each,) = desk.call("status", "night.yaml", "--json", "-v").expect(0).obj["learned"]["classes"]
    assert each["clips"] == 3
    assert each["looks"]["ages_s"]
    ends = [json.loads(text) for text in (desk.batch / "events.jsonl").read_text().splitlines() if "Generated" in text]
    looks = [end["looks"] for end in ends]
    assert (each["looks"]["made_clips"], min(looks) >= 1) == (3, True)
    assert each["looks"]["made_a_clip"] == round(sum(looks) / 3, 2)
    assert b"Measured so far" in desk.call("status", "night.yaml", "-v").expect(0).stdout
    assert b"Measured so far" not in desk.call("status", "night.yaml").expect(0).stdout
    assert "learned" not in desk.call("status", "night.yaml", "--json").expect(0).obj
    (batch,) = desk.call("status", "--json", "-v", "--dir", "night").expect(0).obj["learned"]["classes"]
    assert batch == each


def test_status_imports_nothing_heavy(desk: Desk) -> None:
    """It is typed every few minutes all night: no aiohttp, pydantic, jinja2, yaml or PyAV for it."""
    desk.run("--limit", "0").expect(0)
    program = (
        "import sys, batchgen.cli\n"
        "try: batchgen.cli.main()\n"
        "finally: print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    for args in (["status", "night.yaml"], ["status", "night.yaml", "-v"], ["--version"]):
        ended = subprocess.run(
            [sys.executable, "-c", program, *args],
            cwd=desk.folder,
            env=desk.env,
            capture_output=True,
            check=True,
            text=True,
        )
        assert not {"aiohttp", "pydantic", "jinja2", "yaml", "av", "PIL"} & set(ended.stderr.split())


# --- reconcile, retry, verify -----------------------------------------------------------------------------------------


def test_reconcile_settles_from_the_history_and_never_submits(api: FakeApi, desk: Desk) -> None:
    """What it finds is collected by the next run; what it does not stays in doubt, with what was looked at."""
    api.scripts = {"submit": first(2, drop), "history": says(503, "down")}
    desk.run("--in-flight", "1").expect(5, done=1, unconfirmed=2)
    api.scripts.clear()
    found = api.accept(api.of("submit")[0].params)
    rows = desk.call(*at(desk, "reconcile")).expect(0).obj["clips"]
    assert sorted((row["was"], row["now"]) for row in rows) in (
        [("unconfirmed", "downloading"), ("unconfirmed", "unconfirmed")],
        [("unconfirmed", "generating"), ("unconfirmed", "unconfirmed")],
    )
    assert all(row["note"] for row in rows if row["now"] == "unconfirmed")
    assert api.posts == 3
    desk.run().expect(5, done=2, unconfirmed=1)
    assert api.posts == 3
    assert api.content(found) in [path.read_bytes() for path in desk.clips]


def test_retry_puts_back_what_failed_by_the_services_own_trouble(api: FakeApi, desk: Desk) -> None:
    """What only a change can mend would fail again: it is left, told, and taken when it is asked for."""
    errors = {"a cat": "Internal error, try again", "a dog": "invalid parameter"}
    api.error = lambda params: errors.get(params["prompt"])
    desk.run().expect(3, done=1, failed=2)
    posts = api.posts
    api.error = lambda _params: None
    obj = desk.call(*at(desk, "retry")).expect(0).obj
    assert (obj["retried"], [row["clip"] for row in obj["left"]]) == (["cat_1"], ["dog_1"])
    assert obj["estimated_usd"] == 0.625
    assert desk.call(*at(desk, "retry", "--all")).expect(0).obj["retried"] == ["dog_1"]
    assert api.posts == posts  # nothing is submitted by retry itself
    desk.run().expect(0, done=3)
    assert api.posts == posts + 2


def test_retry_takes_several_globs_as_run_and_plan_do(api: FakeApi, desk: Desk) -> None:
    """`--only 'a,b'` means the clips that fit a and those that fit b, by id or by name, in every command."""
    desk.manifest("a cat", "a dog", "a cow")
    api.error = lambda _params: "Internal error, try again"
    desk.run().expect(3, failed=3)
    obj = desk.call(*at(desk, "retry", "--only", "cat,dog_*")).expect(0).obj
    assert sorted(obj["retried"]) == ["cat_1", "dog_1"]  # the oldest request first, which chance decides


@pytest.mark.slow
def test_a_clip_is_tried_so_often_and_no_more(api: FakeApi, desk: Desk) -> None:
    """Five accepted attempts over its life, however often retry is typed; more takes the user's word."""
    desk.manifest("a cat")
    api.error = lambda _params: "Internal error, try again"
    for _ in range(3):
        desk.run().expect(3, failed=1)
        obj = desk.call(*at(desk, "retry")).expect(0).obj
    assert (api.posts, obj["retried"], obj["left"][0]["attempts"]) == (5, [], 5)
    assert desk.call(*at(desk, "retry", "--max-attempts", "6")).expect(0).obj["retried"] == ["cat_1"]
    desk.run().expect(3, failed=1)
    assert api.posts == 6


def test_a_blocked_clip_is_tried_again_with_its_seed_or_gets_another_one_in_its_place(api: FakeApi, desk: Desk) -> None:
    """--blocked keeps the seed that the user fixed; with --new-seed another take has its place for good."""
    seeds: list[int] = []
    api.error = lambda params: (
        "content moderation block" if params["prompt"] == "a dog" and params["seed"] not in seeds else None
    )
    desk.run().expect(3, done=2, blocked=1)
    told = desk.call(*at(desk, "retry", "--blocked")).expect(0).obj
    assert (told["retried"], told["rerolled"]) == (["dog_1"], [])
    desk.run().expect(3, done=2, blocked=1)
    told = desk.call(*at(desk, "retry", "--blocked", "--new-seed")).expect(0).obj
    assert told["rerolled"] == [{"clip": "dog_2", "instead_of": "dog_1"}]
    seeds.append(derive_seed("a dog", 2))
    assert desk.run().expect(0, done=3).obj["unwanted"] == 1
    desk.run().expect(0, done=3)
    assert api.posts == 5
    assert api.of("submit")[-2].params == next(
        call.params for call in api.of("submit") if call.params["prompt"] == "a dog"
    )


def test_a_reroll_is_a_further_take_that_the_manifest_can_take_over(api: FakeApi, desk: Desk) -> None:
    """Counted and priced before it is paid for, kept as long as its clip is, and never bought a second time."""
    desk.manifest("a cat", more='output: {name: "{{ id }} take {{ take }}"}')
    desk.run().expect(0, done=1)
    obj = desk.call("reroll", "night.yaml", "cat take 1.mp4", "--takes", "2", "--json").expect(0).obj
    assert [row["clip"] for row in obj["rerolled"]] == ["cat take 2", "cat take 3"]
    assert (obj["estimated_usd"], obj["unpriced"], api.posts) == (1.25, 0, 1)
    desk.run().expect(0, done=3)
    (desk.folder / "night.yaml").write_text(
        'output: {name: "{{ id }} take {{ take }}"}\nprompts: [{prompt: a cat, takes: 3}]'
    )
    desk.run().expect(0, done=3)
    assert (api.posts, len(desk.clips)) == (3, 3)
    missing = desk.call("reroll", "night.yaml", "cat take 7").expect(2)
    assert "did you mean cat take" in missing.said


def test_verify_fetches_again_what_is_missing_or_damaged(api: FakeApi, desk: Desk) -> None:
    """The link lives for seven days: it costs a download. A damaged file is set aside, not deleted."""
    desk.run().expect(0)
    whole = {path: path.read_bytes() for path in desk.clips}
    gone, damaged, _ = whole
    gone.unlink()
    damaged.write_bytes(whole[damaged][:-100] + bytes(100))
    (damaged.parent / "other.mp4.bad").write_bytes(b"1")
    obj = desk.call(*at(desk, "verify")).expect(0).obj
    assert (obj["checked"], obj["sound"]) == (3, 1)
    assert {row["now"] for row in obj["clips"]} == {"done"}
    assert obj["kept_aside"] == ["other.mp4.bad"]
    assert {path: path.read_bytes() for path in whole} == whole
    assert any(
        whole[damaged][:-100] + bytes(100) == path.read_bytes() for path in desk.batch.rglob("*") if path.is_file()
    )
    assert api.posts == 3


def test_what_changes_a_batch_is_refused_beside_a_run(api: FakeApi, desk: Desk) -> None:
    """Exit 6 while a run holds it, as for a second run, and the words say who does."""
    gate = api.scripts["submit"] = Gate()
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held == 3)
    others = [desk.start(*at(desk, command)) for command in ("reconcile", "verify")]
    assert all(str(process.pid) in desk.end(other).expect(6).said for other in others)
    second = desk.run().expect(6).obj
    assert second["live"]
    assert not second["next"]  # the run that is at work will do it
    gate.open()
    desk.end(process).expect(0)


def test_a_reroll_beside_a_run_is_made_by_that_run(api: FakeApi, desk: Desk) -> None:
    """At 3 a.m. a bad take is no reason to stop the night: the run that holds the batch takes it up by itself."""
    gate = api.scripts["status"] = Gate()
    desk.manifest("a cat")
    process = desk.start(*desk.paid("--yes", "--json"))
    api.until(lambda: gate.held >= 1)
    told = desk.call(*at(desk, "reroll", "cat", "--takes", "2")).expect(0).obj
    more = desk.call(*at(desk, "reroll", "cat")).expect(0).obj
    assert [row["take"] for row in told["rerolled"] + more["rerolled"]] == [2, 3, 4]
    assert told["queued"]
    api.until(lambda: api.posts == 4)
    assert desk.call("reroll", "night.yaml", "cat", "--undo").expect(6).said
    gate.open()
    desk.end(process).expect(0, done=4)
    assert api.prompts == {"a cat": 4}


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_doctor_asks_for_the_balance_and_shows_no_key(api: FakeApi, desk: Desk) -> None:
    """Exit 0 when a run can start, 2 when not."""
    ended = desk.call(*at(desk, "doctor")).expect(0)
    assert ended.obj["ok"] is True
    assert "$100.00" in ended.stdout.decode()
    api.scripts["balance"] = says(401, "invalid_api_key")
    refused = desk.call(*at(desk, "doctor")).expect(2)
    assert "invalid_api_key" in refused.stdout.decode()
    assert {call.kind for call in api.calls} == {"balance"}
    assert KEY.encode() not in ended.stdout + ended.stderr + refused.stdout + refused.stderr


def test_doctor_says_in_words_that_the_service_is_not_there(desk: Desk) -> None:
    """And for the sandbox it needs neither key nor network."""
    told = desk.call("doctor", "--base-url", "http://127.0.0.1:9").expect(2).stdout.decode()
    assert "cannot reach http://127.0.0.1:9 (balance: 127.0.0.1:9 refuses the connection)" in told
    found = desk.call("doctor", "--sandbox", "--json", env={"SEGMIND_API_KEY": None}).expect(0).obj["findings"]
    assert not {"key", "balance"} & {finding["about"] for finding in found}


def test_init_writes_a_manifest_that_checks_and_never_overwrites_one(desk: Desk) -> None:
    """The starter is sound as it is; somebody's own work is safe."""
    desk.call("init", "tokyo").expect(0)
    assert desk.call("check", "tokyo", "--json").expect(0).obj["clips"] > 0
    schema = json.loads((desk.folder / "jobs" / "batchgen.schema.json").read_text())
    assert desk.call("schema").expect(0).obj == schema
    mine = desk.folder / "jobs" / "tokyo.yaml"
    mine.write_text("prompts: [mine]")
    assert "--force" in desk.call("init", "tokyo").expect(2).said
    assert mine.read_text() == "prompts: [mine]"


def test_a_batch_can_be_called_by_its_name(api: FakeApi, desk: Desk) -> None:
    """`batchgen run tokyo` means jobs/tokyo.yaml, and its folder lies beside it; `status` alone lists all."""
    (desk.folder / "jobs").mkdir()
    desk.manifest("a cat", name="jobs/tokyo.yaml")
    desk.call("run", "tokyo", *desk.paid("--yes", "--json")[2:]).expect(0, done=1)
    assert (desk.folder / "jobs" / "tokyo" / "ledger.db").exists()
    assert [batch["name"] for batch in desk.call("status", "--json").expect(0).obj["batches"]] == ["tokyo"]
    assert api.posts == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(desk: Desk, shell: str) -> None:
    """It names the program."""
    assert b"_BATCHGEN_COMPLETE" in desk.call("completion", shell).expect(0).stdout


def test_bash_completes_a_name_with_a_blank_as_one_word(desk: Desk) -> None:
    """The script itself, with the program that it starts."""
    (desk.folder / "jobs").mkdir()
    desk.manifest("a cat", name="jobs/my night.yaml")
    (desk.folder / "script").write_bytes(desk.call("completion", "bash").expect(0).stdout)
    line = "source ./script; COMP_WORDS=(batchgen run my); COMP_CWORD=2; _batchgen_completion $0; echo ${COMPREPLY[@]}"
    program = str(Path(sys.executable).with_name("batchgen"))
    done = subprocess.run(["bash", "-c", line, program], cwd=desk.folder, capture_output=True, text=True, check=True)
    assert done.stdout == "my\\ night\n"


def test_vv_tells_every_call_and_never_the_key(api: FakeApi, desk: Desk) -> None:
    """For a talk with the service's support."""
    ended = desk.call(*desk.paid("--yes", "-vv")).expect(0)
    assert "POST /v2/wan-2.5-t2v: 200" in ended.said
    assert KEY not in ended.said


@pytest.mark.parametrize("command", ["reconcile", "verify"])
def test_a_batch_that_never_ran_is_told_as_such_and_none_is_made(command: str, desk: Desk) -> None:
    """A mistyped --dir must not be answered with "0 clips in doubt"."""
    desk.manifest("a cat")
    assert "no ledger" in desk.call(command, "night.yaml", "--base-url", desk.url).expect(2).said
    assert not desk.batch.exists()


def test_what_to_type_next_keeps_the_caps_that_the_command_line_had(api: FakeApi, desk: Desk) -> None:
    """They hold for one run: without them the next one would spend without a bound. The cap that stopped it is none."""
    desk.manifest("a cat", "a dog", "a fox")
    api.scripts["submit"] = says(401, "invalid_api_key")
    ended = desk.run("--max-usd", "1.30", "--only", "[cd]*").expect(4)
    following = "batchgen run night.yaml --max-usd 1.3 --only '[cd]*'"
    assert following in ended.obj["next"]
    assert following in desk.call("status", "night.yaml", "--json").expect(0).obj["next"]
    assert desk.run().expect(4).obj["next"] == ["batchgen run night.yaml"]
    api.scripts.clear()
    assert desk.run("--max-usd", "1.30").expect(4, done=2, pending=1).obj["next"] == []
