"""A service on loopback that answers by a script; for the tests of the Segmind provider."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from batchgen.providers.segmind.client import Segmind
from batchgen.redact import Secret

KEY: Final = "SG_0123456789abcdef"
MP4: Final = "https://images.segmind.com/x.mp4"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A scripted service: answers every call by `reply`, and keeps what it was asked."""

    def __init__(self, reply: Handler) -> None:
        self.reply = reply
        self.seen: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        return await self.reply(request)


@contextlib.asynccontextmanager
async def serving(reply: Handler) -> AsyncIterator[Server]:
    server = Server(reply)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{rest:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def answering(data: object, status: int = 200, **more: Any) -> Handler:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.json_response(data, status=status, **more)

    return reply


def provider(url: str, **options: Any) -> Segmind:
    return Segmind(Secret(KEY), base_url=url, **options)


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def raw_server(reply: bytes) -> AsyncIterator[str]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    listener = await asyncio.start_server(once, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
