"""Segmind: submit, status, result, request history, upload, balance.

All URLs are built from the configured addresses and the request id, never taken from an answer. The wire is in `http`,
the meaning of refusals in `errors`, of bodies in `jobs` and `parse`. The `X-Initiator` header of the vendor's SDK is
optional and is not sent.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from yarl import URL

from batchgen import __version__
from batchgen.errors import (
    ClipError,
    DeadLink,
    ServerError,
    TryAgain,
    UnknownError,
    Unreachable,
    UnsureError,
    UsageError,
)
from batchgen.money import to_micro
from batchgen.providers.base import (
    Accepted,
    Capabilities,
    HistoryAccess,
    HistoryRow,
    Idempotency,
    Outcome,
    Source,
)
from batchgen.providers.segmind.errors import get_error, submit_error, too_many, upload_error
from batchgen.providers.segmind.history import SegmindHistory, row_of
from batchgen.providers.segmind.http import ExchangeFailed, Http, address
from batchgen.providers.segmind.jobs import read_inline, read_outcome
from batchgen.providers.segmind.parse import Answer, find_link, mapping, request_id_in
from batchgen.proxy import SystemProxy
from batchgen.redact import Redactor

DEFAULT_BASE: Final = "https://api.segmind.com"
_HISTORY_HOST: Final = "https://api.spotprod.segmind.com"
_UPLOAD_HOST: Final = "https://workflows-api.segmind.com"
_HISTORY_PATH: Final = "/inference-request/request-history"
_UPLOAD_PATH: Final = "/upload-asset"
_UPLOAD_TIMEOUT_S: Final = 600.0  #: 20 MB of base64 over a slow line
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_AUDIO: Final[Mapping[str, str]] = {".wav": "audio/wav", ".mp3": "audio/mpeg"}


#: By its own pages: a record lives an hour from the submission, a file seven days, a usual account makes 50 calls a
#: minute (docs.segmind.com: async-inference, logging, rate-limits); wan 2.5 takes seeds up to 2^31 - 1.
CAPABILITIES: Final = Capabilities(
    failures_free=True,
    idempotency=Idempotency.NONE,
    history=HistoryAccess.WITH_INPUTS,
    record_s=3600.0,
    file_s=7 * 86400.0,
    calls_per_minute=50.0,
    seeds=(0, 2**31 - 1),
)


class Key(Protocol):
    """The API key, kept so that no repr shows it: `batchgen.redact.Secret`, or pydantic's `SecretStr`."""

    def get_secret_value(self) -> str:
        """The key itself."""
        ...


