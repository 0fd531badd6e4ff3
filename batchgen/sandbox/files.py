"""The file host: MP4s and uploaded assets, with Range and ETag, without a key, and with its own faults."""

from __future__ import annotations

import asyncio
import base64
import uuid
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from batchgen.sandbox import bad_answers
from batchgen.sandbox.service import VideoService
from batchgen.sandbox.store import Job

_FAULTS = (
    "forbidden", "private", "mislabelled", "truncated", "garbage", "slow", "stall", "no_length", "no_range",
    "etag_changes", "redirect",
)  # fmt: skip
#: The counter of requests for a file that carried a key.
KEY_SEEN = "key at the file host"
_KEYS = {"x-api-key", "authorization", "cookie"}
#: The smallest PNG.
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
_SLOW_S, _PIECES = 1.5, 30
_ENDLESS_S = 86_400.0


class Files:
    """Handlers of `/files` and `/assets`."""

    def __init__(self, shop: VideoService) -> None:
        self._shop = shop

    def routes(self) -> list[web.RouteDef]:
        """What this part serves."""
        return [
            web.get("/files/{id}.mp4", self.video),
            web.get("/files/cover.png", self.cover),
            web.get("/films/{id}/{name}", self.video),
            web.get("/assets/{name}", self.asset),
        ]

    async def video(self, request: web.Request) -> web.StreamResponse:
        """Give a job's file while it lives; 404 afterwards, 403 by a link that is dead."""
        self._count_keys(request)
        job = self._shop.store.get(request.match_info["id"])
        if job is None or not self._lives(job):
            return bad_answers.html(404, "404 Not Found")
        if job.has("expired_link") and request.query.get("link", "1") == "1":
            return bad_answers.html(403, "403 Forbidden")
        path = self._shop.files / f"{job.request_id}.mp4"
        fault = None if request.method == hdrs.METH_HEAD or "hop" in request.query else self._fault()
        return await _faulty(fault, request, path) if fault else await _served(request, path)

    async def cover(self, _request: web.Request) -> web.StreamResponse:
        """Give the picture that stands before a film by the fault `odd_link`."""
        return web.Response(body=_PIXEL, content_type="image/png")

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Give an uploaded file."""
        self._count_keys(request)
        path = self._shop.assets / Path(request.match_info["name"]).name
        return web.FileResponse(path) if path.is_file() else bad_answers.html(404, "404 Not Found")

    def _lives(self, job: Job) -> bool:
        now = self._shop.now()
        ended = job.ended_at
        return (
            ended is not None
            and job.state(now) == "COMPLETED"
            and now <= ended + self._shop.options.file_ttl_s
            and (self._shop.files / f"{job.request_id}.mp4").is_file()
        )

    def _count_keys(self, request: web.Request) -> None:
        """A file host has no business with a key: one that is sent here is written into the books."""
        if _KEYS & {name.lower() for name in request.headers}:
            self._shop.store.chance(KEY_SEEN)

    def _fault(self) -> str | None:
        return self._shop.dice.first(*_FAULTS)


def _etag(path: Path) -> str:
    """The tag that `web.FileResponse` gives to this file."""
    stat = path.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


async def _served(request: web.Request, path: Path) -> web.StreamResponse:
    """Serve as it should be. FileResponse knows If-Range as a date only, so a tag is checked here."""
    if request.headers.get(hdrs.IF_RANGE, _etag(path)) == _etag(path):
        return web.FileResponse(path)
    headers = request.headers.copy()
    headers.popall(hdrs.RANGE, None)
    response = web.FileResponse(path)
    await response.prepare(request.clone(headers=headers))
    return response


# --- faults -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """The bytes that a request asks for, and how to announce them."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, request: web.Request, path: Path, tag: str, *, ranges: bool = True) -> _Part:
        content = path.read_bytes()
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: "video/mp4", hdrs.ETAG: tag}
        start = _start(request, tag) if ranges else 0
        if not 0 < start < len(content):
            return cls(200, headers, content)
        headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return cls(206, headers, content[start:])


def _start(request: web.Request, tag: str) -> int:
    """Where an open-ended Range begins; 0 for none, or when If-Range names another version."""
    if request.headers.get(hdrs.IF_RANGE, tag) != tag:
        return 0
    try:
        return request.http_range.start or 0
    except ValueError:
        return 0


async def _faulty(fault: str, request: web.Request, path: Path) -> web.StreamResponse:
    if fault == "forbidden":
        return bad_answers.html(403, "403 Forbidden")
    if fault == "private":
        return web.Response(status=302, headers={hdrs.LOCATION: "http://192.168.1.1/login"})
    if fault == "garbage":
        return bad_answers.html(200, "We'll be right back")
    if fault == "redirect":
        return web.Response(status=302, headers={hdrs.LOCATION: str(request.rel_url.update_query(hop="1"))})
    tag = f'"{uuid.uuid4().hex}"' if fault == "etag_changes" else _etag(path)
    part = _Part.of(request, path, tag, ranges=fault != "no_range")
    if fault == "mislabelled":
        part.headers[hdrs.CONTENT_ENCODING] = "gzip"
    response = web.StreamResponse(status=part.status, headers=part.headers)
    if fault == "no_length":
        response.enable_chunked_encoding()
    else:
        response.content_length = len(part.body)
    await response.prepare(request)
    await _send(fault, request, response, part.body)
    return response


async def _send(fault: str, request: web.Request, response: web.StreamResponse, body: bytes) -> None:
    half = len(body) // 2
    if fault == "slow":
        step = len(body) // _PIECES + 1
        for at in range(0, len(body), step):
            await response.write(body[at : at + step])
            await asyncio.sleep(_SLOW_S / _PIECES)
    elif fault in {"truncated", "stall"}:
        await response.write(body[:half])
        if fault == "stall":
            await asyncio.sleep(_ENDLESS_S)
        if request.transport is not None:
            request.transport.close()
    else:
        await response.write(body)
