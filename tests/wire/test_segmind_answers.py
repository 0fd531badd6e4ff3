"""The Segmind provider on loopback: what is made of each call's answer."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from scripted_service import KEY, MP4, Handler, answering, drop, provider, raw_server, serving

from batchgen.errors import (
    AccountError,
    CallError,
    ClipError,
    DeadLink,
    DownloadError,
    RateLimited,
    ServerError,
    TryAgain,
    UnknownError,
)
from batchgen.providers.base import Completed, Gone, Running
from batchgen.providers.paced import PacedProvider, read_whole, whole_history
from batchgen.ratelimit.limiter import LocalPacer

pytestmark = pytest.mark.real_time


# --- answers -------------------------------------------------------------------------------------------


async def test_a_completed_status_has_no_link_and_the_result_has() -> None:
    """Two calls, as the service documents them."""
    body = {"status": "COMPLETED", "output": MP4, "metrics": {"cost": 0.625}}
    async with serving(answering(body)) as server, provider(server.url) as segmind:
        assert await segmind.status("x") == Completed(cost=625_000)
        assert await segmind.result("x") == Completed(url=MP4, cost=625_000)
        assert [request.path for request in server.seen] == ["/v2/requests/x/status", "/v2/requests/x"]


MOVIE = b"\0\0\0\x18ftypmp42" + bytes(3_000_000)


def sending(body: bytes, kind: str) -> Handler:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind)

    return reply


@pytest.mark.parametrize("kind", ["video/mp4", "video/webm", "application/octet-stream", "application/json"])
async def test_a_video_sent_in_place_of_a_link_can_be_fetched_where_it_was_sent(kind: str) -> None:
    """It is paid for; no link leads to it but the call itself, which needs the key."""
    async with serving(sending(MOVIE, kind)) as server, provider(server.url) as segmind:
        outcome = await segmind.result("a/b c")
        assert outcome == Completed(url=f"{server.url}/v2/requests/a%2Fb%20c")
        opened = segmind.video(f"{server.url}/v2/requests/a%2Fb%20c")
        assert opened is not None
        async with opened() as pieces:
            assert b"".join([piece async for piece in pieces]) == MOVIE
        assert [(one.path, one.headers["x-api-key"]) for one in server.seen] == [("/v2/requests/a/b c", KEY)] * 2


async def test_a_videos_cost_and_run_time_are_read_from_its_headers() -> None:
    """The vendor's synchronous call has them there; a price that nobody told stays unknown."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        told = {"x-cost": "0.625", "x-generation-time": "212.24", "x-remaining-credits": "41.375"}
        return web.Response(body=MOVIE, content_type="video/mp4", headers=told)

    async with serving(reply) as server, provider(server.url) as segmind:
        outcome = await segmind.result("x")
        url = f"{server.url}/v2/requests/x"
        assert outcome == Completed(url=url, cost=625_000, run_s=212.24, remaining_credits=41_375_000)


async def test_json_is_no_video_whatever_it_is_called() -> None:
    """A gateway that labels every answer of the route alike."""
    body = b'{"status": "COMPLETED", "output": "https://images.segmind.com/x.mp4"}'
    async with serving(sending(body, "video/mp4")) as server, provider(server.url) as segmind:
        assert await segmind.result("x") == Completed(url=MP4)
    async with serving(sending(b"", "video/mp4")) as server, provider(server.url) as segmind:
        with pytest.raises(TryAgain):
            await segmind.result("x")


@pytest.mark.parametrize(
    "url",
    [MP4, "{server}/files/x.mp4", "{server}/v2/requests/x/status", "{server}/v2/requests/", "{server}/v2/requests/x?y",
     "https://evil.example/v2/requests/x", "{server}.evil.example/v2/requests/x", "", "/v2/requests/x"],
)  # fmt: skip
async def test_the_key_opens_no_link_but_a_result_of_the_service(url: str) -> None:
    """A link comes from an answer, and may say anything."""
    async with serving(sending(MOVIE, "video/mp4")) as server, provider(server.url) as segmind:
        assert segmind.video(url.replace("{server}", server.url)) is None


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answering({"error": "not found"}, 404), DownloadError),
        (answering({"status": "COMPLETED", "output": MP4}), DownloadError),
        (answering({"error": "slow down"}, 429), RateLimited),
        (answering({"error": "boom"}, 500), TryAgain),
        (answering({"error": "invalid key"}, 401), AccountError),
        (drop, TryAgain),
    ],
)
async def test_what_is_no_video_any_more_is_told_with_its_kind(reply: Handler, error: type[Exception]) -> None:
    """Gone: ask for another link. Trouble: wait. A dead key: stop."""
    async with serving(reply) as server, provider(server.url) as segmind:
        opened = segmind.video(f"{server.url}/v2/requests/x")
        assert opened is not None
        with pytest.raises(error) as caught:
            async with opened():
                pass
    assert KEY not in str(caught.value)
    assert not isinstance(caught.value, DownloadError) or isinstance(caught.value, DeadLink)


