"""Two batches with one key on one machine, and the minute after a killed run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bad_replies import first, says
from command import KEY, Desk
from scripted_service import FakeApi

import batchgen
from batchgen.errors import UsageError
from batchgen.ratelimit.memory import SharedWindow
from batchgen.redact import Secret, account_of

pytestmark = pytest.mark.real_time


def another(desk: Desk) -> SharedWindow:
    """Be another run of the same account, in the same home."""
    folder = desk.folder / "home" / ".local" / "state" / "batchgen"
    return SharedWindow.open(desk.url, account_of(Secret(KEY)), "process 77, batch /other", folder=folder)


def test_a_second_batch_with_the_key_is_refused_until_it_names_its_pace(api: FakeApi, desk: Desk) -> None:
    """It says who is at work. The manifest's word is not enough: it is of the account, and the other run has it too."""
    book = another(desk)
    desk.manifest("a cat", "a dog", "an owl", more="limits: {rpm: 1200}")
    ended = desk.call("run", "night.yaml", "--base-url", desk.url, "--yes").expect(2)
    assert "process 77, batch /other" in ended.said
    assert "--rpm" in ended.said
    assert not api.posts
    told = desk.run("--limit", "1").expect(0, done=1, pending=2)
    assert "add up" in told.said
    desk.call("reconcile", "night.yaml").expect(0)
    book.close()
    quiet = desk.call("run", "night.yaml", "--base-url", desk.url, "--yes", "--expect-latency", "0.1").expect(0)
    assert "add up" not in quiet.said


def test_a_second_run_from_python_is_refused_as_well(api: FakeApi, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """On entering, before anything is sent; and the batch is free again."""
    monkeypatch.setenv("XDG_STATE_HOME", str(desk.folder / "home" / ".local" / "state"))
    book = another(desk)
    entered: list[batchgen.Run] = []

    async def night(**settings: Any) -> int:
        manifest = batchgen.load(desk.folder / "night.yaml")
        async with batchgen.run(manifest, key=KEY, base_url=desk.url, expect_latency=0.1, **settings) as run:
            entered.append(run)
            async for _ in run:
                pass
        return run.outcome.exit_code

    with pytest.raises(UsageError, match="process 77, batch /other"):
        asyncio.run(night())
    assert not entered and not api.posts
    assert asyncio.run(night(rpm=1200)) == 0
    book.close()


def test_an_audit_is_counted_with_the_account_s_calls(desk: Desk) -> None:
    """It asks the same service with the same key: the run that comes after it knows of that."""
    desk.run().expect(0, done=3)
    book = another(desk)
    calls = len(book.before)
    book.close()
    desk.call("report", "night.yaml", "--audit", "--json").expect(0)
    book = another(desk)
    assert len(book.before) > calls
    book.close()


def test_the_calls_of_a_run_are_there_for_the_next(desk: Desk) -> None:
    """As they are after a kill: nothing is written at the end."""
    desk.run().expect(0, done=3)
    book = another(desk)
    assert len(book.before) >= 6
    assert max(book.before) < 60.0
    book.close()


def test_a_rate_that_was_refused_is_the_next_run_s_start(api: FakeApi, desk: Desk) -> None:
    """It says so, and how to override it; an explicit rate wins, and ends the memory."""
    start = ["run", "night.yaml", "--base-url", desk.url, "--yes", "--expect-latency", "0.1"]
    desk.manifest("a cat", "a dog", more="limits: {rpm: 1200}")
    api.scripts["submit"] = first(1, says(429, "too many requests", headers={"Retry-After": "1"}))
    first_run = desk.call(*start).expect(0)
    assert "starting at" not in first_run.said
    fell = "(429): slowed to 600 of 1200 calls a minute"
    assert first_run.said.count(fell) == 1
    assert (desk.batch / "events.jsonl").read_text().count(fell) == 1
    desk.manifest("a cat", "a dog", "an owl", more="limits: {rpm: 1200}")
    again = desk.call(*start).expect(0)
    assert "starting at 600 of 1200 calls a minute" in again.said
    assert "--rpm 1200" in again.said
    assert '"pace"' in (desk.batch / "events.jsonl").read_text()
    assert "starting at" not in desk.call(*start, env={"BATCHGEN_RPM": "1100"}).expect(0).said
    assert "starting at" not in desk.call(*start).expect(0).said


def test_a_state_folder_that_cannot_be_written_ends_no_run(desk: Desk) -> None:
    """A note about pace is not worth a night."""
    (desk.folder / "file").touch()
    desk.run(env={"XDG_STATE_HOME": str(desk.folder / "file")}).expect(0, done=3)
