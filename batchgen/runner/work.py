"""Hands out the clips of a run, as they were offered (their order: `clip.submission_order`).

What is handed out is a hint: `Ledger.claim` decides whether there is anything to carry.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

#: Carries the clip of a row to its end. Its second argument is called once the clip has its slot, or needs none.
Carry: TypeAlias = Callable[[int, Callable[[], None]], Coroutine[None, None, None]]


class Work(Protocol):
    """Hands out rows. The same row may come twice, or while it is carried; `carry` must allow that."""

    async def offer(self, rows: Iterable[int]) -> None:
        """Add rows, to be handed out in this order. Offering one twice is harmless."""
        ...

    async def run(self, carry: Carry) -> None:
        """Hand out all rows; return when every carry has ended and no row is left, or `stop` was called."""
        ...

    def stop(self) -> None:
        """Hand out no further row; what is carried goes on."""
        ...


@dataclass(slots=True)
class WorkList:
    """The rows of one process, handed out in the order of `offer`: the next one when the one before has its slot."""

    _rows: deque[int] = field(default_factory=deque)
    _stopped: bool = False

    async def offer(self, rows: Iterable[int]) -> None:
        """Add rows at the end."""
        self._rows.extend(rows)

    async def run(self, carry: Carry) -> None:
        """Hand out all rows; return when every carry has ended."""
        async with asyncio.TaskGroup() as carries:
            while self._rows and not self._stopped:
                await start(carries, carry, self._rows.popleft())

    def stop(self) -> None:
        """Hand out no further row."""
        self._stopped = True


async def start(carries: asyncio.TaskGroup, carry: Carry, row: int) -> None:
    """Carry a clip in a task of its own, and wait until it has its slot."""
    started = asyncio.Event()
    carries.create_task(carry(row, started.set))
    await started.wait()
