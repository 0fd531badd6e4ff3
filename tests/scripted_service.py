"""The scripted service: the video service on loopback, answering as a test says.

`serving` answers every call by one reply, for the tests of the Segmind provider. `FakeApi` is a whole service with
books, in a thread of its own, for tests of the command: every call, every accepted job, and what each one costs. A
script is wrapped round the answer of one kind of call, and decides whether to ask for that answer (which accepts the
job), and what to send; see `bad_replies`. It shares no line with batchgen's own sandbox, so that the two can't share
a mistake. As a program, this file is a `FakeApi` in a process of its own, for the figures of `tests/bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from mp4 import video

from batchgen.providers.segmind.client import Segmind
from batchgen.redact import Secret

KEY: Final = "SG_0123456789abcdef"
MODEL: Final = "wan-2.5-t2v"
MP4: Final = "https://images.segmind.com/x.mp4"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[], Awaitable[web.StreamResponse]]  #: the service's own answer to the call
Script = Callable[["Call", Answer], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def listening(handle: Handler, port: int = 0) -> AsyncIterator[str]:
    """Have every call on a port of the loopback handled; gives its address."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- one reply to every call ------------------------------------------------------------------------------------------


class Server:
    """Answers every call by `reply`, and keeps what it was asked."""

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
    async with listening(server.handle) as server.url:
        yield server


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


# --- a service with books ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One call that came: its kind, its number among its kind (from 1), and what was sent."""

    kind: str
    number: int
    at: float
    request: web.Request
    body: bytes
    job_id: str  #: of the job it is about; "" for a call about none

    @property
    def key(self) -> str | None:
        return self.request.headers.get("x-api-key")

    @property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = json.loads(self.body)
        return params


@dataclass
class Job:
    """One accepted job, as the service's books have it."""

    id: str
    params: dict[str, Any]
    at: float
    run_s: float
    price: float
    error: str | None = None

    @property
    def status(self) -> str:
        if time.time() < self.at + self.run_s:
            return "PROCESSING"
        return "COMPLETED" if self.error is None else "FAILED"

    @property
    def cost(self) -> float:
        """What the account is charged for it in the end: nothing for a failure."""
        return 0.0 if self.error else self.price


#: The kind of a call, by its verb and path.
_KINDS = [
    (kind, re.compile(rf"{verb} {path}"))
    for kind, verb, path in (
        ("submit", "POST", f"/v2/(?:{re.escape(MODEL)}|veo-3\\.1-fast)"),
        ("status", "GET", "/v2/requests/([^/]+)/status"),
        ("result", "GET", "/v2/requests/([^/]+)"),
        ("balance", "GET", "/v1/get-user-credits"),
        ("history", "GET", "/inference-request/request-history"),
        ("lookup", "GET", "/inference-request/request-history/([^/]+)"),
        ("upload", "POST", "/upload-asset"),
        ("file", "GET", r"/files/([^/]+)\.mp4"),
        ("stray", ".*", "(?s:.*)"),
    )
]


