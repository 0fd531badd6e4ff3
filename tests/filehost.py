"""A file host on loopback whose answers are scripted, for the downloader's tests."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from mp4 import video

from batchgen.download.downloader import Downloader, Fetched

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

SMALL = video(40_000)
LARGE = video(bytes(range(256)) * 8_192)  # 2 MiB: four blocks
ETAG = '"v1"'


class Host:
    """A file host whose answers are scripted: one reply a request, the last one for ever."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.seen: list[web.Request] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await reply(request)

    def ranges(self) -> list[tuple[str | None, str | None]]:
        return [(request.headers.get("Range"), request.headers.get("If-Range")) for request in self.seen]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{name:.*}", host.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}/clip.mp4?Signature=sesame"
    yield host
    await runner.cleanup()


@pytest.fixture
async def downloader() -> AsyncIterator[Downloader]:
    async with quick() as one:
        yield one


def quick(**options: float) -> Downloader:
    return Downloader(loopback=True, backoff_s=0.001, stall_s=options.get("stall_s", 5.0), connect_s=2.0)


def served(data: bytes, etag: str | None = ETAG, **headers: str) -> Reply:
    """Serve as a good host does: Range, If-Range, 416."""

    async def reply(request: web.Request) -> web.StreamResponse:
        tags = {"ETag": etag} if etag else {}
        fits = etag is not None and request.headers.get("If-Range") == etag
        start = request.http_range.start if fits else None
        if start is None:
            return web.Response(body=data, headers={**tags, **headers})
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:], headers={**tags, "Content-Range": span, **headers})

    return reply


def cut(data: bytes, at: int, headers: dict[str, str] | None = None, hold: float = 0.05) -> Reply:
    """Announce all of `data`, send `at` bytes, and break off (or hold the line)."""

    async def reply(request: web.Request) -> web.StreamResponse:
        start = request.http_range.start or 0
        answer = web.StreamResponse(status=206 if start else 200, headers={"ETag": ETAG, **(headers or {})})
        if start:
            answer.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        answer.content_length = len(data) - start
        await answer.prepare(request)
        await answer.write(data[start:at])
        await asyncio.sleep(hold)
        assert request.transport is not None
        request.transport.close()
        return answer

    return reply


def plain(status: int, body: str = "", **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return reply


def chunked(data: bytes, etag: str | None = None) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"ETag": etag} if etag else {})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(data)
        return answer

    return reply


def check(fetched: Fetched, target: Path, data: bytes) -> None:
    """The file is whole, the facts are true, and nothing else is left."""
    assert target.read_bytes() == data
    assert (fetched.bytes, fetched.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name]
