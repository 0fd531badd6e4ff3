"""The page's server: its files, the API that it asks, and the clips. It has no key, and never spends.

GET  /                        the page
GET  /assets/NAME             its scripts and styles
GET  /api/batches             the batches that this server shows
GET  /api/b/NAME/state?since=REV   what changed since (see `state`)
GET  /api/b/NAME/clips/KEY    the panel of one clip
POST /api/b/NAME/choose       {"clip", "set", "base", "cid"} → the change; 409 when another was quicker
GET  /b/NAME/files/PATH?v=V   a file of the batch folder
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from batchgen.errors import BatchgenError, LedgerError, UsageError
from batchgen.review import media
from batchgen.review.choice import to_json
from batchgen.review.guard import COOKIE, HEADER, add_headers, guard, names_of
from batchgen.review.picks import Picks, StaleError
from batchgen.review.state import BatchState, Json, Revision

_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
#: Bytes of a body that is read: a choice is small.
_BODY_MAX: Final = 64 * 1024
#: Seconds between two snapshots of the picks, while there are changes.
_SNAPSHOT_S: Final = 5.0


class ReviewServer:
    """Serves one page over some batches, until it is closed.

    Args:
        folders: the batch folders, by the names that the page shows.
        host: the address to listen at; any but the loopback asks for the token on reads too.
        port: 0 takes a free one.
        token: of this server; by default a new one.
    """

    def __init__(self, folders: Mapping[str, Path], *, host: str = "127.0.0.1", port: int = 0, token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(24)
        self._host, self._port = host, port
        self._picks = {name: Picks(folder, "page") for name, folder in folders.items()}
        self._states = {name: BatchState(folder, self._picks[name]) for name, folder in folders.items()}
        self._runner: web.AppRunner | None = None
        self._saving: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; gives the address to open, token and all.

        Raises:
            OSError: the port is taken, or the address is none of this machine.
        """
        hosts = names_of(self._host)
        app = web.Application(
            middlewares=[_errors, guard(self.token, hosts=hosts, private=self._host != "127.0.0.1")],
            client_max_size=_BODY_MAX,
        )
        app.on_response_prepare.append(add_headers)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        port = self._runner.addresses[0][1]
        self._saving = asyncio.create_task(self._save_now_and_then())
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}/#{self.token}"

    async def close(self) -> None:
        """Stop listening, and write what was chosen to the snapshots."""
        if self._saving is not None:
            self._saving.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        for picks in self._picks.values():
            await asyncio.to_thread(picks.close)

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", partial(_asset, name="index.html")),
            web.get("/assets/{name}", _asset),
            web.post("/api/session", self._session),
            web.get("/api/batches", self._batches),
            web.get("/api/b/{batch}/state", self._state),
            web.get("/api/b/{batch}/clips/{key}", self._panel),
            web.post("/api/b/{batch}/choose", self._choose),
            web.get("/b/{batch}/files/{path:.+}", self._file),
        ]

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_SNAPSHOT_S)
            for picks in self._picks.values():
                await asyncio.to_thread(picks.write_snapshot)

    # --- answers --------------------------------------------------------------------------------------------

    async def _session(self, _request: web.Request) -> web.Response:
        """Give who has the token a cookie, for what the browser asks for by itself."""
        response = web.json_response({"ok": True})
        response.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict", path="/")
        return response

    async def _batches(self, _request: web.Request) -> web.Response:
        return web.json_response({"batches": list(self._states)})

    async def _state(self, request: web.Request) -> web.Response:
        seen = Revision.parse(request.query.get("since", ""))
        found = await asyncio.to_thread(self._of(request).since, seen)
        response = web.json_response(found, dumps=partial(json.dumps, ensure_ascii=False, separators=(",", ":")))
        if len(found["clips"]) > 50:
            response.enable_compression()
        return response

    async def _panel(self, request: web.Request) -> web.Response:
        found = await asyncio.to_thread(self._of(request).panel, request.match_info["key"])
        if found is None:
            raise web.HTTPNotFound
        return web.json_response(found)

    async def _choose(self, request: web.Request) -> web.Response:
        picks = self._of(request).picks
        body = await _object(request)
        clip, changes, base = str(body.get("clip", "")), body.get("set"), body.get("base")
        if not clip or not isinstance(changes, dict) or isinstance(base, bool) or not isinstance(base, int | None):
            raise UsageError('a choice is {"clip": KEY, "set": {…}, "base": REV, "cid": TEXT}')
        change = partial(picks.change, clip, changes, base=base, cid=str(body.get("cid", ""))[:80])
        try:
            made = await asyncio.to_thread(change)
        except StaleError as stale:
            theirs = {name: to_json(name, getattr(stale.now, name)) for name in changes}
            return web.json_response({"error": {"code": 409, "message": str(stale)}, "theirs": theirs,
                                      "rev": stale.changes[-1].rev}, status=409)  # fmt: skip
        return web.json_response({"rev": made.rev if made else picks.rev, "choice": picks[clip].as_json()})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return await media.send(request, self._of(request).folder, request.match_info["path"])

    def _of(self, request: web.Request) -> BatchState:
        try:
            return self._states[request.match_info["batch"]]
        except KeyError:
            raise web.HTTPNotFound from None


async def _object(request: web.Request) -> Json:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UsageError("the body must be a JSON object")
    return body


async def _asset(request: web.Request, name: str = "") -> web.Response:
    name = name or request.match_info["name"]
    kind = _TYPES.get(Path(name).suffix)
    found = files("batchgen.review").joinpath("assets", name)
    if kind is None or "/" in name or not found.is_file():
        raise web.HTTPNotFound
    return web.Response(body=found.read_bytes(), content_type=kind, charset="utf-8")


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's own type
    """Give every refusal one shape, and never a traceback."""
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except UsageError as error:
        return _error(400, str(error))
    except LedgerError as error:
        return _error(503, str(error))
    except (BatchgenError, OSError) as error:
        return _error(500, str(error))
    except web.HTTPException as error:
        return _error(error.status, error.reason)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message}}, status=status)


__all__ = ["HEADER", "ReviewServer"]
