"""What the page asks of its server, and the answers. JSON; errors are `{"error": {"code", "message"}}`.

GET  /api/batches                  the batches that this server shows
GET  /api/b/NAME/state?since=REV   what changed since (see `state`)
GET  /api/b/NAME/clips/KEY         the panel of one clip
POST /api/b/NAME/choose            {"clip", "set", "base", "cid"} → the change; 409 when another was quicker
POST /api/b/NAME/control           {"do": "pause" | "resume" | "stop"} → how the run is to stand; 409 without one
POST /api/b/NAME/skip              {"prompt_id", "skip"} → which pending takes are not made, or are after all
GET  /api/b/NAME/cost              what the picks have cost
POST /api/b/NAME/follow-up         {"lines", "name", "write"} → the cart priced, or written as a manifest with its plan
GET  /b/NAME/files/PATH?v=V        a film of the batch folder
GET  /b/NAME/poster/KEY?v=V        the poster of a finished clip (WebP); 404 while it is not made: then it comes next
GET  /b/NAME/strip/KEY?v=V         eight of its frames in a row
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from functools import partial

from aiohttp import hdrs, web

from batchgen.errors import UsageError
from batchgen.files.findings import picture_names
from batchgen.review import followup_files, live, media
from batchgen.review.batches import Batches
from batchgen.review.choice import to_json
from batchgen.review.followup import cart_lines
from batchgen.review.picks import StaleError
from batchgen.review.state import BatchState, Json, Revision

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
            web.post("/api/b/{batch}/control", self._control),
            web.post("/api/b/{batch}/skip", self._skip),
            web.get("/api/b/{batch}/cost", self._cost),
            web.post("/api/b/{batch}/follow-up", self._follow_up),
            web.get("/b/{batch}/files/{path:.+}", self._file),
            web.get("/b/{batch}/{picture:poster|strip}/{key}", self._picture),
        ]

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"batches": await asyncio.to_thread(self._batches.summaries)}, dumps=_dumps)

    async def _state(self, request: web.Request) -> web.Response:
        batch = await self._of(request)
        body = await asyncio.to_thread(batch.written_since, Revision.parse(request.query.get("since", "")))
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "no-cache"}
        if tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)

    async def _panel(self, request: web.Request) -> web.Response:
        batch = await self._of(request)
        found = await asyncio.to_thread(batch.panel, request.match_info["key"])
        if found is None:
            raise web.HTTPNotFound
        return web.json_response(found, dumps=_dumps)

    async def _choose(self, request: web.Request) -> web.Response:
        batch = await self._of(request)
        picks = batch.picks
        body = await _object(request)
        clip, changes, base = str(body.get("clip", "")), body.get("set"), body.get("base")
        if not clip or not isinstance(changes, dict) or isinstance(base, bool) or not isinstance(base, int | None):
            raise UsageError('a choice is {"clip": KEY, "set": {…}, "base": REV, "cid": TEXT}')
        if not await asyncio.to_thread(batch.has, clip):
            raise UsageError(f"this batch has no clip {clip[:80]!r}")
        change = partial(picks.change, clip, changes, base=base, cid=str(body.get("cid", ""))[:80])
        try:
            made = await asyncio.to_thread(change)
        except StaleError as stale:
            theirs = {name: to_json(name, getattr(stale.now, name)) for name in changes}
            return web.json_response({"error": {"code": 409, "message": str(stale)}, "theirs": theirs,
                                      "rev": stale.changes[-1].rev}, status=409)  # fmt: skip
        return web.json_response({"rev": made.rev if made else picks.rev, "choice": picks[clip].as_json()})

    async def _control(self, request: web.Request) -> web.Response:
        folder, body = (await self._of(request)).folder, await _object(request)
        stands = await asyncio.to_thread(live.control, folder, str(body.get("do", "")))
        return web.json_response({"control": stands})

    async def _skip(self, request: web.Request) -> web.Response:
        batch, body = await self._of(request), await _object(request)
        prompt_id, skip = body.get("prompt_id"), body.get("skip")
        if not isinstance(prompt_id, str) or not isinstance(skip, bool):
            raise UsageError('what is not to be made is {"prompt_id": TEXT, "skip": true}')
        keys = await asyncio.to_thread(partial(live.skip, batch.folder, prompt_id, skip=skip))
        saved = await asyncio.to_thread(batch.price_of, keys)
        return web.json_response({"prompt_id": prompt_id, "clips": len(keys), "saved_usd": saved})

    async def _cost(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread((await self._of(request)).cost), dumps=_dumps)

    async def _follow_up(self, request: web.Request) -> web.Response:
        batch, body = await self._of(request), await _object(request)
        name, write = body.get("name") or "", body.get("write", False)
        if not isinstance(name, str) or not isinstance(write, bool):
            raise UsageError('a follow-up is {"lines": […], "name": TEXT, "write": true}')
        make = partial(followup_files.follow_up, batch.folder, cart_lines(body.get("lines")), name=name, write=write)
        return web.json_response(await asyncio.to_thread(make), dumps=_dumps)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return await media.send(request, (await self._of(request)).folder, request.match_info["path"])

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        batch = await self._of(request)
        film = await asyncio.to_thread(batch.film_of, request.match_info["key"])
        if film is None:
            raise web.HTTPNotFound
        if await asyncio.to_thread(batch.checks.posters.look_up, film.sha256) is None:
            batch.checks.posters.want([film])  # somebody looks at it
            raise web.HTTPNotFound
        poster, strip = picture_names(film.sha256)
        return await media.send(request, batch.folder, poster if request.match_info["picture"] == "poster" else strip)

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