async def test_a_video_that_breaks_off_is_trouble_of_the_moment_and_names_no_key() -> None:
    """The exception that lies beneath holds all headers."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 900\r\n\r\n" + MOVIE[:100]
    async with raw_server(head) as url, provider(url) as segmind:
        opened = segmind.video(f"{url}/v2/requests/x")
        assert opened is not None
        with pytest.raises(TryAgain, match="broke off") as caught:
            async with opened() as pieces:
                [piece async for piece in pieces]
    assert caught.value.__cause__ is None and KEY not in repr(caught.value)


async def test_a_record_that_is_gone_is_gone_and_nothing_is_posted() -> None:
    """The core looks in the history; a 404 is never a reason to pay again."""
    async with serving(answering({"error": "Request x not found"}, 404)) as server, provider(server.url) as segmind:
        assert await segmind.status("x") == Gone("Request x not found")
        assert await segmind.result("x") == Gone("Request x not found")
        assert await segmind.lookup("x") is None
        assert {request.method for request in server.seen} == {"GET"}


async def test_every_answer_says_how_far_the_services_clock_is_off() -> None:
    """Its Date is the only witness; one header of 60 kB is no reason not to hear it."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        at = formatdate(time.time() + 7 * 86400.0, usegmt=True)
        return web.json_response({"credits": 1}, headers={"Date": at, "X-Policy": "a" * 60_000})

    async with serving(reply) as server, provider(server.url) as segmind:
        seen = [segmind.clock_off_s]
        await segmind.balance()
        seen.append(segmind.clock_off_s)
    assert seen[0] is None
    assert seen[1] == pytest.approx(7 * 86400.0, abs=60.0)


async def test_the_history_is_asked_in_days_and_pages() -> None:
    """At most 100 a page and 31 days a window; the server's clock comes back."""

    async def reply(request: web.Request) -> web.StreamResponse:
        row = {"request_id": "r1", "model_name": "m", "model_status": "PENDING"}
        return web.json_response({"data": [row] if request.query["page"] == "1" else []})

    async with serving(reply) as server, provider(server.url) as segmind:
        page = await read_whole(segmind.history("m", 1_795_000_000, 1_795_003_600))
        assert [(row.request_id, row.outcome) for row in page.rows] == [("r1", Running("PENDING", queued=True))]
        assert page.whole
        assert page.server_time is not None
        assert dict(server.seen[0].query) == {
            "model_name": "m",
            "from_date": "2026-11-17",
            "to_date": "2026-11-19",
            "per_page": "100",
            "page": "1",
        }


@pytest.mark.parametrize(("name", "kind"), [("a.wav", "audio/wav"), ("B.MP3", "audio/mpeg")])
@pytest.mark.parametrize("field", ["file_urls", "urls"])
async def test_audio_is_uploaded_as_a_data_url(name: str, kind: str, field: str, tmp_path: Path) -> None:
    """The vendor's client refuses wav, though the model takes it."""
    (tmp_path / name).write_bytes(b"RIFF\0\xff")
    link = "https://images.segmind.com/assets/abc.mp3"
    async with serving(answering({field: [link], "message": "ok"})) as server, provider(server.url) as segmind:
        assert await segmind.upload(tmp_path / name) == link
        sent = base64.b64encode(b"RIFF\0\xff").decode()
        assert json.loads(server.bodies[0]) == {"data_urls": [f"data:{kind};base64,{sent}"]}


UPLOADS: list[tuple[object, int, type[CallError]]] = [
    ({}, 200, ServerError),
    ({"error": "x"}, 400, ClipError),
    ({"error": "x"}, 413, ClipError),
    ({"error": "x"}, 401, AccountError),
    ({"error": "x"}, 404, AccountError),
    ({"error": "x"}, 429, RateLimited),
    ({"error": "x"}, 502, ServerError),
    ({"error": "x"}, 302, ServerError),
]


