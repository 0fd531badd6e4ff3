"""The bad network: a small TCP proxy between command and service that drops, cuts, stalls, or does not listen."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from batchgen.torture.plan import Wire

_HOST = "127.0.0.1"
_BLOCK = 1 << 14


class Proxy:
    """Listens on a port of its own and carries connections to `target`, as well as the wire of the moment lets it.

    Attributes:
        wire: what connections meet from now on.
        met: how often each trouble struck.
        url: where it listens.
    """

    def __init__(self, target: int, seed: int) -> None:
        self._target = target
        self._dice = random.Random(f"wire:{seed}")
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self.wire = Wire()
        self.met: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """The base URL for the command."""
        return f"http://{_HOST}:{self._port}"

    async def listen(self) -> None:
        """Start, on the same port each time."""
        self._server = await asyncio.start_server(self._carry, _HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def deafen(self) -> None:
        """Stop listening, and drop what is open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop_all()

    async def down_for(self, seconds: float) -> None:
        """Refuse connections for a while."""
        self.met["refused for a while"] += 1
        await self.deafen()
        await asyncio.sleep(seconds)
        await self.listen()

    def drop_all(self) -> None:
        """Reset every open connection: nothing that was held back is delivered any more."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, struck = self.wire, ""
        if wire.cuts and self._dice.random() < wire.rate:
            struck = self._dice.choice(wire.cuts)
        after = self._dice.randint(0, wire.after_bytes)
        self._open.add(writer)
        try:
            if struck == "dropped":
                self.met[struck] += 1
                return
            far_reader, far_writer = await asyncio.open_connection(_HOST, self._target)
            self._open.add(far_writer)
            try:
                await self._both_ways(
                    self._pump(reader, far_writer, self._trouble(struck, "up", wire), after),
                    self._pump(far_reader, writer, self._trouble(struck, "down", wire), after),
                )
            finally:
                self._open.discard(far_writer)
                far_writer.transport.abort()
        except OSError:
            return
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    def _trouble(self, struck: str, direction: str, wire: Wire) -> Callable[[], Awaitable[bool]] | None:
        """Give what happens in this direction once enough bytes went through; it says whether to go on."""
        if not struck.endswith(direction):
            return None

        async def cut() -> bool:
            self.met[struck] += 1
            return False

        async def stall() -> bool:
            self.met[struck] += 1
            await asyncio.sleep(wire.stall_s)
            return True

        return cut if struck.startswith("cut") else stall

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        trouble: Callable[[], Awaitable[bool]] | None,
        after: int,
    ) -> None:
        passed = 0
        with suppress(OSError):
            while block := await reader.read(_BLOCK):
                if trouble is not None and passed + len(block) > after:
                    writer.write(block[: max(0, after - passed)])
                    block = block[max(0, after - passed) :]
                    if not await trouble():
                        return
                    trouble = None
                writer.write(block)
                await writer.drain()
                passed += len(block)

    @staticmethod
    async def _both_ways(*ways: Awaitable[None]) -> None:
        """Carry until one side has ended; then both have."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(way)) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()


async def _awaited(way: Awaitable[None]) -> None:
    await way
