"""The calls of the API: submit, status, result, balance, upload."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
import mimetypes
import re

from aiohttp import web

from batchgen.money import exact_usd
from batchgen.sandbox import answers, bad_answers
from batchgen.sandbox.protocol import Refusal
from batchgen.sandbox.service import VideoService
from batchgen.sandbox.store import Job

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,(.*)", re.DOTALL)
#: Results of a job that are FAILED by the fault `contradicts`, before the true one.
_LIES = 2


class Api:
    """Handlers; each answers as the real service does, save where a fault strikes."""

    def __init__(self, shop: VideoService) -> None:
        self._shop = shop
        self._turns = itertools.count()

    def routes(self) -> list[web.RouteDef]:
        """What this part serves."""
        return [
            web.post("/v2/{model}", self.submit),
            web.get("/v1/requests/{id}", self.status),
            web.get("/v2/requests/{id}/status", self.status),
            web.get("/v2/requests/{id}", self.result),
            web.get("/v1/get-user-credits", self.balance),
            web.post("/upload-asset", self.upload),
        ]

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Accept one paid job; it is on disk before the answer."""
        params = await _json(request)
        if (fault := self._shop.dice.first(*bad_answers.BEFORE_ACCEPTING)) is not None:
            return bad_answers.refuse(fault)
        job = self._shop.accept(request.match_info["model"], params)
        answer = answers.accepted(job, origin(request))
        if (fault := self._shop.dice.first(*bad_answers.AFTER_ACCEPTING)) is not None:
            return await bad_answers.spoil(fault, request, answer)
        return web.json_response(answer)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Say how far a job is; 422 when it FAILED."""
        job, now = self._record(request), self._shop.now()
        if self._shop.dice.strikes("poll_trouble"):
            return bad_answers.trouble(request, next(self._turns))
        body = answers.status(job, now, origin(request), self._shop.balance())
        return web.json_response(body, status=_code(body))

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Give the link of a completed job; 422 when it FAILED."""
        job, now = self._record(request), self._shop.now()
        if self._shop.dice.strikes("poll_trouble"):
            return bad_answers.trouble(request, next(self._turns))
        if job.has("contradicts") and job.state(now) == "COMPLETED" and self._shop.store.link(job.request_id) <= _LIES:
            body = answers.failed(job)
        else:
            body = answers.result(job, now, origin(request), self._shop.balance(), link(self._shop, job, request))
        return web.json_response(body, status=_code(body))

    async def balance(self, _request: web.Request) -> web.StreamResponse:
        """Give the credits; what is reserved for jobs in flight can't be seen in them."""
        return web.json_response({"credits": exact_usd(self._shop.balance()), "free-credits": 0.0})

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Keep files that came as data URLs, by their content's hash."""
        body = await _json(request)
        urls = body.get("data_urls") if isinstance(body, dict) else None
        if not isinstance(urls, list) or not urls:
            raise Refusal(400, "Bad request: 'data_urls' is required")
        kept = [f"{origin(request)}/assets/{self._keep(url)}" for url in urls]
        return web.json_response({"file_urls": kept, "message": "Files uploaded successfully"})

    def _record(self, request: web.Request) -> Job:
        """Find a job that the service still has a record of."""
        job = self._shop.store.get(request.match_info["id"])
        now = self._shop.now()
        gone = job is None or now > job.submitted_at + self._shop.options.record_ttl_s
        vanished = job is not None and job.has("vanish") and job.state(now) in {"COMPLETED", "FAILED"}
        if job is None or gone or vanished:
            raise Refusal(404, f"Request {request.match_info['id']} not found")
        return job

    def _keep(self, url: object) -> str:
        match = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
        if match is None:
            raise Refusal(400, "Bad request: not a base64 data URL")
        try:
            content = base64.b64decode(match[2], validate=True)
        except binascii.Error:
            raise Refusal(400, "Bad request: not valid base64") from None
        name = hashlib.sha256(content).hexdigest() + (mimetypes.guess_extension(match[1]) or ".bin")
        (self._shop.assets / name).write_bytes(content)
        return name


def origin(request: web.Request) -> str:
    """The address that the client reached us by, so that links hold after a restart on another port."""
    return f"{request.scheme}://{request.host}"


def link(shop: VideoService, job: Job, request: web.Request) -> str | None:
    """Give the link of a completed job; with the fault `expired_link` each one given is a new one."""
    if job.state(shop.now()) != "COMPLETED" or job.has("no_output"):
        return None
    if job.has("odd_link"):
        return f"{origin(request)}/films/{job.request_id}/my film"
    url = f"{origin(request)}/files/{job.request_id}.mp4"
    return f"{url}?link={shop.store.link(job.request_id)}" if job.has("expired_link") else url


def _code(body: answers.Json) -> int:
    return 422 if body["status"] == "FAILED" else 200


async def _json(request: web.Request) -> object:
    if request.content_type != "application/json":
        raise Refusal(406, "Invalid content type")
    try:
        return json.loads(await request.read())
    except ValueError:
        raise Refusal(400, "Bad request: the body is not valid JSON") from None
