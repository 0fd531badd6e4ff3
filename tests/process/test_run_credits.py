"""Out of credits in the night, topped up, and on with the same command: nothing is paid for twice."""

from __future__ import annotations

import os
import pty
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from command import Desk
from scripted_service import Call, FakeApi

pytestmark = pytest.mark.real_time

FIVE = [f"shot {number}" for number in range(5)]


def test_run_dry_top_up_and_the_same_command_goes_on_to_the_end(desk: Desk) -> None:
    """Exit 4 with the command to type; the sandbox's own books have every clip once."""
    desk.manifest(*FIVE, more="defaults: {size: 832*480}")
    sandbox = ["run", "night.yaml", "--sandbox", "--json", "--sandbox-latency", "0.2", "--sandbox-credits"]
    ended = desk.call(*sandbox, "0.70").expect(4, done=2, pending=3)
    assert ended.obj["stopped"].startswith("credits")
    assert "top up the account, then run again" in ended.obj["stopped"]
    assert ended.obj["next"] == ["batchgen run night.yaml --sandbox"]
    assert "$0.70 in credits" in ended.said
    desk.call(*sandbox, "0.70").expect(4, done=2, pending=3)
    desk.call(*sandbox, "5").expect(0, done=5)
    with closing(sqlite3.connect(desk.folder / "night.sandbox" / "service" / "sandbox.db")) as books:
        jobs = Counter(params for (params,) in books.execute("SELECT params FROM job"))
    assert sorted(jobs.values()) == [1] * 5


def test_a_person_is_told_that_the_credits_will_not_last_before_the_question(api: FakeApi, desk: Desk) -> None:
    """Before the first paid call, with both numbers."""

    async def poor(_call: Call, _answer: object) -> object:
        from aiohttp import web

        return web.json_response({"credits": 1.0, "free-credits": 0.0})

    api.scripts["balance"] = poor  # type: ignore[assignment]
    ours, theirs = pty.openpty()
    process = desk.start(*desk.paid("--json"), stdin=theirs)
    os.close(theirs)
    os.write(ours, b"n\n")
    ended = desk.end(process).expect(2)
    os.close(ours)
    assert "$1.00 in credits" in ended.said
    assert "will cost about $1.88" in ended.said
    assert ended.said.index("in credits") < ended.said.index("Continue?")
    assert api.posts == 0
