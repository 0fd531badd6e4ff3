"""The service of a simulated night: the sandbox in this process, with moods, restarts, and a price that may rise."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any, Final

import mp4

from batchgen.money import micro_of
from batchgen.sandbox import clips as packaged
from batchgen.sandbox import protocol, service, worker
from batchgen.sandbox.faults import Faults
from batchgen.sandbox.protocol import Order
from batchgen.sandbox.server import Sandbox
from batchgen.torture.evidence import clip_of
from batchgen.torture.judge import Booked
from batchgen.torture.plan import MOODS as TORTURE_MOODS

#: Moods of the service, by name: doses of the sandbox's faults; those of `batchgen torture`, and longer ones.
MOODS: Final[Mapping[str, str]] = dict(TORTURE_MOODS) | {
    "broken files": "broken_file=0.1",
    "host away": "forbidden=1.0",
    "maintenance all night": "maintenance=0.9",
    "account overdue": "overdue=1.0",
    "company filter": "filtered=0.9",
    "moved away": "redirected=1.0",
}
PORT: Final = 8
#: Micro-dollars of one clip: 832*480, 5 s.
EACH: Final = 312_500
#: Once all is well: seconds a clip, and how many at once.
HEALED_LATENCY_S, HEALED_SLOTS = 60.0, 16
_CREDITS = 1_000_000
_MODELS: Final = dict(protocol.MODELS)


class InlinePool:
    """An executor without threads, for the sandbox's renderers."""

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def submit(self, call: Any, *args: Any) -> None:
        call(*args)

    def shutdown(self, **_options: object) -> None:
        pass


def small_clip(order: Order, request_id: str, path: Path, _stop: Event) -> None:
    """Make a job's file: a few kilobytes, of the right size and duration, with a stamp of its own."""
    path.write_bytes(mp4.video(_FRAMES, seconds=order.duration, size=(order.width, order.height)))
    packaged.stamp(path, order, request_id)


_FRAMES: Final = bytes(i * 37 % 251 for i in range(2_000))


class SimulatedService:
    """A sandbox that keeps its folder over all restarts.

    Args:
        folder: of its own.
        seed: of its chances.
        dice: of its restarts.
        moods: that it may be in, by name.

    Attributes:
        struck: how often each fault did.
        price: what a clip costs now, micro-dollars.
    """

    def __init__(self, folder: Path, seed: int, dice: random.Random, moods: Mapping[str, str]) -> None:
        vars(worker)["ThreadPoolExecutor"] = InlinePool
        vars(service)["copy"] = small_clip
        self._folder = folder
        self._seed = seed
        self._dice = dice
        self._moods = moods
        self._sandbox: Sandbox | None = None
        self._made: set[str] = set()
        self.struck: Counter[str] = Counter()
        self.price = EACH
        self.charge(1.0)

    @property
    def folder(self) -> Path:
        """Where it keeps its jobs and files."""
        return self._folder

    async def restart(self, *, calm: bool = False, healed: bool = False) -> None:
        """Start it in another mood, or in none: `calm` it only answers well, `healed` it is also quick."""
        await self.close()
        dice, calm = self._dice, calm or healed
        mood = "" if calm else self._moods[dice.choice(sorted(self._moods))]
        latency_s, slots = dice.choice((5.0, 60.0, 200.0)), dice.choice((2, 8, 64))
        self._sandbox = Sandbox(
            self._folder,
            port=PORT,
            latency_s=HEALED_LATENCY_S if healed else latency_s,
            slots=HEALED_SLOTS if healed else slots,
            rpm=0 if calm else dice.choice((0, 0, 120, 600)),
            credits=_CREDITS,
            faults=Faults.parse(mood),
            seed=self._seed,
            history_lag_s=0 if calm else dice.choice((0.0, 20.0)),
            render=False,
            clock=time.time,
        )
        await self._sandbox.start()

    async def close(self) -> None:
        """Stop it."""
        if self._sandbox is not None:
            self.struck = Counter(self._sandbox.struck) | self.struck
            await self._sandbox.stop()
            await asyncio.sleep(1.0)

    def charge(self, factor: float) -> None:
        """Take so many times the usual price from now on."""
        self.price = round(EACH * factor)
        vars(protocol)["MODELS"] = {
            name: replace(model, rates={size: round(rate * factor) for size, rate in model.rates.items()})
            for name, model in _MODELS.items()
        }

    def books(self) -> dict[str, Any]:
        """Give its books, as `/sandbox/books` does."""
        assert self._sandbox is not None
        return {"jobs": [asdict(line) | {"charged": float(line.charged)} for line in self._sandbox.books]}

    def jobs(self) -> list[Booked]:
        """Give what it accepted, and took."""
        assert self._sandbox is not None
        return [
            Booked(line.request_id, clip_of(line.params), micro_of(line.charged), frozenset(line.fates))
            for line in self._sandbox.books
        ]
