"""A service that answers with the video in place of a link: paid for, so it is kept, whole, and on the bill."""

from __future__ import annotations

import hashlib
import json

import pytest
from aiohttp import web
from bad_replies import says
from command import KEY, Desk
from scripted_service import Answer, Call, FakeApi

pytestmark = pytest.mark.real_time


def inline(api: FakeApi, short: int = 0) -> None:
    """Let every result be the video itself, the first ones cut short under a length that says otherwise."""

    async def send(call: Call, answer: Answer) -> web.StreamResponse:
        told = await answer()
        job = api.jobs.get(call.job_id)
        if told.status != 200 or job is None or job.status != "COMPLETED":
            return told
        whole = api.content(job)
        reply = web.StreamResponse(headers={"Content-Type": "video/mp4", "Content-Length": str(len(whole))})
        await reply.prepare(call.request)
        if call.number > short:
            await reply.write(whole)
            return reply
        await reply.write(whole[:-40])
        assert call.request.transport is not None
        call.request.transport.close()
        return reply

    api.scripts["result"] = send


def check(desk: Desk, api: FakeApi) -> None:
    """Every clip has its own bytes, its sidecar and its cost; nothing was paid twice."""
    assert set(api.prompts.values()) == {1}
    files = {hashlib.sha256(file.read_bytes()).hexdigest() for file in desk.clips}
    assert files == {hashlib.sha256(api.content(job)).hexdigest() for job in api.jobs.values()}
    assert all(json.loads(file.with_suffix(".json").read_text())["cost_usd"] == 0.5 for file in desk.clips)
    assert not [file for file in desk.batch.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def test_the_videos_are_kept_and_on_the_bill(api: FakeApi, desk: Desk) -> None:
    """The history has no link for them: the answers are all there is."""
    inline(api)
    api.scripts["lookup"] = says(404, "no such request")
    ended = desk.run().expect(0, done=3)
    assert ended.obj["spent_usd"] == api.charged == 1.5
    check(desk, api)
    assert not api.of("file") and all(call.key == KEY for call in api.of("result"))


def test_a_link_of_the_history_is_taken_where_there_is_one(api: FakeApi, desk: Desk) -> None:
    """It lives for seven days and can be resumed; and it never gets the key."""
    inline(api)
    desk.run().expect(0, done=3)
    check(desk, api)
    assert len(api.of("file")) == 3 and not [call for call in api.of("file") if call.key]


def test_an_answer_that_is_cut_short_is_asked_for_again(api: FakeApi, desk: Desk) -> None:
    """One is asked for to learn what it is, and then again to be kept: both may break off."""
    desk.manifest("a cat")
    inline(api, short=3)
    api.scripts["lookup"] = says(404, "no such request")
    desk.run().expect(0, done=1)
    check(desk, api)


def test_a_killed_run_goes_on_with_the_answer(api: FakeApi, desk: Desk) -> None:
    """The address is in the ledger, as any link is."""
    desk.manifest("a cat")
    inline(api, short=1_000_000)
    api.scripts["lookup"] = says(404, "no such request")
    process = desk.start(*desk.paid("--yes", "--json"))
    api.until(lambda: len(api.of("result")) >= 2)
    desk.kill(process)
    inline(api)
    desk.run().expect(0, done=1)
    check(desk, api)
