"""Bad weather: refusals for now, outages, broken files. It costs time, never a clip, and never a second payment."""

from __future__ import annotations

import socket
import time

import pytest
from aiohttp import web
from bad_replies import cut_short, drop, first, no_rows, says
from command import Desk
from scripted_service import Answer, Call, FakeApi, Script, until

pytestmark = pytest.mark.real_time


def paid_once(api: FakeApi) -> bool:
    """Each of the three prompts was accepted once."""
    return api.prompts == {"a cat": 1, "a dog": 1, "an owl": 1}


# --- the API ------------------------------------------------------------------------------------------------------


def test_a_429_is_waited_out_as_long_as_the_service_asks(api: FakeApi, desk: Desk) -> None:
    """Retry-After holds for all: no call comes before it is over."""
    api.scripts["submit"] = first(1, says(429, "too many requests", headers={"Retry-After": "1"}))
    desk.run("--in-flight", "1").expect(0, done=3)
    assert paid_once(api)
    refused, again = api.of("submit")[:2]
    assert again.at - refused.at >= 1.0
    assert not [call for call in api.calls if refused.at < call.at < refused.at + 0.98]


def test_the_apis_own_500_is_tried_again(api: FakeApi, desk: Desk) -> None:
    """It says in JSON that it refused, and the history agrees; a gateway's page would be in doubt."""
    desk.manifest("a cat")
    api.scripts["submit"] = first(1, says(500, "internal error"))
    desk.run("--history-settle", "0").expect(0, done=1)
    assert (api.posts, api.prompts) == (2, {"a cat": 1})


def test_trouble_while_asking_is_no_failure_of_the_clip(api: FakeApi, desk: Desk) -> None:
    """Status and result are asked again until they answer."""
    api.scripts = {"status": first(2, drop), "result": first(2, says(503))}
    desk.run().expect(0, done=3)
    assert paid_once(api)


def test_one_bad_clip_never_stops_the_night(api: FakeApi, desk: Desk) -> None:
    """Content blocks and bad parameters are the clip's own: exit 3, free of charge, told with their cause."""
    errors = {"a cat": "provider content moderation block", "a dog": "invalid parameter: seed"}
    api.error = lambda params: errors.get(params["prompt"])
    ended = desk.run().expect(3, done=1, blocked=1, failed=1)
    assert ended.obj["spent_usd"] == api.charged == 0.5
    assert {(group["state"], group["count"]) for group in ended.obj["failures"]} == {("blocked", 1), ("failed", 1)}
    assert all(error in str(ended.obj["failures"]) for error in errors.values())
    desk.run().expect(3)
    assert api.posts == 3


def test_a_refused_submission_is_the_clips_own(api: FakeApi, desk: Desk) -> None:
    """422 at submission: one POST, failed, the others go on."""

    async def refuse_cats(call: Call, answer: Answer) -> web.StreamResponse:
        refusal = says(422, "validation error: prompt")
        return await (refusal(call, answer) if call.params["prompt"] == "a cat" else answer())

    api.scripts["submit"] = refuse_cats
    desk.run().expect(3, done=2, failed=1)
    assert api.posts == 3


def test_a_transient_failure_is_tried_again_at_most_twice(api: FakeApi, desk: Desk) -> None:
    """A FAILED is free; patience is not."""
    desk.manifest("a cat")
    api.error = lambda _params: "internal: worker timed out"
    desk.run().expect(3, failed=1)
    assert (api.posts, api.charged) == (3, 0)


def test_an_api_out_of_reach_ends_the_run_resumable(desk: Desk) -> None:
    """Refused connections are no failure of any clip: exit 4 after `--give-up`, nothing is in doubt."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        desk.url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        began = time.monotonic()
        ended = desk.run("--give-up", "1").expect(4, pending=3)
    assert time.monotonic() - began >= 1.0
    assert "could not be reached" in ended.obj["stopped"]
    assert ended.obj["reserved_usd"] == 0.0


def test_a_run_outlasts_a_service_that_starts_late(desk: Desk) -> None:
    """The API comes back after a while, and the night goes on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    desk.url = f"http://127.0.0.1:{port}"
    process = desk.start(*desk.paid("--yes", "--json"))
    events = desk.batch / "events.jsonl"
    until(lambda: events.exists() and "SubmitDeferred" in events.read_text())
    with FakeApi(port=port) as api:
        desk.end(process).expect(0, done=3)
        assert paid_once(api)


# --- files --------------------------------------------------------------------------------------------------------


async def html(_call: Call, _answer: Answer) -> web.StreamResponse:
    return web.Response(text="<html>Please log in</html>", content_type="text/html")


BAD_FILES: dict[str, Script] = {"cut": cut_short, "html": html, "dead": says(403, "expired")}


@pytest.mark.parametrize("how", BAD_FILES)
def test_a_bad_download_costs_a_download_never_a_generation(api: FakeApi, desk: Desk, how: str) -> None:
    """Cut short, a login page, an expired link: fetched again, whole, and nothing is left over."""
    desk.manifest("a cat")
    api.scripts["file"] = first(1, BAD_FILES[how])
    ended = desk.run().expect(0, done=1)
    assert (api.posts, ended.obj["spent_usd"]) == (1, 0.5)
    assert [path.read_bytes() for path in desk.clips] == [api.content(job) for job in api.jobs.values()]
    assert len(list((desk.batch / "clips").iterdir())) == 2
    again = api.of("file")[1].request.headers
    assert (again.get("Range") is not None) == (how == "cut")
    assert again.get("If-Range", f'"{next(iter(api.jobs))}"') == f'"{next(iter(api.jobs))}"'


@pytest.mark.slow
def test_a_clip_without_any_link_is_lost_not_paid_for_again(api: FakeApi, desk: Desk) -> None:
    """COMPLETED and charged, but nobody names a file: exit 5, its cost is in the bill."""
    desk.manifest("a cat")

    async def no_output(call: Call, _answer: Answer) -> web.StreamResponse:
        return web.json_response({"status": "COMPLETED", "request_id": call.job_id, "metrics": {"cost": 0.5}})

    async def no_link(call: Call, _answer: Answer) -> web.StreamResponse:
        return web.json_response({**api.row(api.jobs[call.job_id]), "generation_url": None})

    api.scripts = {"result": no_output, "lookup": no_link, "history": no_rows}
    ended = desk.run().expect(5, lost=1)
    assert (api.posts, ended.obj["spent_usd"]) == (1, 0.5)
    api.scripts.clear()
    desk.run().expect(0, done=1)
    assert api.posts == 1
