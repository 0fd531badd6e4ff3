"""Ctrl-C, SIGTERM, SIGHUP: a run stops gently, a second signal leaves at once, and all is resumable."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest
from bad_replies import Gate
from command import Desk, Process
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def started(api: FakeApi, desk: Desk, *options: str, kind: str = "submit") -> tuple[Process, Gate]:
    """Start a run of three, and wait until the service holds an answer of each."""
    gate = api.scripts[kind] = Gate()
    process = desk.start(*desk.paid("--yes", "--json", *options))
    api.until(lambda: gate.held == 3)
    return process, gate


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_the_first_signal_lets_posts_on_the_way_get_their_answer(
    api: FakeApi, desk: Desk, signum: signal.Signals, code: int
) -> None:
    """Even after a grace of nothing: an answer not waited for would be a clip in doubt."""
    api.run_s = 60.0
    desk.manifest("a cat", "a dog", "an owl", "a fish", "a crow", "a bee")
    gate = api.scripts["submit"] = Gate()
    process = desk.start(*desk.paid("--yes", "--json", "--grace", "0", "--in-flight", "3"))
    api.until(lambda: gate.held == 3)
    process.send_signal(signum)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.4)
    gate.open()
    ended = desk.end(process).expect(code, generating=3, pending=3)
    assert api.posts == 3
    assert ended.obj["reserved_usd"] == 3.75
    assert ended.obj["collect_before"]
    assert ended.obj["next"][0] == "batchgen run night.yaml"


def test_it_says_how_many_paid_clips_wait_and_until_when(api: FakeApi, desk: Desk) -> None:
    """The one sentence that somebody who pressed Ctrl-C needs."""
    api.run_s = 60.0
    process = desk.start(*desk.paid("--yes", "--grace", "0"))
    api.until(lambda: len(api.of("status")) >= 3)
    process.send_signal(signal.SIGINT)
    told = " ".join(desk.end(process).expect(130).stdout.decode().split())
    assert re.search(r"3 paid clips wait at the service: run before \d\d:\d\d", told)


def test_what_completes_within_the_grace_is_collected(api: FakeApi, desk: Desk) -> None:
    """The default grace is five seconds; nothing new is submitted in it."""
    desk.manifest(*[f"shot {number}" for number in range(6)])
    process, gate = started(api, desk, "--in-flight", "3", kind="status")
    process.send_signal(signal.SIGTERM)
    gate.open()
    desk.end(process).expect(143, done=3, pending=3)
    assert api.posts == 3


def test_drain_collects_all_that_is_in_flight_however_long_it_takes(api: FakeApi, desk: Desk) -> None:
    """`--drain` beats `--grace`."""
    api.run_s = 1.0
    process, gate = started(api, desk, "--drain", "--grace", "0")
    process.send_signal(signal.SIGINT)
    gate.open()
    desk.end(process).expect(130, done=3)


def test_a_second_signal_leaves_now_and_the_history_settles_the_rest(api: FakeApi, desk: Desk) -> None:
    """Not even answers on the way are waited for; they are in doubt, and found by the next run."""
    process, gate = started(api, desk, "--drain")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.send_signal(signal.SIGINT)
    ended = desk.end(process).expect(130)
    assert ended.obj["state"]["submitting"] + ended.obj["state"]["unconfirmed"] == 3
    gate.open()
    desk.run().expect(0, done=3)
    assert api.posts == 3


def test_an_ignored_hangup_stays_ignored(api: FakeApi, desk: Desk) -> None:
    """`nohup batchgen run … &` and a logout: the night goes on."""
    gate = api.scripts["submit"] = Gate()
    process = desk.start(*desk.paid("--yes", "--json"), wrap=["nohup"])
    api.until(lambda: gate.held == 3)
    process.send_signal(signal.SIGHUP)
    gate.open()
    desk.end(process).expect(0, done=3)


def test_a_signal_before_the_first_submission_leaves_nothing_behind(api: FakeApi, desk: Desk) -> None:
    """However early it comes, there is an exit code of its own and no traceback."""
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: (desk.batch / "ledger.db").exists())
    process.send_signal(signal.SIGINT)
    desk.end(process).expect(130)
    desk.run().expect(0, done=3)
    assert set(api.prompts.values()) == {1}
