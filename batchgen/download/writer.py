"""The bytes of a body on their way to its `.part`: one block is hashed and written in threads while the next fills.

So network, processor and disk work at once, and a file costs two trips to a thread for every block and no more.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeVar

from aiofiles.threadpool import wrap

from batchgen import failpoints
from batchgen.download.part import Part, disk
from batchgen.errors import DiskFullError, DownloadError

_T = TypeVar("_T")

#: Bytes of a block; what is shorter is kept in memory, and written by the trip that checks it. With two of them, and
#: what aiohttp holds (512 KiB), a download has some 2 MiB in memory. Larger ones save trips to the thread, and cost
#: more than that where eight downloads drive each other out of the processor's caches.
BLOCK = 512 * 2**10


class BlockWriter:
    """Gathers pieces into blocks and appends each to a `.part`; one write is in flight at most.

    Whoever adds pieces calls `settle` before leaving, in whatever way: no file work goes on behind its back.

    Args:
        part: where they go; its `size` moves when a block is written, whole.
        group: owns the writes in flight. None of them fails in it: what failed is raised by the next call here.
    """

    def __init__(self, part: Part, group: asyncio.TaskGroup) -> None:
        self._part = part
        self._group = group
        self._filling: list[bytes] = []  # as they came: to join them would cost as much as to receive them
        self._filled = 0
        self._flight: asyncio.Task[DiskFullError | DownloadError | None] | None = None

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
