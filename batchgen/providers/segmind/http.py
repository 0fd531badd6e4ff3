"""One HTTP exchange with Segmind: the key only where it belongs, bounded, never sent twice.

`Http.ask` gives an `Answer`, or a `ExchangeFailed` that says whether the request may have left this machine. It
never raises for what the network does, so no exception of aiohttp, whose `repr` holds the headers, can be
chained to one of ours.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from batchgen.errors import ServerError, UsageError
from batchgen.network_words import explain
from batchgen.providers.segmind.parse import Answer, is_video, plain
from batchgen.proxy import SystemProxy, is_loopback
from batchgen.retry import http_date

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

BODY_MAX: Final = 1 << 23  #: bytes of an answer that are read: a page of the history passes 1 MiB
HEADER_MAX: Final = 65_536  #: bytes of one header or line: cookies and policies of real gateways pass 8 KiB
log = logging.getLogger("batchgen.http")

_IDLE_S: Final = 2.0  #: a connection that idled longer may be dead: its loss would look like a lost answer
#: aiohttp's parser errors are no `ClientError`, and what of them surfaces differs by release.
_TROUBLE: Final = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError)
_Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


@dataclass(frozen=True, slots=True)
class ExchangeFailed:
    """No answer. `sent` is False only when there never was a connection, so that nothing can have left.

    `needs_user` is True when waiting can't help: a certificate, a proxy's refusal.
    """

    sent: bool
    text: str
    needs_user: bool = False


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
        proxy: SystemProxy,
    ) -> None:
        self._key = key
        self._origins = origins
        self._redact = redact
        self._user_agent = user_agent
        self._connect_timeout_s = connect_timeout_s
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None
        self.server_time: float | None = None  #: by the latest answer with a Date, epoch seconds
        self.clock_off_s: float | None = None  #: how far it was ahead of our clock then

    async def __aenter__(self) -> Http:
        secure = any(origin.scheme == "https" for origin in self._origins)
        self._session = aiohttp.ClientSession(
            # The pacer and the slots in flight bound the calls; a pool limit would only hide a wait.
            # A context of its own obeys SSL_CERT_FILE as it is now; aiohttp's is made when it is imported.
            connector=_Connector(
                limit=0,
                ttl_dns_cache=300,
                keepalive_timeout=_IDLE_S,
                ssl=ssl.create_default_context() if secure else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
            max_line_size=HEADER_MAX,
            max_field_size=HEADER_MAX,
            middlewares=(self._guard,),
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
                **self._proxy.options(url),
            ) as response:
                answer = await self._answer(response)
            log.debug("%s %s: %s, %d bytes", method, url.path, answer.status, len(answer.body))
            return answer
        except _TROUBLE as error:
            failed = self._failed(error, url, attempt)
        log.debug("%s %s: no answer: %s", method, url.path, failed.text)
        return failed

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
            opened = self._pieces(first, response, url) if video else await self._answer(response, first)
        except _TROUBLE as error:
            opened = self._failed(error, url, attempt)
        try:
            yield opened
        finally:
            attempt.close()

    async def _get(self, url: URL, timeout: aiohttp.ClientTimeout, attempt: _Attempt) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the provider is used outside its `async with`")
        _exchange.set(attempt)
        attempt.response = await self._session.get(
            url, timeout=timeout, allow_redirects=False, **self._proxy.options(url)
        )
        return attempt.response

    async def _pieces(self, first: bytes, response: aiohttp.ClientResponse, url: URL) -> AsyncIterator[bytes]:
        yield first
        try:
            async for piece in response.content.iter_any():
                yield piece
        except _TROUBLE as error:
            why = explain(error, url, connected=True, proxy=self._proxy.named(url)).text
            raise ServerError(f"result: the video broke off: {why}") from None

    def _failed(self, error: BaseException, url: URL, attempt: _Attempt) -> ExchangeFailed:
        explained = explain(error, url, connected=attempt.connected, proxy=self._proxy.named(url))
        return ExchangeFailed(attempt.connected, self._redact(plain(explained.text))[:600], explained.needs_user)

    async def _answer(self, response: aiohttp.ClientResponse, first: bytes = b"") -> Answer:
        """Read what comes within bounds; the status line alone is worth keeping, so an answer may not be whole."""
        body, whole = bytearray(first), True
        try:
            while whole and not response.content.at_eof():
                body += await response.content.readany()
                whole = len(body) <= BODY_MAX and not is_video("", bytes(body[:16]))
        except _TROUBLE:
            whole = False
        if not whole:
            response.close()
        if (at := http_date(response.headers.get("Date", ""))) is not None:
            self.server_time, self.clock_off_s = at, at - time.time()
        video, too_long = is_video(response.content_type.lower(), bytes(body[:16])), len(body) > BODY_MAX
        kept = b"" if too_long or video else bytes(body)
        return Answer(response.status, kept, response.headers, whole, self._redact, video, too_long and not video)

    async def _guard(self, request: aiohttp.ClientRequest, handler: _Handler) -> aiohttp.ClientResponse:
        """Give the key to its own origins alone, whatever the request has."""
        # A `default` entry of a .netrc would send another service's password.
        request.headers.pop("Authorization", None)
        if request.url.origin() in self._origins:
            request.headers["x-api-key"] = self._key
        return await handler(request)


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
    if url.scheme == "http" and not is_loopback(host):
        raise UsageError(f"the address of {what} must be https, except on this machine: {origin}")
    return url.with_port(None) if url.is_default_port() else url
