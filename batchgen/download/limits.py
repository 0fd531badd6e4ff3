"""The body of a download, with bounds: never longer than allowed, never slower than a slot is worth."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from batchgen.files.mp4 import BrokenVideo

#: A body that brings less than this in a window is broken off: about 1 KiB a second (bytes, seconds).
FLOOR = 64 * 2**10
WINDOW_S = 60.0


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
        await self._take(urgency)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, urgency: float) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # it was handed over in the very moment
            raise

    def _give_back(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
