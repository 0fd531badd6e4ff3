"""Scripts by which the fake service misbehaves: refused, late, lost and cut answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

from aiohttp import web
from scripted_service import Answer, Call, Script


def says(status: int, error: str | None = None, *, headers: Mapping[str, str] | None = None) -> Script:
    """Refuse: the API's JSON error, or a gateway's HTML page where `error` is None."""

    async def script(_call: Call, _answer: Answer) -> web.StreamResponse:
        if error is None:
            return web.Response(status=status, text="<html>Bad Gateway</html>", content_type="text/html")
        return web.json_response({"error": error}, status=status, headers=headers)

    return script


async def no_rows(_call: Call, _answer: Answer) -> web.StreamResponse:
    """Answer as a request history that is empty."""
    return web.json_response({"data": []})


def first(count: int, script: Script) -> Script:
    """Let a script act on the first calls of its kind only."""

    async def some(call: Call, answer: Answer) -> web.StreamResponse:
        return await (script(call, answer) if call.number <= count else answer())

    return some


def after(count: int, script: Script) -> Script:
    """Let a script act on all but the first calls of its kind."""

    async def some(call: Call, answer: Answer) -> web.StreamResponse:
        return await (answer() if call.number <= count else script(call, answer))

    return some


def slow(seconds: float) -> Script:
    """Answer late: what a call does happens at once."""

    async def script(_call: Call, answer: Answer) -> web.StreamResponse:
        told = await answer()
        await asyncio.sleep(seconds)
        return told

    return script


async def drop(call: Call, _answer: Answer) -> web.StreamResponse:
    """Close the connection in place of an answer; nothing is accepted."""
    if call.request.transport is not None:
        call.request.transport.abort()
    return web.Response()


def accepted_but(script: Script) -> Script:
    """Do what was asked, and answer as `script` does."""

    async def lost(call: Call, answer: Answer) -> web.StreamResponse:
        await answer()
        return await script(call, answer)

    return lost


async def cut_short(call: Call, answer: Answer) -> web.StreamResponse:
    """Announce the whole answer, send half of it, and close the connection."""
    whole = await answer()
    assert isinstance(whole, web.Response)
    assert isinstance(whole.body, bytes)
    reply = web.StreamResponse(headers={**whole.headers, "Content-Length": str(len(whole.body))})
    await reply.prepare(call.request)
    await reply.write(whole.body[: len(whole.body) // 2])
    await asyncio.sleep(0.02)  # so that the half is not lost in the reset
    return await drop(call, answer)


class Gate:
    """A script that lets calls do what they ask (or not), and holds their answers until it is opened."""

    def __init__(self, *, accepts: bool = True) -> None:
        self._accepts = accepts
        self._open = threading.Event()
        self.held = 0

    def open(self) -> None:
        """Let all answers go."""
        self._open.set()

    async def __call__(self, _call: Call, answer: Answer) -> web.StreamResponse:
        told = await answer() if self._accepts else None
        self.held += 1
        while not self._open.is_set():
            await asyncio.sleep(0.005)
        return await answer() if told is None else told
