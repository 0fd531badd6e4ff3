"""What a run refuses to begin, with which exit code and words; nothing is POSTed, nothing is changed."""

from __future__ import annotations

import json
import os
import pty
import re
from pathlib import Path

import pytest
from bad_replies import Gate, accepted_but, drop, first
from command import KEY, Desk, Ended
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time

OTHER = "SG_fedcba9876543210"


def refused(ended: Ended, code: int, *words: str) -> Ended:
    """Assert an exit code, and that stderr says so in these words."""
    ended.expect(code)
    assert all(word in ended.said for word in words), ended.said
    return ended


# --- agreement, manifest, key -----------------------------------------------------------------------------------


def test_without_a_terminal_nothing_is_paid_for_without_yes(api: FakeApi, desk: Desk) -> None:
    """A cron job that forgot it gets count and price, and exit 2."""
    ended = refused(desk.call(*desk.paid("--json")), 2, "3 clips", "$1.8", "--yes")
    assert ended.obj["state"]["pending"] == 3
    assert not api.calls


def test_nobody_is_asked_where_nothing_is_paid(api: FakeApi, desk: Desk) -> None:
    """A question about 0 clips would stop a cron job that has only downloads to finish."""
    desk.call(*desk.paid("--json", "--limit", "0")).expect(0, pending=3)
    assert api.posts == 0


@pytest.mark.parametrize(("answer", "code", "posts"), [(b"y\n", 0, 3), (b"n\n", 2, 0)])
def test_a_person_is_asked_with_count_price_and_time(
    api: FakeApi, desk: Desk, answer: bytes, code: int, posts: int
) -> None:
    """One question on the terminal, before the first paid call."""
    ours, theirs = pty.openpty()
    process = desk.start(*desk.paid("--json"), stdin=theirs)
    os.close(theirs)
    os.write(ours, answer)
    ended = desk.end(process).expect(code)
    os.close(ours)
    assert re.search(r"3 clips for about \$1\.8\d* .*, in about .*Continue\?", ended.said)
    assert api.posts == posts


def test_all_faults_of_a_manifest_are_told_at_once_with_their_places(api: FakeApi, desk: Desk) -> None:
    """`file:line:column: what: how to fix it`, exit 2, no traceback, no folder."""
    (desk.folder / "night.yaml").write_text("defaults:\n  duration: 7\n  sise: 832*480\nprompts:\n  - '{{ nobody }}'\n")
    ended = refused(desk.run(), 2)
    assert {int(line) for line in re.findall(r"night\.yaml:(\d+):\d+: ", ended.said)} >= {2, 3, 5}
    assert ended.obj["stopped"]
    assert not api.calls
    assert not desk.batch.exists()


def test_no_key_is_told_with_the_ways_to_give_one(api: FakeApi, desk: Desk) -> None:
    """Exit 2, and the variable's name."""
    refused(desk.run(env={"SEGMIND_API_KEY": None}), 2, "SEGMIND_API_KEY")
    assert not api.calls


@pytest.mark.parametrize(
    "args", [["run", "nothing.yaml", "--yes"], ["run", "."], ["plan", ""], ["status", "/"], ["runn"]]
)
def test_what_can_not_be_obeyed_is_exit_2_without_a_traceback(desk: Desk, args: list[str]) -> None:
    """A typing error is no fault of batchgen."""
    desk.call(*args).expect(2)


def test_an_address_that_would_carry_the_key_in_the_clear_is_refused(desk: Desk) -> None:
    """Plain http only to this machine."""
    ended = refused(desk.call("run", "night.yaml", "--yes", "--base-url", "http://192.0.2.7"), 2, "https")
    assert KEY not in ended.said


# --- where the key comes from -----------------------------------------------------------------------------------


