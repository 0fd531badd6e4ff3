"""One clock, one dice and one network for everything in this process. Import it before anything of batchgen.

`time.time` and its siblings show the loop's clock, `uuid4` comes from the seed, and an address of the loopback leads to
a server of the same loop through memory: so a night takes the same course each time its seed is played.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, Final

os.environ["AIOHTTP_NOSENDFILE"] = "1"  # a file goes out through the same memory as all else
#: The clock that everybody sees; `rule` sets it. Patched before any module can keep the real one.
_CLOCK: Final[list[Callable[[], float]]] = [time.monotonic]
EPOCH: Final = 1_790_000_000.0
time.time = lambda: EPOCH + _CLOCK[0]()
time.time_ns = lambda: round(time.time() * 1e9)
time.monotonic = lambda: _CLOCK[0]()
time.clock_gettime = lambda _clock: _CLOCK[0]()

from batchgen.testing.virtual_time import TURN_S, VirtualTimeLoop  # noqa: E402

#: From one end of a connection to the other (virtual seconds).
WIRE_S: Final = 0.01
_IDS: Final = random.Random()

Factory = Callable[[], asyncio.Protocol]


class Network:
    """The servers by port, and what goes wrong between them and the clients.

    `cut` tears every connection down and refuses new ones: the client's process is dead. `weather` decides for each
    connection how many bytes pass before it breaks (None: all of them), and whether it is made at all.
    """

    def __init__(self) -> None:
        self.servers: dict[int, Factory] = {}
        self.weather: Callable[[], int | None] = lambda: None
        self.refuses: Callable[[], bool] = lambda: False
        self.open: list[Pipe] = []
        self.broken = 0

    def cut(self, arrives: Callable[[], bool]) -> None:
        """Break every connection; of the bytes on the way to the server, those arrive that `arrives` says."""
        for pipe in self.open:
            pipe.die(arrives())
        self.open.clear()

    def connect(self, factory: Factory, port: int) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Join a client's protocol with the server of a port."""
        client, server = factory(), self.servers[port]()
        pipe = Pipe(client, server, port, self.weather())
        self.open = [each for each in self.open if not each.closed]
        self.open.append(pipe)
        client.connection_made(pipe.ends[0])
        server.connection_made(pipe.ends[1])
        return pipe.ends[0], client


class Pipe:
    """A connection: two ends, and bytes on their way.

    Args:
        breaks_at: after so many bytes, both ways together, both ends see a reset; None: never.
    """

    def __init__(self, client: asyncio.Protocol, server: asyncio.Protocol, port: int, breaks_at: int | None) -> None:
        self.ends = (End(self, client, ("127.0.0.1", port)), End(self, server, ("127.0.0.1", 40_000)))
        self.ends[0].peer, self.ends[1].peer = self.ends[1], self.ends[0]
        self.left = breaks_at

    @property
    def closed(self) -> bool:
        """True once both ends are."""
        return all(end.lost for end in self.ends)

    def die(self, arrives: bool) -> None:
        """End it at once, as when the client's process dies."""
        if arrives:
            self.ends[0].flush()
        for end in self.ends:
            end.lose(ConnectionResetError("Connection reset by peer"))

    def may_pass(self, data: bytes) -> bytes:
        """Give what of these bytes passes before the connection breaks."""
        if self.left is None:
            return data
        passed, self.left = data[: self.left], self.left - len(data)
        return passed

    @property
    def broken(self) -> bool:
        """True once the weather has broken it."""
        return self.left is not None and self.left < 0


