"""One HTTP exchange with Segmind: the key only where it belongs, bounded, never sent twice.

`Http.ask` gives an `Answer`, or a `ExchangeFailed` that says whether the request may have left this machine. It
never raises for what the network does, so no exception of aiohttp, whose `repr` holds the headers, can be
chained to one of ours.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from batchgen.errors import ServerError, UsageError
from batchgen.providers.segmind.parse import Answer, is_video, plain

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

BODY_MAX: Final = 1 << 20  #: bytes of an answer that are read
log = logging.getLogger("batchgen.http")

_IDLE_S: Final = 2.0  #: a connection that idled longer may be dead: its loss would look like a lost answer
#: aiohttp's parser errors are no `ClientError`, and what of them surfaces differs by release.
_TROUBLE: Final = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError)
_Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


@dataclass(frozen=True, slots=True)
class ExchangeFailed:
    """No answer. `sent` is False only when there never was a connection, so that nothing can have left."""

    sent: bool
    text: str


@dataclass(slots=True)
class _Attempt:
    connected: bool = False
    response: aiohttp.ClientResponse | None = None

    def close(self) -> None:
        if self.response is not None:
            self.response.close()


#: The exchange that this task is in.
_exchange: ContextVar[_Attempt] = ContextVar("exchange")


class _Connector(aiohttp.TCPConnector):
    """Marks the exchange as connected: no class of exception says that as surely.

    So would a trace, but that costs a tenth of an exchange.
    """

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        _exchange.get().connected = True
        return connection


class Http:
    """The one session for the API. Enter it before use; leaving it closes every connection.

    Args:
        key: goes on as `x-api-key`, only to `origins`, by a middleware: aiohttp carries session headers to
            wherever a redirect points.
        redact: applied to every text that leaves.
    """

    def __init__(
        self,
        key: str,
        origins: frozenset[URL],
        *,
        redact: Callable[[str], str],
        user_agent: str,
        connect_timeout_s: float,
        trust_env: bool,
    ) -> None:
        self._guard = _guard(key, origins)
        self._redact = redact
        self._user_agent = user_agent
        self._connect_timeout_s = connect_timeout_s
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self.last_headers: Mapping[str, str] = {}  #: of the latest answer

    async def __aenter__(self) -> Http:
        self._session = aiohttp.ClientSession(
            # The pacer and the slots in flight bound the calls; a pool limit would only hide a wait.
            connector=_Connector(limit=0, ttl_dns_cache=300, keepalive_timeout=_IDLE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
            middlewares=(self._guard,),
            trust_env=self._trust_env,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, method: str, url: URL, *, timeout_s: float, body: bytes | None = None
    ) -> Answer | ExchangeFailed:
        """Make one exchange, within `timeout_s` in all; redirects are answers, not followed."""
        if self._session is None:
            raise RuntimeError("the provider is used outside its `async with`")
        attempt = _Attempt()
        _exchange.set(attempt)
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=min(self._connect_timeout_s, timeout_s)),
                allow_redirects=False,
            ) as response:
                answer = await self._answer(response)
            log.debug("%s %s: %s, %d bytes", method, url.path, answer.status, len(answer.body))
            return answer
        except _TROUBLE as error:
            text = self._text(error)
        log.debug("%s %s: no answer: %s", method, url.path, text)
        return ExchangeFailed(attempt.connected, text)

    @asynccontextmanager
    async def open(
        self, url: URL, *, timeout_s: float
    ) -> AsyncIterator[Answer | ExchangeFailed | AsyncIterator[bytes]]:
        """GET what may be a video, and give its bytes as they come, which raise TryAgain when they break off.

        Within `timeout_s` it must begin, and no byte may be longer in coming. What is no video is an answer, as
        `ask` gives it.
        """
        attempt = _Attempt()
        opened: Answer | ExchangeFailed | AsyncIterator[bytes]
        timeout = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s, sock_read=timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._get(url, timeout, attempt)
                first = await response.content.readany() if response.ok else b""
            video = is_video(response.content_type.lower(), first)
            opened = self._pieces(first, response) if video else await self._answer(response, first)
        except _TROUBLE as error:
            opened = ExchangeFailed(attempt.connected, self._text(error))
        try:
            yield opened
        finally:
            attempt.close()

    async def _get(self, url: URL, timeout: aiohttp.ClientTimeout, attempt: _Attempt) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the provider is used outside its `async with`")
        _exchange.set(attempt)
        attempt.response = await self._session.get(url, timeout=timeout, allow_redirects=False)
        return attempt.response

    async def _pieces(self, first: bytes, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        yield first
        try:
            async for piece in response.content.iter_any():
                yield piece
        except _TROUBLE as error:
            raise ServerError(f"result: the video broke off: {self._text(error)}") from None

    def _text(self, error: BaseException) -> str:
        if isinstance(error, aiohttp.ClientConnectorError) and (error.os_error.errno or 0) > 0:
            return f"{os.strerror(error.os_error.errno or 0).lower()} ({error.host}:{error.port})"
        return self._redact(plain(f"{type(error).__name__}: {error}".rstrip(": ")))[:300]

    async def _answer(self, response: aiohttp.ClientResponse, first: bytes = b"") -> Answer:
        body = bytearray(first)
        whole = await _drain(response, body)
        self.last_headers = response.headers
        video = is_video(response.content_type.lower(), bytes(body[:16]))
        kept = bytes(body) if len(body) <= BODY_MAX and not video else b""
        return Answer(response.status, kept, response.headers, whole, self._redact, video)


async def _drain(response: aiohttp.ClientResponse, into: bytearray) -> bool:
    """Read what comes within bounds, and say whether it came whole: the status line alone is worth keeping."""
    try:
        while not response.content.at_eof():
            into += await response.content.readany()
            if len(into) > BODY_MAX or is_video("", bytes(into[:16])):
                response.close()
                return False
    except _TROUBLE:
        return False
    return True


def _guard(key: str, origins: frozenset[URL]) -> Callable[[Any, _Handler], Awaitable[aiohttp.ClientResponse]]:
    async def guard(request: aiohttp.ClientRequest, handler: _Handler) -> aiohttp.ClientResponse:
        # A `default` entry of a .netrc would send another service's password.
        request.headers.pop("Authorization", None)
        if request.url.origin() in origins:
            request.headers["x-api-key"] = key
        return await handler(request)

    return guard


# --- addresses -----------------------------------------------------------------------------------------


def address(text: str, what: str) -> URL:
    """Check an address of the service and cut its trailing slashes.

    Raises:
        UsageError: no http(s) URL; plain http to another host than this one; a name, password, query or
            fragment in it (the text is not shown then, since it may hold a secret).
    """
    try:
        url = URL(text.strip().rstrip("/"))
        host, origin = url.host, url.origin()
    except ValueError:
        host, origin = None, URL()
    if not host or origin.scheme not in {"http", "https"}:
        raise UsageError(f"the address of {what} is not an http or https URL")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise UsageError(f"the address of {what} must not have a user name, password, query or fragment")
    if url.scheme == "http" and not is_loopback(url):
        raise UsageError(f"the address of {what} must be https, except on this machine: {origin}")
    return url.with_port(None) if url.is_default_port() else url


def is_loopback(url: URL) -> bool:
    """True for this machine itself: 127.0.0.0/8, ::1, localhost."""
    try:
        return url.host == "localhost" or ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return False
