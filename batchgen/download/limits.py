"""The body of a download, decoded and with bounds: never longer than allowed, never slower than a slot is worth."""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import aiohttp

from batchgen.files.mp4 import FIRST, HEAD, BrokenVideo

#: A body that brings less than this in a window is broken off: about 1 KiB a second (bytes, seconds).
FLOOR = 64 * 2**10
WINDOW_S = 60.0
#: So many bytes at once of what is decoded.
_UNFOLDED = 2**20


class TooSlowError(Exception):
    """The body trickles: it would hold its slot for hours."""


async def bounded(
    pieces: AsyncIterator[bytes], *, most: int, window_s: float = WINDOW_S, floor: int = FLOOR
) -> AsyncGenerator[bytes, None]:
    """Hand the pieces on as they come.

    Silence is not noticed here: whoever opened the body bounds the wait for its next byte.

    Args:
        pieces: the body, decoded.
        most: how many bytes it may have in all.
        window_s: how long it is watched before it is judged slow.
        floor: how many bytes it has to bring in that time.

    Raises:
        BrokenVideo: it is longer than `most`.
        TooSlowError: it brought less than `floor` in `window_s`.
    """
    clock = asyncio.get_running_loop().time
    since, got, marked = clock(), 0, 0
    async for piece in pieces:
        got += len(piece)
        if got > most:
            raise BrokenVideo(f"more than {most:,} bytes")
        yield piece
        now = clock()
        if now - since >= window_s:
            if got - marked < floor:
                raise TooSlowError(f"{got - marked:,} bytes in {now - since:.0f} s are too slow")
            since, marked = now, got


async def plain_body(pieces: AsyncIterator[bytes], said: str, layers: int = 2) -> tuple[AsyncIterator[bytes], bool]:
    """Read a body's first bytes, and give the file that it holds, and whether it was encoded.

    Hosts say that a plain film is gzip or br, and encode although nobody asked for it: the bytes decide. No film begins
    as gzip does; other codings than gzip and deflate are handed on as they are.

    Args:
        pieces: the body as it was sent.
        said: the Content-Encoding header.
        layers: so many are taken off: some hosts encode twice, and a hostile body has no end of them.
    """
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= HEAD:
            break
    rest = _joined(head, pieces)
    if head[:2] == b"\x1f\x8b" and layers:
        inner, _ = await plain_body(_inflated(rest, zlib.MAX_WBITS + 16), said, layers - 1)
        return inner, True
    if "deflate" in said.lower() and head[4:8] not in FIRST:
        wrapped = head[:1] == b"\x78" and int.from_bytes(head[:2], "big") % 31 == 0
        return _inflated(rest, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS), True
    return rest, False


async def _joined(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for piece in pieces:
        yield piece


async def _inflated(pieces: AsyncIterator[bytes], layout: int) -> AsyncIterator[bytes]:
    """Decode; a little that unfolds into much comes in bounded pieces, so that whoever counts them can stop."""
    decoder = zlib.decompressobj(layout)
    try:
        async for piece in pieces:
            block, left = b"more", piece
            while block and not decoder.eof:  # what was taken in may unfold into more than one block
                block = decoder.decompress(left, _UNFOLDED)
                left = decoder.unconsumed_tail
                if block:
                    yield block
    except zlib.error as error:
        raise BrokenVideo(f"an encoding that can't be decoded ({error})") from None
    if not decoder.eof:
        raise aiohttp.ClientPayloadError("the encoded body ends before its end")


class Slots:
    """A bound on how many are at work at once; the one with the smallest number has the next turn."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

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
