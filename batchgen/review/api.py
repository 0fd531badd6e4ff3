"""What the page asks of its server, and the answers. JSON; errors are `{"error": {"code", "message"}}`.

GET  /api/batches                  the batches that this server shows
GET  /api/b/NAME/state?since=REV   what changed since (see `state`)
GET  /api/b/NAME/clips/KEY         the panel of one clip
POST /api/b/NAME/choose            {"clip", "set", "base", "cid"} → the change; 409 when another was quicker
GET  /b/NAME/files/PATH?v=V        a film of the batch folder
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from batchgen.errors import UsageError
from batchgen.review import media
from batchgen.review.batches import Batches
from batchgen.review.choice import to_json
from batchgen.review.picks import StaleError
from batchgen.review.state import BatchState, Json, Revision

#: A list of so many clips is sent compressed.
_MANY: Final = 50
_dumps = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))


class PageApi:
    """Answers the page.

    Args:
        batches: that there are.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def routes(self) -> list[web.RouteDef]:
        """Give who answers what."""
        return [
            web.get("/api/batches", self._list),
            web.get("/api/b/{batch}/state", self._state),
            web.get("/api/b/{batch}/clips/{key}", self._panel),
            web.post("/api/b/{batch}/choose", self._choose),
            web.get("/b/{batch}/files/{path:.+}", self._file),
        ]

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"batches": await asyncio.to_thread(self._batches.names)})

    async def _state(self, request: web.Request) -> web.Response:
        batch = await self._of(request)
        found = await asyncio.to_thread(batch.since, Revision.parse(request.query.get("since", "")))
        response = web.json_response(found, dumps=_dumps)
        if len(found["clips"]) > _MANY:
            response.enable_compression()
        return response

    async def _panel(self, request: web.Request) -> web.Response:
        batch = await self._of(request)
        found = await asyncio.to_thread(batch.panel, request.match_info["key"])
        if found is None:
            raise web.HTTPNotFound
        return web.json_response(found, dumps=_dumps)

    async def _choose(self, request: web.Request) -> web.Response:
        picks = (await self._of(request)).picks
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
        return await media.send(request, (await self._of(request)).folder, request.match_info["path"])

    async def _of(self, request: web.Request) -> BatchState:
        try:
            return await asyncio.to_thread(self._batches.get, request.match_info["batch"])
        except KeyError:
            raise web.HTTPNotFound from None


async def _object(request: web.Request) -> Json:
    """Read the body. Raises UsageError when it is no JSON object."""
    if request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower() != "application/json":
        raise UsageError("the body must be application/json")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UsageError("the body must be a JSON object")
    return body
