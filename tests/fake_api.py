"""A small stand-in for the video service, for tests of the command as a process.

It shares no line with batchgen's own sandbox, so that the two can't share a mistake. It keeps its own books:
every call, every accepted job, and what each one costs. A script is wrapped round the answer of one kind of
call, and decides whether to ask for that answer (which accepts the job), and what to send; see `mischief`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from mp4 import video

Answer = Callable[[], Awaitable[web.StreamResponse]]  #: the service's own answer to the call
Script = Callable[["Call", Answer], Awaitable[web.StreamResponse]]
MODEL = "wan-2.5-t2v"


@dataclass(frozen=True)
class Call:
    """One call that came: its kind, its number among its kind (from 1), and what was sent."""

    kind: str
    number: int
    at: float
    request: web.Request
    body: bytes

    @property
    def key(self) -> str | None:
        return self.request.headers.get("x-api-key")

    @property
    def job_id(self) -> str:
        return self.request.match_info.get("id", "")

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


@dataclass
class FakeApi:
    """The service, on loopback, in a thread of its own; enter it to start it."""

    run_s: float = 0.1
    price: Callable[[Mapping[str, Any]], float] = lambda _params: 0.5
    error: Callable[[Mapping[str, Any]], str | None] = lambda _params: None
    file: bytes = field(default_factory=video)
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    url: str = ""

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

    async def _submit(self, call: Call) -> web.StreamResponse:
        job = self.accept(call.params)
        link = f"{self.url}/v2/requests/{job.id}"
        told = {"poll_url": f"{self.url}/v1/requests/{job.id}", "status_url": f"{link}/status", "response_url": link}
        return web.json_response({"request_id": job.id, "status": "QUEUED", **told})

    async def _status(self, call: Call) -> web.StreamResponse:
        return self._progress(call, with_link=False)

    async def _result(self, call: Call) -> web.StreamResponse:
        return self._progress(call, with_link=True)

    def _progress(self, call: Call, *, with_link: bool) -> web.StreamResponse:
        job = self.jobs.get(call.job_id)
        if job is None:
            return web.json_response({"error": f"Request {call.job_id} not found"}, status=404)
        told: dict[str, Any] = {"status": job.status, "request_id": job.id}
        if job.status == "FAILED":
            return web.json_response({**told, "error": job.error}, status=422)
        if job.status == "COMPLETED":
            told["metrics"] = {"cost": job.price, "inference_time": job.run_s, "queue_time": 0.0}
            if with_link:
                url = f"{self.url}/files/{job.id}.mp4"
                size = str(len(self.content(job)))
                told |= {"output": url, "video": {"url": url, "content_type": "video/mp4", "file_size": size}}
        return web.json_response(told)

    async def _lookup(self, call: Call) -> web.StreamResponse:
        job = self.jobs.get(call.job_id)
        if job is None:
            return web.json_response({"error": "no such request"}, status=404)
        return web.json_response(self.row(job))

    async def _history(self, call: Call) -> web.StreamResponse:
        query = call.request.query
        days = [datetime.fromtimestamp(job.at, UTC).date().isoformat() for job in self.jobs.values()]
        fits = [
            self.row(job)
            for job, day in zip(self.jobs.values(), days, strict=True)
            if query["from_date"] <= day <= query["to_date"] and query.get("model_name", MODEL) == MODEL
        ]
        size = int(query.get("per_page", "10"))
        first = (int(query.get("page", "1")) - 1) * size
        return web.json_response({"data": list(islice(reversed(fits), first, first + size))})

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

    async def _balance(self, _call: Call) -> web.StreamResponse:
        return web.json_response({"credits": 100.0 - self.charged, "free-credits": 0.0})

    async def _upload(self, call: Call) -> web.StreamResponse:
        names = [f"{self.url}/assets/{number}.wav" for number, _ in enumerate(call.params["data_urls"])]
        return web.json_response({"file_urls": names, "message": "ok"})

    async def _file(self, call: Call) -> web.StreamResponse:
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

    # --- serving ------------------------------------------------------------------------------------------------

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 26)
        routes = {
            "submit": ("POST", f"/v2/{MODEL}", self._submit),
            "status": ("GET", "/v2/requests/{id}/status", self._status),
            "result": ("GET", "/v2/requests/{id}", self._result),
            "balance": ("GET", "/v1/get-user-credits", self._balance),
            "history": ("GET", "/inference-request/request-history", self._history),
            "lookup": ("GET", "/inference-request/request-history/{id}", self._lookup),
            "upload": ("POST", "/upload-asset", self._upload),
            "file": ("GET", "/files/{id}.mp4", self._file),
        }
        for kind, (method, path, own) in routes.items():
            app.router.add_route(method, path, self._scripted(kind, own))
        app.router.add_route("*", "/{rest:.*}", self._scripted("stray", _nothing_there))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()

    def _scripted(
        self, kind: str, own: Callable[[Call], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            call = Call(kind, len(self.of(kind)) + 1, time.time(), request, await request.read())
            self.calls.append(call)
            script = self.scripts.get(kind)
            return await (script(call, lambda: own(call)) if script else own(call))

        return handle


async def _nothing_there(_call: Call) -> web.StreamResponse:
    return web.Response(status=404, text="<html>not found</html>", content_type="text/html")


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true; raises TimeoutError. On a busy machine a command may take 10 s to start."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.005)
