"""The page's server: it listens, serves the page and its assets, and gives every answer one shape. `api` answers.

It has no key, and never spends.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiohttp import ETag, hdrs, web

from batchgen.errors import BatchgenError, LedgerError, UsageError
from batchgen.review.api import PageApi
from batchgen.review.batches import Batches
from batchgen.review.guard import COOKIE, add_headers, guard, is_loopback, names_of
from batchgen.review.live import NoRunError

log = logging.getLogger("batchgen.review")

_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
#: Bytes of a body that is read: a choice is small, and so is a cart.
_BODY_MAX: Final = 256 * 1024
#: A text of so many bytes is sent compressed: of a shorter one the headers would be most.
_COMPRESS_MIN: Final = 1024
#: Seconds between two snapshots of the picks, while there are changes.
_SNAPSHOT_S: Final = 5.0


class ReviewServer:
    """Serves one page over some batches.

    Args:
        batches: that it shows.
        host: the address to listen at; any but the loopback asks for the token on reads too.
        port: 0 takes a free one.
        token: of this server; by default a new one.
    """

    def __init__(self, batches: Batches, *, host: str = "127.0.0.1", port: int = 0, token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(24)
        self._batches, self._host, self._port = batches, host, port

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen for as long as the block lasts; gives the address to open, token and all. Closes the batches.

        Raises:
            OSError: the port is taken, or the address is none of this machine.
        """
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            port = runner.addresses[0][1]
            host = f"[{self._host}]" if ":" in self._host else self._host
            async with asyncio.TaskGroup() as tasks:
                saving = tasks.create_task(self._save_now_and_then())
                try:
                    yield f"http://{host}:{port}/#{self.token}"
                finally:
                    saving.cancel()
        finally:
            await runner.cleanup()
            await asyncio.to_thread(self._batches.close)

    def _app(self) -> web.Application:
        private = not is_loopback(self._host)
        check = guard(self.token, hosts=names_of(self._host), private=private)
        app = web.Application(middlewares=[_compress, _errors, check], client_max_size=_BODY_MAX)
        app.on_response_prepare.append(add_headers)
        app.add_routes([
            web.get("/", partial(_asset, name="index.html")),
            web.get("/assets/{name}", _asset),
            web.post("/api/session", self._session),
            *PageApi(self._batches).routes(),
        ])  # fmt: skip
        return app

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_SNAPSHOT_S)
            await asyncio.to_thread(self._batches.save)

    async def _session(self, _request: web.Request) -> web.Response:
        """Give who has the token a cookie, for what the browser asks for by itself."""
        response = web.json_response({"ok": True})
        response.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict", path="/")
        return response


async def _asset(request: web.Request, name: str = "") -> web.Response:
    name = name or request.match_info["name"]
    kind = _TYPES.get(Path(name).suffix)
    found = files("batchgen.review").joinpath("assets", name)
    if kind is None or "/" in name or not found.is_file():
        raise web.HTTPNotFound
    body = found.read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:16]
    same = any(known.value in {tag, "*"} for known in request.if_none_match or ())
    response = web.Response(status=304) if same else web.Response(body=body, content_type=kind, charset="utf-8")
    response.etag = ETag(tag, is_weak=True)  # weak: it is of the bytes before they are compressed
    response.headers[hdrs.CACHE_CONTROL] = "no-cache"  # kept, and asked about each time: a new release shows at once
    return response


@web.middleware
async def _compress(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's own type
    """Send texts of some length compressed, to whoever takes that; films and pictures are as small as they get."""
    answer: web.StreamResponse = await handler(request)
    texts = {*_TYPES.values(), "application/json"}
    if isinstance(answer, web.Response) and answer.content_type in texts:
        answer.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        if (answer.content_length or 0) >= _COMPRESS_MIN:
            answer.enable_compression()
    return answer


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's own type
    """Give every refusal one shape, and never a traceback."""
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except (LedgerError, sqlite3.Error) as error:
        return _error(503, str(error) if isinstance(error, LedgerError) else f"the ledger can't be read: {error}")
    except NoRunError as error:
        return _error(409, str(error))
    except UsageError as error:
        return _error(400, str(error))
    except (BatchgenError, OSError) as error:
        return _error(500, str(error))
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except Exception:
        log.exception("the page's server failed at %s %s", request.method, request.path)
        return _error(500, "a fault of batchgen: the terminal of `batchgen review` says more")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message}}, status=status)