class Segmind:
    """The provider. Enter it before use: it owns one HTTP session.

    Args:
        key: any shape is tried; printable, without spaces.
        base_url: the API's origin, with or without `/v1` or `/v2`. Request history and upload move to it
            too when it is not the default one.
        history_url, upload_url: another origin, or the whole URL, of these two.
        submit_timeout_s, get_timeout_s: for one exchange, connecting included.
        connect_timeout_s: for connecting, DNS and TLS included.
        proxy: the way out; by default straight.

    Raises:
        UsageError: an address or the key can't be used; the key is not shown.
    """

    name = "segmind"
    capabilities = CAPABILITIES

    def __init__(
        self,
        key: Key,
        *,
        base_url: str = DEFAULT_BASE,
        history_url: str | None = None,
        upload_url: str | None = None,
        submit_timeout_s: float = 30.0,
        get_timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
        user_agent: str = f"batchgen/{__version__}",
        proxy: SystemProxy | None = None,
    ) -> None:
        secret = _checked(key.get_secret_value())
        self._base = address(re.sub(r"/v\d+/*$", "", base_url.strip().rstrip("/")), "the API")
        moved = None if self._base.origin() == URL(DEFAULT_BASE) else str(self._base)
        self._history = _endpoint(history_url or moved or _HISTORY_HOST, _HISTORY_PATH, "the request history")
        self._upload = _endpoint(upload_url or moved or _UPLOAD_HOST, _UPLOAD_PATH, "the upload")
        self._root = str(self._base).rstrip("/")
        self.origin = str(self._base.origin())
        self._submit_timeout_s = submit_timeout_s
        self._get_timeout_s = get_timeout_s
        self._http = Http(
            secret,
            frozenset(url.origin() for url in (self._base, self._history, self._upload)),
            redact=Redactor([secret]).redact,
            user_agent=user_agent,
            connect_timeout_s=connect_timeout_s,
            proxy=proxy or SystemProxy(),
        )

    async def __aenter__(self) -> Segmind:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)

    async def submit(self, model: str, params: Mapping[str, Any], key: str = "") -> Accepted:  # noqa: ARG002
        """POST one paid job, once; see `Provider.submit`. The service knows no keys, so none is sent."""
        url, body = self._at("v2", model), _json(params)
        answer = await self._http.ask("POST", url, body=body, timeout_s=self._submit_timeout_s)
        if isinstance(answer, ExchangeFailed):
            raise _not_sent("submit", answer) or UnsureError(f"submit: no answer: {answer.text}")
        if not answer.ok:
            raise submit_error(answer, time.time())
        request_id = request_id_in(answer.data())
        if request_id is None:
            said = f"submit: HTTP {answer.status} without a request_id: {answer.message()}"
            raise UnsureError(said, status=answer.status)
        return Accepted(request_id)

    async def status(self, request_id: str) -> Outcome:
        """Ask how far a job is; see `Provider.status`. A `Completed` of here never has a link."""
        answer = await self._get("status", self._at("v2", "requests", request_id, "status"))
        return read_outcome("status", answer, links=False)

    async def result(self, request_id: str) -> Outcome:
        """Fetch the link; see `Provider.result`. Of an answer that is the video the link is its own address."""
        url = self._at("v2", "requests", request_id)
        answer = await self._get("result", url)
        return read_inline(answer, str(url)) if answer.ok and answer.video else read_outcome("result", answer)

    def video(self, url: str) -> Source | None:
        """Open a result whose answer is the video; see `Provider.video`."""
        start, _, name = url.rpartition("/")
        own = start == f"{self._root}/v2/requests" and name and not set("?#") & set(name)
        return partial(self._open, URL(url, encoded=True)) if own else None

    @asynccontextmanager
    async def _open(self, url: URL) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._http.open(url, timeout_s=self._get_timeout_s) as opened:
            if isinstance(opened, ExchangeFailed):
                raise _not_sent("result", opened) or ServerError(f"result: no answer: {opened.text}")
            if not isinstance(opened, Answer):
                yield opened
            elif opened.ok or opened.status == 404:
                raise DeadLink(f"result: no video (any more): HTTP {opened.status}")
            else:
                raise get_error("result", opened, time.time())

    @property
    def server_time(self) -> float | None:
        """The service's clock by its latest answer, in epoch seconds; None when it did not say."""
        return self._http.server_time

    @property
    def clock_off_s(self) -> float | None:
        """How far the service's clock is ahead of ours; see `Provider.clock_off_s`."""
        return self._http.clock_off_s

    async def balance(self) -> int:
        """Credits of the account, free ones included, in micro-dollars; an account without any has 0."""
        answer = await self._get("balance", self._at("v1", "get-user-credits"))
        data = answer.data()
        if answer.status == 404 and "no credits" in answer.message().lower():
            return 0
        paid, free = (to_micro(mapping(data).get(name), debt=True) for name in ("credits", "free-credits"))
        if answer.ok and paid is not None:
            return max(0, paid + (free or 0))
        raise get_error("balance", answer, time.time())

    async def upload(self, path: Path) -> str:
        """Upload a wav or mp3 file and return its URL; see `Provider.upload`."""
        body = await asyncio.to_thread(_data_url_body, path)
        answer = await self._http.ask("POST", self._upload, body=body, timeout_s=_UPLOAD_TIMEOUT_S)
        if isinstance(answer, ExchangeFailed):
            raise _not_sent("upload", answer) or ServerError(f"upload: no answer: {answer.text}")
        if not answer.ok:
            raise upload_error(answer, time.time())
        link = find_link(answer.data())
        if link is None:
            raise ServerError(f"upload: no URL in the answer: {answer.message()}", status=answer.status)
        return link

    async def lookup(self, request_id: str) -> HistoryRow | None:
        """Find one request of any age by its id; see `Provider.lookup`."""
        answer = await self._ask_history(self._history.joinpath(_segment(request_id), encoded=True))
        return row_of(answer, request_id)

    def history(self, model: str, since: float, until: float) -> SegmindHistory:
        """Requests for `model` in a window; see `Provider.history`.

        The days at both ends are read whole, and one more on each side, since the service does not say in
        which zone it counts them; its filter takes part of a name for a match. So there may be more rows
        than were asked for, never fewer. `whole` is False when a row could not be read, fewer rows came
        than the service says there are, or the 200 pages that are read at most did not suffice.
        """

        async def page(query: Mapping[str, str]) -> Answer:
            return await self._ask_history(self._history.with_query(query))

        return SegmindHistory(page, model, since, until)

    async def _get(self, what: str, url: URL) -> Answer:
        answer = await self._http.ask("GET", url, timeout_s=self._get_timeout_s)
        if isinstance(answer, ExchangeFailed):
            raise _not_sent(what, answer) or ServerError(f"{what}: no answer: {answer.text}")
        return answer

    async def _ask_history(self, url: URL) -> Answer:
        answer = await self._http.ask("GET", url, timeout_s=self._get_timeout_s)
        if isinstance(answer, ExchangeFailed):
            unsent = _not_sent("request history", answer)
            raise unsent or UnknownError(f"request history: no answer: {answer.text}")
        if refusal := too_many("request history", answer, time.time()):
            raise refusal
        return answer

    def _at(self, *segments: str) -> URL:
        return URL("/".join([self._root, *map(_segment, segments)]), encoded=True)


def _not_sent(what: str, trouble: ExchangeFailed) -> TryAgain | None:
    return None if trouble.sent else Unreachable(f"{what}: {trouble.text}", needs_user=trouble.needs_user)


def _segment(text: str) -> str:
    """One segment of a path, percent-encoded; dots alone would climb the tree."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = quote(text, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _endpoint(text: str, path: str, what: str) -> URL:
    url = address(text, what)
    return url if url.path.endswith(path) else url.joinpath(path.lstrip("/"))


def _checked(key: str) -> str:
    if not key:
        raise UsageError("the API key is empty: set SEGMIND_API_KEY")
    if not key.isprintable() or any(char.isspace() or ord(char) > 255 for char in key):
        raise UsageError("the API key contains a space, a line break or another character that no header can carry")
    return key


def _json(params: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(params), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise ClipError("the parameters can't be written as JSON: a value is not allowed there") from None


def _data_url_body(path: Path) -> bytes:
    kind = _AUDIO.get(path.suffix.lower())
    if kind is None:
        raise ClipError(f"{path.name}: only wav and mp3 can be uploaded")
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise ClipError(f"{path.name}: can't be read: {error.strerror}") from None
    return _json({"data_urls": [f"data:{kind};base64,{content}"]})
