"""The sandbox: an HTTP server on the loopback that a batch can run against for nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from batchgen.sandbox import bad_answers
from batchgen.sandbox.api import Api
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.files import KEY_SEEN, Files
from batchgen.sandbox.history import History
from batchgen.sandbox.protocol import Refusal
from batchgen.sandbox.service import Booking, Options, VideoService

_HOST = "127.0.0.1"
_MAX_BODY = 32 * 1024 * 1024  # 15 MB of audio are 20 MB of base64
_OPEN = ("/files/", "/films/", "/assets/", "/sandbox/")


class Sandbox:
    """A service of one's own: start it, use its URL as the base URL, stop it.

    Its jobs live in `folder` (`sandbox.db`, `files/`, `assets/`): a sandbox that is started there again,
    on whatever port, goes on with them by the wall clock.

    Args:
        folder: made if it is missing; one sandbox at a time may use it.
        latency_s: mean run time of a job once a worker has it.
        jitter: share of `latency_s` by which run times differ, 0 to 1.
        slots: jobs that run at once; the others queue.
        record_ttl_s: status and result are kept this long after *submission*.
        file_ttl_s: files are kept this long after the job ended.
        rpm: calls that are let through in any 60 s, then 429; 0 is no limit. File downloads don't count.
        credits: USD in the account before the first job.
        key: the API key that is accepted; None accepts any.
        faults: what is to go wrong.
        seed: of run times and faults.
        render: whether prompts are rendered; False serves the package's clips, None renders if it can.
        history_lag_s: how long a request takes to show up in the history.
        port: 0 takes the one of last time, or a free one.
        skew_s: how far off the times in `Date` and in the history are; its own clock is right.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        latency_s: float = 2.0,
        jitter: float = 0.3,
        slots: int = 4,
        record_ttl_s: float = 3600.0,
        file_ttl_s: float = 7 * 86400.0,
        rpm: float = 0,
        credits: Decimal | int = 100,  # noqa: A002  the service's own word
        key: str | None = None,
        faults: Faults | None = None,
        seed: int = 0,
        render: bool | None = None,
        history_lag_s: float = 0,
        skew_s: float = 0,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = Options(
            folder=folder,
            latency_s=latency_s,
            jitter=jitter,
            slots=slots,
            record_ttl_s=record_ttl_s,
            file_ttl_s=file_ttl_s,
            rpm=rpm,
            credits=Decimal(credits),
            key=key,
            faults=faults or Faults(),
            seed=seed,
            render=render,
            history_lag_s=history_lag_s,
            skew_s=skew_s,
            clock=clock,
        )
        self._port = port
        self._shop: VideoService | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Open the folder, listen, and give the base URL, `http://127.0.0.1:PORT`.

        Raises:
            OSError: the port is taken, or the folder can't be written.
        """
        self._shop = VideoService(self._options)
        # A client that hangs up ends its handler: a fault may keep it waiting permanently.
        self._runner = web.AppRunner(_app(self._shop), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        try:
            await self._runner.setup()
            port = await self._listen(self._runner)
        except BaseException:
            await self.stop()
            raise
        return f"http://{_HOST}:{port}"

    async def _listen(self, runner: web.AppRunner) -> int:
        """Listen; by default on the port of the last run, so that its links still work."""
        kept = self._options.folder / "port"
        try:
            await web.TCPSite(runner, _HOST, self._port or _port_in(kept)).start()
        except OSError:
            if self._port:
                raise
            await web.TCPSite(runner, _HOST, 0).start()
        port: int = runner.addresses[0][1]
        kept.write_text(str(port))
        return port

    async def stop(self) -> None:
        """Stop listening and rendering; what was accepted stays in the folder. May be called twice."""
        runner, shop, self._runner, self._shop = self._runner, self._shop, None, None
        if runner is not None:
            await runner.cleanup()
        if shop is not None:
            await asyncio.to_thread(shop.close)

    async def __aenter__(self) -> str:
        return await self.start()

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def books(self) -> list[Booking]:
        """What the server thinks it was paid, job by job; only while it runs."""
        if self._shop is None:
            raise RuntimeError("the sandbox is not running")
        return self._shop.books()

    @property
    def struck(self) -> dict[str, int]:
        """How often each fault struck, over restarts too; only while it runs."""
        return {} if self._shop is None else self._shop.struck()


def _port_in(kept: Path) -> int:
    """Read the port of last time; 0 where there is none."""
    try:
        port = int(kept.read_text())
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 2**16 else 0


def _app(shop: VideoService) -> web.Application:
    app = web.Application(middlewares=[_errors, _gate(shop)], client_max_size=_MAX_BODY)
    api, history, files = Api(shop), History(shop), Files(shop)
    if shop.options.skew_s:
        app.on_response_prepare.append(_dated(shop))
    app.add_routes([*history.routes(), *files.routes(), *_about(shop), *api.routes()])
    return app


def _about(shop: VideoService) -> list[web.RouteDef]:
    async def index(_request: web.Request) -> web.StreamResponse:
        about = "a local stand-in for the video service; no real video, no real money"
        return web.json_response({"service": "batchgen sandbox", "about": about, "books": "/sandbox/books"})

    async def books(_request: web.Request) -> web.StreamResponse:
        lines = [dataclasses.asdict(line) | {"charged": float(line.charged)} for line in shop.books()]
        seen = shop.store.counters().get(KEY_SEEN, 0)
        total = sum(line["charged"] for line in lines)
        return web.json_response({"jobs": lines, "charged": total, "faults": shop.struck(), "keys_at_files": seen})

    return [web.get("/", index), web.get("/sandbox/books", books)]


def _dated(shop: VideoService) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def date(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(datetime.fromtimestamp(shop.announced(), UTC), usegmt=True)

    return date


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every refusal the API's own shape; a wrong verb is HTML there."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return bad_answers.error(refusal.status, refusal.text)
    except web.HTTPMethodNotAllowed:
        return bad_answers.html(405, "405 Method Not Allowed")
    except web.HTTPNotFound:
        return bad_answers.error(404, "Not found")


def _gate(shop: VideoService) -> Middleware:
    """Key, rate limit and 429 faults: what stands before every call of the API."""
    passed: deque[float] = deque()

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/" or request.path.startswith(_OPEN):
            return await handler(request)
        _check_key(request, shop.options.key)
        if not _may_pass(passed, shop.options.rpm, shop.now()):
            return bad_answers.refuse("rate429")
        fault = shop.dice.first(*bad_answers.ANY_CALL)
        return bad_answers.refuse(fault) if fault else await handler(request)

    return gate


def _check_key(request: web.Request, wanted: str | None) -> None:
    key = request.headers.get("x-api-key")
    if not key:
        raise Refusal(401, "Missing Authorization or x-api-key in header")
    if wanted is not None and key != wanted:
        raise Refusal(401, "Unauthorized. API key is invalid or may have expired...")


def _may_pass(passed: deque[float], rpm: float, now: float) -> bool:
    """A sliding window of 60 s over the calls that were let through."""
    while passed and passed[0] <= now - 60:
        passed.popleft()
    if rpm and len(passed) >= rpm:
        return False
    passed.append(now)
    return True
