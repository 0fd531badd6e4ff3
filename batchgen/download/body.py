"""The body of a download, with bounds: never longer than allowed, never slower than a slot is worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from batchgen.media import BrokenVideo

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
