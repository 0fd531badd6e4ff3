"""The Segmind provider on loopback: what surely never left, what may have arrived, and that it is sent once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from scripted_service import KEY, answering, drop, provider, raw_server, serving
from yarl import URL

from batchgen.download import Downloader
from batchgen.errors import (
    AccountError,
    CallError,
    ClipError,
    DownloadError,
    RateLimited,
    ServerError,
    TryAgain,
    UnknownError,
    Unreachable,
    UnsureError,
)
from batchgen.providers.base import Accepted
from batchgen.providers.paced import read_whole
from batchgen.providers.segmind.client import Segmind
from batchgen.proxy import SystemProxy
from batchgen.redact import Secret

pytestmark = pytest.mark.real_time


# --- what is sent once, and what never left ------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_refused_connection_is_nothing_sent() -> None:
    """The one failure that is certain not to have submitted."""
    async with provider(f"http://127.0.0.1:{free_port()}", get_timeout_s=5) as segmind:
        calls = (segmind.submit("m", {}), segmind.status("x"), segmind.balance())
        for call in (*calls, segmind.lookup("x"), read_whole(segmind.history("m", 0.0, 1.0))):
            with pytest.raises(Unreachable):
                await call


async def test_a_name_that_does_not_resolve_is_nothing_sent() -> None:
    """DNS comes before any connection."""
    async with Segmind(Secret(KEY), base_url="https://batchgen.invalid", submit_timeout_s=5) as segmind:
        with pytest.raises(Unreachable):
            await segmind.submit("m", {})


async def test_a_failed_tls_handshake_is_nothing_sent() -> None:
    """The body leaves only after the handshake."""
    async with serving(answering({})) as server, provider(server.url.replace("http:", "https:")) as segmind:
        with pytest.raises(Unreachable):
            await segmind.submit("m", {})
        assert server.seen == []


@pytest.mark.parametrize(("connect", "total"), [(0.1, 5.0), (5.0, 0.1)], ids=["connect", "total"])
async def test_a_timeout_while_connecting_is_nothing_sent(connect: float, total: float) -> None:
    """Whichever of the two clocks strikes first."""
    stop = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    # TLS to a server that never shakes hands: connected for TCP, not for us.
    options: dict[str, Any] = {"connect_timeout_s": connect, "submit_timeout_s": total}
    async with listener, Segmind(Secret(KEY), base_url=f"https://127.0.0.1:{port}", **options) as segmind:
        with pytest.raises(Unreachable) as caught:
            await segmind.submit("m", {})
        stop.set()
    assert str(caught.value) == f"submit: 127.0.0.1:{port} can't be reached: it does not answer"


async def test_a_timeout_after_connecting_is_unsure() -> None:
    """The server has the job."""
    held = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await held.wait()
        return web.Response()

    async with serving(hang) as server, provider(server.url, submit_timeout_s=0.2, get_timeout_s=0.2) as segmind:
        with pytest.raises(UnsureError):
            await segmind.submit("m", {})
        with pytest.raises(ServerError):
            await segmind.status("x")
        assert [request.method for request in server.seen] == ["POST", "GET"]
        held.set()


async def test_a_post_on_a_dropped_connection_arrives_once() -> None:
    """aiohttp repeats a GET by itself when a kept connection fails; it must never repeat this."""
    first = True

    async def keep_then_drop(request: web.Request) -> web.StreamResponse:
        nonlocal first
        if first:
            first = False
            return web.json_response({"status": "QUEUED"})
        return await drop(request)

    async with serving(keep_then_drop) as server, provider(server.url) as segmind:
        await segmind.status("x")  # leaves a kept connection for the POST to be sent on
        with pytest.raises(UnsureError):
            await segmind.submit("m", {})
        assert [request.method for request in server.seen] == ["GET", "POST"]


async def test_a_connection_idle_for_more_than_two_seconds_is_not_used_again() -> None:
    """A stale one looks like a lost answer."""
    sockets: list[object] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        sockets.append(request.transport.get_extra_info("peername"))
        return web.json_response({"status": "QUEUED", "request_id": "abc"})

    async with serving(reply) as server, provider(server.url) as segmind:
        await segmind.status("x")
        await segmind.submit("m", {})
        await asyncio.sleep(2.1)
        await segmind.submit("m", {})
    assert sockets[0] == sockets[1] != sockets[2]


RAW: list[tuple[bytes, type[CallError]]] = [
    (b"", UnsureError),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", UnsureError),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"request_id": "a', UnsureError),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk", UnsureError),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UnsureError),
    (b"garbage\r\n\r\n", UnsureError),
    (b'HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\n{"error": "x"}', UnsureError),
    (b"HTTP/1.1 429 X\r\nContent-Length: 99\r\nRetry-After: 3\r\n\r\n{", RateLimited),
    (b"HTTP/1.1 401 X\r\nContent-Length: 99\r\n\r\n{", AccountError),
]


@pytest.mark.parametrize(("reply", "kind"), RAW)
async def test_a_broken_answer_to_a_post_is_classified_by_what_is_sure(reply: bytes, kind: type[CallError]) -> None:
    """A status line that refuses is a refusal; everything else may be a job that runs."""
    async with raw_server(reply) as url, provider(url, submit_timeout_s=5, get_timeout_s=5) as segmind:
        with pytest.raises(CallError) as caught:
            await segmind.submit("m", {})
        assert type(caught.value) is kind
        with pytest.raises((TryAgain, AccountError)):
            await segmind.status("x")
        with pytest.raises(TryAgain if b" 429 " in reply else UnknownError):
            await segmind.lookup("x")


async def test_an_id_that_came_before_the_cut_is_not_lost() -> None:
    """The object is whole, only the connection was not."""
    reply = b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"request_id": "abc"}'
    async with raw_server(reply) as url, provider(url) as segmind:
        assert await segmind.submit("m", {}) == Accepted("abc")


async def test_an_answer_without_end_is_cut_and_unreadable() -> None:
    """A megabyte is a thousand times what they send."""

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with contextlib.suppress(OSError):
            await response.write(b'{"request_id": "abc"}')
            while True:
                await response.write(b" " * 65536)
        return response

    async with serving(flood) as server, provider(server.url) as segmind:
        with pytest.raises(UnsureError):
            await segmind.submit("m", {})


async def test_parameters_that_are_no_json_are_this_clips_own_fault() -> None:
    """Nothing is sent, and no other clip suffers."""
    async with serving(answering({})) as server, provider(server.url) as segmind:
        for params in ({"seed": float("nan")}, {"prompt": "\ud800"}):
            with pytest.raises(ClipError):
                await segmind.submit("m", params)
        assert server.seen == []


async def test_calls_leave_through_the_proxy_and_nothing_but_its_own_password_goes_to_it(tmp_path: Path) -> None:
    """The tunnel is asked for by the host's name; the key travels inside it."""
    heads: list[bytes] = []

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refusing, "127.0.0.1", 0) as server:
        proxy = SystemProxy(URL(f"http://ana:sesame@127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        async with Segmind(Secret(KEY), base_url="https://api.invalid", proxy=proxy) as segmind:
            with pytest.raises(CallError) as caught:
                await segmind.balance()
        async with Downloader(proxy=proxy, tries=1) as downloader:
            with pytest.raises(DownloadError):
                await downloader.fetch("https://files.invalid/a.mp4", tmp_path / "a.mp4")
    assert [head.split(b"\r\n")[0] for head in heads] == [
        b"CONNECT api.invalid:443 HTTP/1.1",
        b"CONNECT files.invalid:443 HTTP/1.1",
    ]
    assert all(b"Basic " + base64.b64encode(b"ana:sesame") in head and KEY.encode() not in head for head in heads)
    assert "sesame" not in str(caught.value)