@pytest.mark.parametrize(("data", "status", "kind"), UPLOADS)
async def test_a_refused_upload_is_never_unsure(
    data: object, status: int, kind: type[CallError], tmp_path: Path
) -> None:
    """It costs nothing, so it can be sent again."""
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    async with serving(answering(data, status)) as server, provider(server.url) as segmind:
        with pytest.raises(CallError) as caught:
            await segmind.upload(tmp_path / "a.wav")
        assert type(caught.value) is kind


async def test_audio_that_is_missing_or_of_another_kind_is_this_clips_own_fault(tmp_path: Path) -> None:
    """No other clip suffers."""
    async with serving(answering({})) as server, provider(server.url) as segmind:
        for name in ("none.wav", "a.ogg"):
            with pytest.raises(ClipError, match=name):
                await segmind.upload(tmp_path / name)
        assert server.seen == []


@pytest.mark.parametrize(
    ("data", "status", "expected"),
    [
        ({"credits": 41.375, "free-credits": 0.5}, 200, 41_875_000),
        ({"credits": "0.1"}, 200, 100_000),
        ({"credits": -0.2}, 200, 0),
        ({"error": "No credits found for the user"}, 404, 0),
    ],
)
async def test_the_balance_is_micro_dollars(data: object, status: int, expected: int) -> None:
    """Free credits pay too."""
    async with serving(answering(data, status)) as server, provider(server.url) as segmind:
        assert await segmind.balance() == expected
        assert server.seen[0].path == "/v1/get-user-credits"


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [({}, 200, ServerError), ({"credits": "?"}, 200, ServerError), ([], 200, ServerError), ({}, 401, AccountError)],
)
async def test_a_balance_that_is_not_told_is_not_zero(data: object, status: int, kind: type[CallError]) -> None:
    """Zero would stop a batch that could go on."""
    async with serving(answering(data, status)) as server, provider(server.url) as segmind:
        with pytest.raises(CallError) as caught:
            await segmind.balance()
        assert type(caught.value) is kind


async def test_the_wait_of_a_429_comes_with_the_error() -> None:
    """Only the pacer may decide, but it must be told."""
    reply = answering({"error": "slow down"}, 429, headers={"Retry-After": "7"})
    async with serving(reply) as server, provider(server.url) as segmind:
        for call in (segmind.submit("m", {}), segmind.status("x")):
            with pytest.raises(TryAgain) as caught:
                await call
            assert (type(caught.value), caught.value.retry_after) == (RateLimited, 7.0)


@pytest.mark.parametrize(("status", "text"), [(429, "rate_limit_exceeded"), (403, "too many requests, slow down")])
async def test_a_history_that_refuses_for_being_too_quick_says_so_and_for_how_long(status: int, text: str) -> None:
    """It is no broken history: the account is asked to wait, as by any other call."""
    reply = answering({"error": text}, status, headers={"Retry-After": "90"})
    async with serving(reply) as server, provider(server.url) as segmind:
        for call in (segmind.lookup("x"), read_whole(segmind.history("m", 0.0, 1.0))):
            with pytest.raises(TryAgain) as caught:
                await call
            assert (type(caught.value), caught.value.retry_after) == (RateLimited, 90.0)
        assert len(server.seen) == 2


@pytest.mark.parametrize("status", [401, 403, 500, 502])
async def test_a_history_that_is_closed_or_broken_is_no_refusal_for_being_too_quick(status: int) -> None:
    """To wait would not open it; nothing may be concluded."""
    async with serving(answering({"error": "forbidden"}, status)) as server, provider(server.url) as segmind:
        for call in (segmind.lookup("x"), read_whole(segmind.history("m", 0.0, 1.0))):
            with pytest.raises(UnknownError):
                await call


async def test_two_pages_and_a_refusal_are_reported_with_the_third_permit() -> None:
    """Loopback to pacer: the rate is halved, the hint is obeyed, and the reading begins anew."""
    queries: list[str] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        queries.append(request.query["page"])
        if len(queries) == 3:
            return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "1"})
        page = int(request.query["page"])
        ids = [f"p{page}-{n}" for n in range(100 if page < 3 else 0)]
        return web.json_response({"data": [{"request_id": each, "model_status": "COMPLETED"} for each in ids]})

    pacer = LocalPacer(60_000, dice=lambda: 0.0)
    pacing = asyncio.get_running_loop().create_task(pacer.run())
    async with serving(reply) as server, provider(server.url) as segmind:
        page = await whole_history(PacedProvider(segmind, pacer), "m", 0.0, 1.0)
    pacing.cancel()
    assert queries == ["1", "2", "3", "1", "2", "3"]
    assert (len(page.rows), page.whole) == (200, True)
    assert pacer.snapshot().rpm < 60_000
