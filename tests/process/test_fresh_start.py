"""Every command in a Python of its own, as people start it; the other tests of the command fork a warm one."""

from __future__ import annotations

import pytest
from bad_replies import drop, first, says
from command import Desk, Ended
from scripted_service import FakeApi

from batchgen.cli.overview import COMMANDS

pytestmark = pytest.mark.real_time

#: Started as real processes in test_review_command.py, test_sandbox_command.py and test_torture.py.
ELSEWHERE = {"review", "sandbox", "torture"}
TWINS = {
    "check": ("night.yaml", "--json"),
    "schema": (),
    "completion": ("bash",),
    "help": ("json",),
    "models": ("wan-2.5-t2v",),
}


@pytest.mark.parametrize("command", TWINS)
def test_a_forked_command_answers_as_one_in_a_python_of_its_own(desk: Desk, command: str) -> None:
    """Exit code and both outputs, to the byte."""
    real = desk.call(command, *TWINS[command], fresh=True).expect(0)
    assert desk.call(command, *TWINS[command]) == real


@pytest.mark.slow
def test_every_command_starts_in_a_python_of_its_own(api: FakeApi, desk: Desk) -> None:
    """A night from the first manifest to the hand-over, with a lost answer and a broken ledger on the way."""
    started = set()

    def real(command: str, *args: str) -> Ended:
        started.add(command)
        return desk.call(command, *args, fresh=True)

    real("init", "tokyo").expect(0)
    desk.manifest("a cat", "a dog")
    api.scripts = {"submit": first(1, drop), "history": says(503, "down")}
    real("plan", "night.yaml").expect(0)
    real(*desk.paid("--yes", "--json", "--in-flight", "1")).expect(5, done=1, unconfirmed=1)
    for command in ("reconcile", "verify", "retry", "status", "report"):
        real(command, "night.yaml").expect(0)
    real("forget", "night.yaml", "*", "--yes").expect(0)
    (desk.batch / "ledger.db").write_bytes(bytes(8192))
    real("recover", "night.yaml", "--yes").expect(0)
    real("reroll", "night.yaml", desk.clips[0].name).expect(0)
    real("export", "night.yaml").expect(0)
    real("picks", "night.yaml").expect(0)
    real("deliver", "night.yaml", "cut", "--all", "--for", "folder").expect(0)
    real("set", "night.yaml", "rpm=30").expect(0)
    real("notify", "night.yaml", "--test").expect(0)  # nobody is named
    real("doctor", "night.yaml", "--base-url", api.url).expect(0)
    assert api.posts == 2
    assert started | {*TWINS, *ELSEWHERE} == set(COMMANDS)