@dataclass
class FakeApi:
    """The service with its books; enter it to start it."""

    run_s: float = 0.1
    price: Callable[[Mapping[str, Any]], float] = lambda _params: 0.5
    error: Callable[[Mapping[str, Any]], str | None] = lambda _params: None
    file: bytes = field(default_factory=video)
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    url: str = ""
    _count: Counter[str] = field(default_factory=Counter)  #: of the calls, by kind

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="fake-api")
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with listening(self._handle, self.port) as self.url:
            ready.set()
            await self._stop.wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = f"{request.method} {request.path}"
        kind, match = next((kind, match) for kind, path in _KINDS if (match := path.fullmatch(asked)))
        body = await request.read()
        self._count[kind] += 1
        call = Call(kind, self._count[kind], time.time(), request, body, match[1] if match.re.groups else "")
        self.calls.append(call)
        own = {
            "submit": self._submit, "status": self._progress, "result": self._progress, "balance": self._balance,
            "history": self._history, "lookup": self._lookup, "upload": self._upload, "file": self._file,
        }.get(kind, _nothing_there)  # fmt: skip
        script = self.scripts.get(kind)

        async def answer() -> web.StreamResponse:
            return own(call)

        return await (script(call, answer) if script else answer())

    # --- the books --------------------------------------------------------------------------------------------

    def of(self, kind: str) -> list[Call]:
        """All calls of one kind, in the order in which they came."""
        return [call for call in list(self.calls) if call.kind == kind]

    @property
    def posts(self) -> int:
        """How many paid POSTs came."""
        return len(self.of("submit"))

    @property
    def prompts(self) -> Counter[str]:
        """How often each prompt was accepted."""
        return Counter(job.params["prompt"] for job in list(self.jobs.values()))

    @property
    def charged(self) -> float:
        """What the account pays for all that was accepted, in USD."""
        return round(sum(job.cost for job in list(self.jobs.values())), 4)

    def until(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait for something to become true."""
        try:
            until(true, seconds)
        except TimeoutError:
            raise AssertionError(f"still not so; calls: {[call.kind for call in self.calls]}") from None

    def accept(self, params: dict[str, Any]) -> Job:
        """Write a job into the books."""
        price, error = self.price(params), self.error(params)
        job = Job(str(uuid.uuid4()), params, time.time(), self.run_s, price, error)
        self.jobs[job.id] = job
        return job

    # --- the service's own answers ------------------------------------------------------------------------------

    def _submit(self, call: Call) -> web.Response:
        job = self.accept(call.params)
        link = f"{self.url}/v2/requests/{job.id}"
        urls = {"poll_url": f"{self.url}/v1/requests/{job.id}", "status_url": f"{link}/status", "response_url": link}
        return web.json_response({"request_id": job.id, "status": "QUEUED", **urls})

    def _progress(self, call: Call) -> web.Response:
        job = self.jobs.get(call.job_id)
        if job is None:
            return web.json_response({"error": f"Request {call.job_id} not found"}, status=404)
        body: dict[str, Any] = {"status": job.status, "request_id": job.id}
        if job.status == "FAILED":
            return web.json_response({**body, "error": job.error}, status=422)
        if job.status == "COMPLETED":
            body["metrics"] = {"cost": job.price, "inference_time": job.run_s, "queue_time": 0.0}
            if call.kind == "result":
                url = f"{self.url}/files/{job.id}.mp4"
                size = str(len(self.content(job)))
                body |= {"output": url, "video": {"url": url, "content_type": "video/mp4", "file_size": size}}
        return web.json_response(body)

    def _lookup(self, call: Call) -> web.Response:
        job = self.jobs.get(call.job_id)
        if job is None:
            return web.json_response({"error": "no such request"}, status=404)
        return web.json_response(self.row(job))

    def _history(self, call: Call) -> web.Response:
        query = call.request.query
        days = [datetime.fromtimestamp(job.at, UTC).date().isoformat() for job in self.jobs.values()]
        fits = [
            self.row(job)
            for job, day in zip(self.jobs.values(), days, strict=True)
            if query["from_date"] <= day <= query["to_date"] and query.get("model_name", MODEL) == MODEL
        ]
        size = int(query.get("per_page", "10"))
        start = (int(query.get("page", "1")) - 1) * size
        return web.json_response({"data": list(islice(reversed(fits), start, start + size))})

    def row(self, job: Job) -> dict[str, Any]:
        """One row of the request history."""
        done = job.status == "COMPLETED"
        return {
            "request_id": job.id,
            "model_name": MODEL,
            "model_status": "PENDING" if job.status == "PROCESSING" else job.status,
            "credits_deduction": job.cost if done else 0,
            "request_body": job.params,
            "generation_url": f"{self.url}/files/{job.id}.mp4" if done else None,
            "created_at": datetime.fromtimestamp(job.at, UTC).isoformat(),
            "error": job.error if job.status == "FAILED" else None,
        }

    def _balance(self, _call: Call) -> web.Response:
        return web.json_response({"credits": 100.0 - self.charged, "free-credits": 0.0})

    def _upload(self, call: Call) -> web.Response:
        names = [f"{self.url}/assets/{number}.wav" for number, _ in enumerate(call.params["data_urls"])]
        return web.json_response({"file_urls": names, "message": "ok"})

    def _file(self, call: Call) -> web.Response:
        job = self.jobs.get(call.job_id)
        if job is None:
            return web.Response(status=404, text="no such file")
        etag = {"ETag": f'"{job.id}"', "Accept-Ranges": "bytes"}
        whole, asked = self.content(job), call.request.headers.get("Range", "")
        if not asked:
            return web.Response(body=whole, content_type="video/mp4", headers=etag)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        span = {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"}
        return web.Response(status=206, body=whole[start:], content_type="video/mp4", headers=etag | span)

    def content(self, job: Job) -> bytes:
        """The job's file: no two have the same bytes."""
        stamp = job.id.encode()
        return self.file + (len(stamp) + 8).to_bytes(4, "big") + b"free" + stamp


def _nothing_there(_call: Call) -> web.Response:
    return web.Response(status=404, text="<html>not found</html>", content_type="text/html")


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true; raises TimeoutError. On a busy machine a command may take 10 s to start."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.005)


def main() -> None:
    """Serve until killed; prints the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    with FakeApi(run_s=parser.parse_args().latency, price=lambda _params: 0.625) as api:
        print(api.url.rpartition(":")[2], flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