class End(asyncio.Transport):
    """One end of a `Pipe`, as asyncio shows it to a protocol."""

    def __init__(self, pipe: Pipe, protocol: asyncio.BaseProtocol, remote: tuple[str, int]) -> None:
        super().__init__({"peername": remote, "sockname": ("127.0.0.1", 1)})
        self._loop = asyncio.get_running_loop()
        self._pipe = pipe
        self._protocol: Any = protocol
        self.peer: End = self
        self._out: deque[bytes] = deque()
        self._flushing: asyncio.TimerHandle | None = None
        self._waiting: deque[bytes] = deque()  # arrived while reading was paused
        self._reading = True
        self._closing = self._eof = False
        self.lost = False

    # --- what a protocol may ask ----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        if not self._closing and data:
            self._out.append(bytes(data))
            self._soon()

    def writelines(self, list_of_data: Any) -> None:
        """Send all."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Send what is on its way, then end."""
        if not self._closing:
            self._closing = True
            self._soon()

    def abort(self) -> None:
        """End at once."""
        self._out.clear()
        self._pipe.die(False)

    def is_closing(self) -> bool:
        """Say whether it is."""
        return self._closing or self.lost

    def pause_reading(self) -> None:
        """Let what arrives wait."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take what waits."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        """Say whether it is."""
        return self._reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_write_buffer_size(self) -> int:
        """Nothing ever waits for the wire."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There are none."""

    def can_write_eof(self) -> bool:
        """Half a connection is not needed."""
        return False

    # --- the wire -------------------------------------------------------------------------------------------

    def _soon(self) -> None:
        if self._flushing is None and not self.lost:
            self._flushing = self._loop.call_later(WIRE_S, self.flush)

    def flush(self) -> None:
        """Let arrive what is on its way."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self.lost:
            return
        data = self._pipe.may_pass(b"".join(self._out))
        self._out.clear()
        if data:
            self.peer.arrive(data)
        if self._pipe.broken:
            self._pipe.die(False)
        elif self._closing:
            self.peer.ended()
            self.lose(None)

    def arrive(self, data: bytes) -> None:
        """Take bytes from the other end."""
        if not self.lost:
            self._waiting.append(data)
            self._deliver()

    def ended(self) -> None:
        """Take the news that the other end has closed."""
        self._eof = True
        self._deliver()

    def _deliver(self) -> None:
        while self._waiting and self._reading and not self.lost:
            self._protocol.data_received(self._waiting.popleft())
        if self._eof and not self._waiting and not self.lost:
            self._protocol.eof_received()
            self.lose(None)

    def lose(self, error: Exception | None) -> None:
        """End: the protocol hears of it once."""
        if not self.lost:
            self.lost = self._closing = True
            if self._flushing is not None:
                self._flushing.cancel()
            self._loop.call_soon(self._protocol.connection_lost, error)


class _Listening:
    """What `create_server` gives: enough of it for aiohttp."""

    def __init__(self, network: Network, port: int) -> None:
        self._network, self._port = network, port
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def close(self) -> None:
        self._network.servers.pop(self._port, None)

    async def wait_closed(self) -> None:
        pass


class WorldLoop(VirtualTimeLoop):
    """A loop in virtual time, in which the loopback leads through `network`."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        self._ports: dict[int, int] = {}  #: by file number of a socket: where it is connected to
        selector = vars(self)["_selector"]
        idle: Callable[[float | None], list[Any]] = selector.select

        def select(timeout: float | None = None) -> list[Any]:
            if timeout is None:
                return idle(None)
            self._now += TURN_S + timeout
            return []  # everything goes through memory, so the system need not be asked

        selector.select = select

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect, or be refused."""
        await asyncio.sleep(WIRE_S)
        port = int(address[1])
        if port not in self.network.servers or self.network.refuses():
            raise ConnectionRefusedError(111, f"Connect call failed {address}")
        self._ports[sock.fileno()] = port

    async def create_connection(self, protocol_factory: Any, *_args: Any, sock: Any = None, **_more: Any) -> Any:
        """Put a protocol on a connected socket."""
        port = self._ports.pop(sock.fileno())
        sock.close()
        if port not in self.network.servers:
            raise ConnectionRefusedError(111, "Connection refused")
        return self.network.connect(protocol_factory, port)

    async def create_server(  # type: ignore[override] # of its many forms, the one that aiohttp uses
        self, protocol_factory: Any, _host: Any = None, port: Any = None, **_more: Any
    ) -> Any:
        """Listen."""
        self.network.servers[port] = protocol_factory
        return _Listening(self.network, port)


def rule(loop: WorldLoop, seed: int) -> None:
    """Let the loop's clock be the time of this process, and the seed the source of its chances."""
    _CLOCK[0] = loop.time
    _IDS.seed(seed)
    random.seed(seed)
    uuid.uuid4 = lambda: uuid.UUID(int=_IDS.getrandbits(128), version=4)
