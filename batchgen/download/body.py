"""The bytes of a body on their way to its `.part`: decoded, with bounds, then hashed and written in threads.

A body is never longer than allowed, and never slower than a slot is worth. One block of it is hashed and written while
the next fills: so network, processor and disk work at once, and a file costs two trips to a thread for every block and
no more.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from aiofiles.threadpool import wrap

from batchgen import failpoints
from batchgen.download.part import Part, disk
from batchgen.errors import DiskFullError, DownloadError
from batchgen.files.mp4 import FIRST, HEAD, BrokenVideo

_T = TypeVar("_T")

#: A body that brings less than this in a window is broken off: about 1 KiB a second (bytes, seconds).
FLOOR = 64 * 2**10
WINDOW_S = 60.0
#: So many bytes at once of what is decoded.
_UNFOLDED = 2**20
#: Bytes of a block; what is shorter is kept in memory, and written by the trip that checks it. With two of them, and
#: what aiohttp holds (512 KiB), a download has some 2 MiB in memory. Larger ones save trips to the thread, and cost
#: more than that where eight downloads drive each other out of the processor's caches.
BLOCK = 512 * 2**10


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


# --- blocks, in threads --------------------------------------------------------------------------------------


@dataclass(slots=True)
class BlockWriter:
    """Gathers pieces into blocks and appends each to a `.part`; one write is in flight at most.

    Whoever adds pieces calls `settle` before leaving, in whatever way: no file work goes on behind its back.
    """

    _part: Part  #: where they go; its `size` moves when a block is written, whole
    #: Owns the writes in flight. None of them fails in it: what failed is raised by the next call here.
    _group: asyncio.TaskGroup
    #: As they came: to join them would cost as much as to receive them.
    _filling: list[bytes] = field(default_factory=list)
    _filled: int = 0
    _flight: asyncio.Task[DiskFullError | DownloadError | None] | None = None

    async def add(self, piece: bytes) -> None:
        """Take a piece; waits only while two blocks are full.

        Raises:
            DiskFullError, DownloadError: the disk did not take an earlier block.
        """
        self._filling.append(piece)
        self._filled += len(piece)
        if self._filled >= BLOCK:
            await self._send()

    async def rest(self) -> bytes:
        """Wait until all whole blocks are written; gives what is less than one. Raises as `add`."""
        await self.settle()
        return b"".join(self._filling)

    async def keep(self) -> None:
        """Write what came before the body broke off, where the next try can go on from it. Raises as `add`."""
        await self.settle()
        if self._filling and self._part.validator is not None:
            await self._send()
            await self.settle()

    async def settle(self) -> None:
        """Wait for the end of the write in flight, even when cancelled. Raises as `add`."""
        flight, self._flight = self._flight, None
        error = await ended(flight) if flight is not None else None
        if error is not None:
            raise error

    async def _send(self) -> None:
        await self.settle()
        block, size = self._filling, self._filled
        self._filling, self._filled = [], 0
        self._flight = self._group.create_task(self._write(block, size))

    async def _write(self, block: list[bytes], size: int) -> DiskFullError | DownloadError | None:
        part = self._part
        try:
            writer = part.writer or await asyncio.to_thread(part.open)
            with disk(part.path):
                failpoints.reach("block.before")
                hashing = asyncio.get_running_loop().run_in_executor(None, part.hash, block)
                try:
                    await wrap(writer).writelines(block)
                finally:
                    await hashing
        except (DiskFullError, DownloadError) as error:
            return error
        part.size += size
        return None


async def in_thread(call: Callable[[], _T]) -> _T:
    """Run `call` in a thread; when cancelled, wait for its end, so that no file work goes on behind our back."""
    return await ended(asyncio.get_running_loop().run_in_executor(None, call))


async def ended(job: asyncio.Future[_T]) -> _T:
    """Wait for a job that works in a thread; when cancelled, wait for its end before the cancellation goes on."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job])
        if not job.cancelled():
            job.exception()  # retrieved, so that it is not reported as never retrieved
        raise
