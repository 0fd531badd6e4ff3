"""URL → `.part` → checked → final name: the downloader.

A bad download costs a download, never a generation: what is cut short is resumed, what is broken is fetched again,
and what can't be had raises the `DownloadError` that says why, so that the core can ask for another link.
No key, no cookie and no referrer ever goes to a file's host.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import aiohttp
from yarl import URL

from batchgen import retry
from batchgen.download import addresses
from batchgen.download.body import WINDOW_S, BlockWriter, TooSlowError, bounded, in_thread, plain_body
from batchgen.download.part import Finish, Part
from batchgen.errors import AddressRefused, BrokenFile, DeadLink, TransferFailed
from batchgen.files.durable import Folders
from batchgen.files.mp4 import BrokenVideo, Expect, Fetched
from batchgen.network_words import words_of
from batchgen.proxy import SystemProxy

__all__ = ["Downloader", "Expect", "Fetched", "Finish"]

_Source: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]

#: A try that brought so many bytes more than any before it was a step forward.
STEP = 256 * 2**10
#: Bytes that are freed once, so that glibc keeps what is freed (mallopt(3), "dynamic mmap threshold"). Else each
#: piece received goes back to the system, and the next is faulted in page by page: a fifth of a download's CPU.
REUSED = 8 * 2**20
#: Before so much is written the disk is asked whether it has room (bytes).
ROOMY = 64 * 2**20
#: A damaged file is fetched so many times again, from its start; one that is short is then kept, and flagged. What is
#: no film at all is fetched once again: whether that is the host's trouble is not for one file to find out.
ROUNDS = 3
#: A server may ask us to wait, but not through the night (seconds).
MAX_HINT_S = 120.0
_ANYTHING = Expect()
_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Worth another try at the same link. Any other 4xx says that the link is no good (any more).
_PASSING = frozenset({408, 421, 423, 425, 429})
_RANGE = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)\s*", re.IGNORECASE)


class _Trouble(Exception):  # noqa: N818 (a turn of the loop, never seen outside)
    """This try brought no whole file; another may. `hint`: seconds that the server asked us to wait."""

    def __init__(self, reason: str, hint: float | None = None) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(slots=True, repr=False)
class Slots:
    """A bound on how many are at work at once; the one with the smallest number has the next turn."""

    _free: int
    _waiting: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def __repr__(self) -> str:
        """Say how many wait, for logs and tests."""
        return f"<Slots: {self._free} free, {len(self._waiting)} waiting>"

    @asynccontextmanager
    async def turn(self, urgency: float) -> AsyncIterator[None]:
        """Wait for a slot and hold it; of equal urgency, who came first goes first."""
        if self._free > 0:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (urgency, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back()  # it was handed over in the very moment
                raise
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Downloader:
    """Fetches files with bounded slots; an async context manager that owns its connections.

    Args:
        slots: downloads at once.
        loopback: allow plain http and loopback addresses (for a loopback origin: sandbox, tests). The
            environment's proxies are used only without it.
        tries: failures in a row without a step forward before a file counts as trouble.
        stall_s: seconds without a byte after which a body counts as stalled.
        window_s: seconds after which a body that trickles (see `body`) is broken off, and resumed later.
        connect_s: seconds for one connection to be made.
        max_bytes: a longer file is refused as broken.
        backoff_s: the ceiling of the first wait between tries; it doubles up to a minute.
    """

    def __init__(
        self,
        *,
        slots: int = 8,
        loopback: bool = False,
        proxy: SystemProxy | None = None,
        tries: int = 6,
        stall_s: float = 60.0,
        window_s: float = WINDOW_S,
        connect_s: float = 10.0,
        max_bytes: int = 4 * 2**30,
        backoff_s: float = 1.0,
    ) -> None:
        self._slots = Slots(slots)
        self._loopback = loopback
        self._proxy = proxy or SystemProxy()
        self._tries = tries
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=stall_s)
        self._head_s = connect_s + stall_s
        self._window_s = window_s
        self._max_bytes = max_bytes
        self._backoff_s = backoff_s
        self._folders = Folders()
        self._writes = asyncio.TaskGroup()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        bytes(REUSED)
        await self._writes.__aenter__()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ttl_dns_cache=300,
                resolver=addresses.PublicResolver(loopback=self._loopback, proxy=self._proxy.host),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            # A file's bytes say whether it is encoded, not its header: see `plain_body`.
            auto_decompress=False,
            max_line_size=addresses.HEADER_MAX,
            max_field_size=addresses.HEADER_MAX,
            middlewares=(_bare,),
            timeout=self._timeout,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writes.__aexit__(None, None, None)  # each was waited for by its own download
        self._folders.close()
        if self._session is not None:
            await self._session.close()

    async def fetch(self, url: str, target: Path, expect: Expect = _ANYTHING, finish: Finish | None = None) -> Fetched:
        """Download a video; on return it is whole, durable, and has its final name.

        Whatever interrupts it leaves at most a `.part`, which the next call resumes where that is sound. A file
        that has the final name already is kept if it is the same, and never overwritten.

        Args:
            url: the link, as the provider gave it.
            target: the final path; its folder exists.
            expect: what was asked for; what differs is flagged in the answer.
            finish: called with the target and the facts in the worker thread, after all checks and before the
                rename: what it writes is there when the final name is.

        Raises:
            DownloadError: the class says why; see `batchgen.errors`.
            DiskFullError: the disk is full or can't be written; stop the run, nothing is lost.
        """
        link = addresses.parse(url)
        with closing(Part(target, str(link.with_query(None).with_fragment(None)), self._folders)) as part:
            if part.noted:
                await in_thread(part.adopt)
            return await self._persist(part, partial(self._bring, link, part), expect, finish)

    async def keep(
        self, source: _Source, target: Path, expect: Expect = _ANYTHING, finish: Finish | None = None
    ) -> Fetched:
        """Store a video that an answer of the service itself holds, through the same checks as a file behind a link.

        It can't be resumed: each try opens the source again, whose own errors pass. Else as `fetch`.
        """
        with closing(Part(target, "", self._folders)) as part:
            return await self._persist(part, partial(self._take, source, part), expect, finish)

    async def _persist(
        self, part: Part, bring: Callable[[], Awaitable[bytes]], expect: Expect, finish: Finish | None
    ) -> Fetched:
        """Try until the file is there, or there is no sense in it; of those that wait, the oldest file goes first."""
        failures = broken = 0
        best = part.size
        while True:
            try:
                async with self._slots.turn(expect.made_at):
                    tail = await bring()
                    return await in_thread(partial(part.commit, tail, expect, finish, short=broken >= ROUNDS))
            except BrokenVideo as error:
                await in_thread(part.set_aside)
                broken += 1
                if broken > (1 if error.foreign else ROUNDS):
                    raise BrokenFile(f"{part.name} is not a complete video: {error}") from error
                wait = retry.delay(broken, dice=random.random(), base=self._backoff_s)
            except _Trouble as error:
                failures = 1 if part.size >= best + STEP else failures + 1
                best = max(best, part.size)
                if failures >= self._tries:
                    raise TransferFailed(f"{part.name}: {error} ({failures} tries)") from error
                wait = retry.delay(failures, hint=error.hint, dice=random.random(), base=self._backoff_s)
            await asyncio.sleep(wait)

    async def _bring(self, link: URL, part: Part) -> bytes:
        """Bring all bytes of the file: to disk, but for the last few, which are returned.

        Raises:
            _Trouble: try again; what came is kept where it can be resumed.
            BrokenVideo: longer than announced or allowed.
            DownloadError: the link is dead or may not be used.
        """
        if part.size and part.size == part.total:
            return b""
        headers = {}
        if part.size and part.validator is not None and (part.total is None or part.size < part.total):
            headers = {"Range": f"bytes={part.size}-", "If-Range": part.validator}
        else:  # without a validator there is no way to know whether it is still the same file: start over
            part.begin(None, None)
        async with self._answer(link, headers) as answer:
            _settle(answer, part)
            if answer.status == 416:
                return b""
            if part.total is not None and part.total - part.size >= ROOMY:
                await in_thread(partial(part.room, min(part.total, self._max_bytes)))
            pieces: AsyncIterator[bytes] = answer.content.iter_any()
            if not part.size:
                pieces, encoded = await plain_body(pieces, answer.headers.get("Content-Encoding", ""))
                if encoded:  # its length and its validator are those of the encoded form: of no use here
                    part.begin(None, None)
            return await self._stream(pieces, part)

    async def _take(self, source: _Source, part: Part) -> bytes:
        """Bring all bytes of a source, as `_bring` does."""
        part.begin(None, None)
        async with source() as pieces:
            return await self._stream(pieces, part)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Trust what SSL_CERT_FILE names now; aiohttp's own context is made when it is imported."""
        return ssl.create_default_context()

    @asynccontextmanager
    async def _answer(self, link: URL, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Follow redirects, each hop checked, to an answer; network trouble becomes ours."""
        assert self._session is not None, "use `async with`"  # noqa: S101
        try:
            for _ in range(_HOPS + 1):
                addresses.check(link, loopback=self._loopback)
                async with asyncio.timeout(self._head_s):  # a head may trickle, too
                    secure = self._context if link.scheme == "https" else True
                    answer = await self._session.get(
                        link, headers=headers, allow_redirects=False, ssl=secure, **self._proxy.options(link)
                    )
                async with answer:
                    if answer.status not in _REDIRECTS:
                        yield answer
                        return
                    link = _next_hop(link, answer)
        except aiohttp.InvalidURL as error:
            raise AddressRefused("a redirect to an address that can't be read") from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _Trouble(words_of(error, link, self._proxy.named(link))) from error
        raise AddressRefused(f"{addresses.name(link)}: more than {_HOPS} redirects")

    async def _stream(self, pieces: AsyncIterator[bytes], part: Part) -> bytes:
        """Write whole blocks as they come; return what is less than one."""
        limit = self._max_bytes if part.total is None else part.total
        if limit > self._max_bytes:
            raise BrokenVideo(f"{limit:,} bytes, more than the {self._max_bytes:,} that are allowed")
        blocks = BlockWriter(part, self._writes)
        try:
            async with aclosing(bounded(pieces, most=limit - part.size, window_s=self._window_s)) as body:
                async for piece in body:
                    await blocks.add(piece)
            tail = await blocks.rest()
            if part.total is not None and part.size + len(tail) < part.total:
                raise _Trouble("cut short")  # noqa: TRY301 - what came is kept, as below
            return tail
        except (aiohttp.ClientError, TimeoutError, ConnectionError, _Trouble):
            await blocks.keep()
            raise
        except TooSlowError as error:
            await blocks.keep()
            raise _Trouble(str(error)) from error
        finally:
            await blocks.settle()


async def _bare(
    request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
) -> aiohttp.ClientResponse:
    """Take off what the environment would add: a `default` entry of a .netrc is another service's password."""
    request.headers.pop("Authorization", None)
    return await handler(request)


# --- what an answer means -----------------------------------------------------------------------------


def _settle(answer: aiohttp.ClientResponse, part: Part) -> None:
    """Set the `.part` to where this answer's body begins.

    Raises:
        DeadLink: the host refuses the link.
        _Trouble: the server can't answer now, or sends what does not fit.
    """
    if answer.status not in {200, 206, 416}:
        raise _refusal(answer)
    if answer.status == 416:
        _settle_unsatisfied(answer, part)
    elif answer.status == 206 and part.size:
        start, total = _content_range(answer)
        other = _validator(answer) not in {None, part.validator}
        if other or start != part.size or (part.total is not None and total not in {None, part.total}):
            part.begin(None, None)
            raise _Trouble("the rest that was sent does not match")
        part.total = total if total is not None else part.total
    elif answer.status == 206:
        raise _Trouble("a part was sent instead of the whole file")
    else:
        part.begin(_validator(answer), answer.content_length)


def _refusal(answer: aiohttp.ClientResponse) -> Exception:
    reply = f"HTTP {answer.status} {answer.reason or ''}".strip()
    if 400 <= answer.status < 500 and answer.status not in _PASSING:
        return DeadLink(f"{addresses.name(answer.url)}: {reply}")
    return _Trouble(reply, _hint(answer.headers.get("Retry-After"), time.time()))


def _settle_unsatisfied(answer: aiohttp.ClientResponse, part: Part) -> None:
    """416: nothing lies behind what we have. Either it is all there, or it is another file: start over."""
    _, total = _content_range(answer)
    if not part.size or total != part.size:
        part.begin(None, None)
        raise _Trouble("HTTP 416: the file has changed")


def _content_range(answer: aiohttp.ClientResponse) -> tuple[int | None, int | None]:
    """Give first byte and total length, each None where it is not given."""
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    start, _, total = match.groups()
    return int(start) if start else None, int(total) if total != "*" else None


def _validator(answer: aiohttp.ClientResponse) -> str | None:
    """Give what If-Range may carry: a strong ETag, else Last-Modified (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def _hint(text: str | None, now: float) -> float | None:
    """Read Retry-After as seconds from now, from 0 to `MAX_HINT_S`."""
    seconds = retry.retry_after(text, now)
    return None if seconds is None else min(max(seconds, 0.0), MAX_HINT_S)


def _next_hop(link: URL, answer: aiohttp.ClientResponse) -> URL:
    location = answer.headers.get("Location")
    if not location:
        raise _Trouble(f"HTTP {answer.status} without a Location")
    return link.join(addresses.parse(location))