def test_a_key_file_and_a_dot_env_give_the_key(api: FakeApi, desk: Desk, tmp_path: Path) -> None:
    """The file beats `.env`; `.env` sets the key and nothing else."""
    nowhere = "http://127.0.0.1:9"
    (tmp_path / ".env").write_text(
        f"SEGMIND_API_KEY={KEY}\nSEGMIND_HISTORY_URL={nowhere}\nBATCHGEN_LIMIT=0\nBATCHGEN_MAX_USD=0.01\n"
    )
    api.scripts["submit"] = first(1, accepted_but(drop))  # so that the history is asked, too
    desk.run(env={"SEGMIND_API_KEY": None}).expect(0, done=3)
    assert {call.key for call in api.of("submit")} == {KEY}
    (tmp_path / "key").write_text(OTHER + "\n")
    env = {"SEGMIND_API_KEY": None, "SEGMIND_API_KEY_FILE": str(tmp_path / "key")}
    desk.manifest("a fish")
    desk.run("--dir", "other", env=env).expect(0, done=1)
    assert api.of("submit")[-1].key == OTHER


def test_options_come_from_the_environment_too(api: FakeApi, desk: Desk) -> None:
    """`BATCHGEN_*` is below the flag and above the manifest."""
    env = {"BATCHGEN_MAX_USD": "0.10", "BATCHGEN_YES": "1", "SEGMIND_BASE_URL": api.url}
    desk.manifest("a cat", more="budget: {max_usd: 50}")
    for options, cap in [([], 0.1), (["--max-usd", "0.2"], 0.2)]:
        ended = desk.call("run", "night.yaml", "--json", *options, env=env).expect(4, pending=1)
        assert ended.obj["cap_usd"] == cap
    assert not api.posts


# --- whose batch it is --------------------------------------------------------------------------------------------


def test_a_second_run_is_told_who_holds_the_batch(api: FakeApi, desk: Desk) -> None:
    """Exit 6 with the process's number, at once, and the first one goes on undisturbed."""
    gate = api.scripts["submit"] = Gate()
    holder = desk.start(*desk.paid("--yes", "--json"))
    api.until(lambda: gate.held == 3)
    ended = refused(desk.run(), 6, str(holder.pid))
    assert str(holder.pid) in ended.obj["stopped"]
    assert ended.obj["state"]["submitting"] == 3
    gate.open()
    desk.end(holder).expect(0, done=3)
    assert api.posts == 3


def test_a_stranger_is_refused_until_it_says_that_it_moved(api: FakeApi, desk: Desk) -> None:
    """Another key, manifest or origin would pay for what is there, or look for it in the wrong account."""
    desk.run("--dir", "night").expect(0)
    desk.manifest("a cat", "a dog", "an owl", name="day.yaml")
    elsewhere = desk.paid("--yes", "--json")
    elsewhere[3] = api.url.replace("127.0.0.1", "localhost")
    for args, more in [
        (desk.paid("--yes", "--json"), {"SEGMIND_API_KEY": OTHER}),
        (elsewhere, {}),
        (["run", "day.yaml", "--dir", "night", "--yes", "--base-url", api.url], {}),
    ]:
        refused(desk.call(*args, env=more), 2, "--moved")
    assert api.posts == 3
    desk.run("--moved", env={"SEGMIND_API_KEY": OTHER}).expect(0, done=3)
    assert api.posts == 3


def test_a_damaged_ledger_is_left_as_it_is(api: FakeApi, desk: Desk) -> None:
    """Exit 2 and what to do; never a new ledger that pays for all again."""
    desk.batch.mkdir()
    ledger = desk.batch / "ledger.db"
    ledger.write_bytes(b"this is no database, but it may be a precious one" * 100)
    before = ledger.read_bytes()
    refused(desk.run(), 2, "ledger.db")
    assert ledger.read_bytes() == before
    assert not api.calls


def test_the_object_is_printed_on_every_exit(desk: Desk) -> None:
    """A script can read it whatever happened; it says why it stopped."""
    desk.manifest("a cat")
    ended = desk.run("--max-usd", "much").expect(2)
    assert json.loads(ended.stdout)["stopped"]
