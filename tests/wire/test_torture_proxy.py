"""The bad network of `torture`: what it promises to do to a connection, it does, and else nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from batchgen.torture.plan import Wire
from batchgen.torture.proxy import Proxy


@asynccontextmanager
async def echo(wire: Wire) -> AsyncIterator[tuple[Proxy, int, list[bytes]]]:
    """A server that answers `got N` to N bytes, behind a proxy; gives what reached it."""
    reached: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(100):
                reached.append(block)
                writer.write(b"got %d" % len(block))
        except ConnectionResetError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], seed=1)
    proxy.wire = wire
    await proxy.listen()
    try:
        yield proxy, int(proxy.url.rpartition(":")[2]), reached
    finally:
        await proxy.deafen()
        server.close()
        await asyncio.sleep(0.05)  # what was reset is seen as such


async def say(port: int, text: bytes) -> bytes:
    """Send and read what comes, to a pause or the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        async with asyncio.timeout(2):
            return await reader.read(100)
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


async def test_a_good_wire_changes_nothing() -> None:
    """Else every finding could be the proxy's own fault."""
    async with echo(Wire()) as (proxy, port, reached):
        assert await say(port, b"hello") == b"got 5"
        assert (reached, dict(proxy.met)) == ([b"hello"], {})


@pytest.mark.parametrize(
    ("cut", "arrives", "comes_back"),
    [
        ("dropped", b"", b"reset"),
        ("cut up", b"", b"reset"),
        ("cut down", b"hello", b"reset"),
        ("stalled down", b"hello", b"got 5"),
    ],
)
async def test_each_cut_strikes_in_its_direction(cut: str, arrives: bytes, comes_back: bytes) -> None:
    """A request that never arrived and an answer that never came look the same to the command, and are not."""
    async with echo(Wire(1.0, (cut,), 0, 0.05)) as (proxy, port, reached):
        assert await say(port, b"hello") in {comes_back, comes_back.replace(b"reset", b"")}
        assert b"".join(reached) == arrives
        assert dict(proxy.met) == {cut: 1}


async def test_a_wire_that_is_down_refuses_and_comes_back_at_the_same_place() -> None:
    """The command sees a refused connection, from which nothing can have left."""
    async with echo(Wire()) as (proxy, port, _):
        async with asyncio.TaskGroup() as group:
            group.create_task(proxy.down_for(0.3))
            await asyncio.sleep(0.05)
            with pytest.raises(ConnectionRefusedError):
                await say(port, b"hello")
        assert await say(port, b"hello") == b"got 5"
