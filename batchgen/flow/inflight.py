"""How many requests may be at work at the provider at once.

The bound starts small and follows the queue time that the service reports, as TCP Vegas follows the delay
of its packets (Brakmo and Peterson, 1995): while requests hardly queue there is room for more, when
they queue longer than a good part of their run time the service is full, and more would only wait there,
with the record's hour running.
"""

from __future__ import annotations

import asyncio
from collections import deque

START = 4
#: Queueing below this part of the run time (or below this many seconds) means that there is room.
ROOM, ROOM_S = 0.1, 2.0
#: Queueing above this part of the run time means that the service is full.
FULL = 0.5


class Places:
    """Places in flight, handed out in the order of asking.

    Args:
        ceiling: never more than this many at once.
        start: the bound before anything was learned.
    """

    def __init__(self, ceiling: int, *, start: int = START) -> None:
        self.ceiling = max(1, ceiling)
        self.bound = float(min(start, self.ceiling))
        self.taken = 0
        self.queue_s: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        """Say how many are taken, for logs and tests."""
        return f"<Places {self.taken} of {int(self.bound)} taken>"

    async def take(self) -> None:
        """Wait for a place and take it."""
        if self.taken < int(self.bound) and not self._waiting:
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def take_at_once(self) -> None:
        """Take a place for a request that is in flight already, even over the bound."""
        self.taken += 1

    def give_back(self) -> None:
        """Give a place back; who waits longest gets it."""
        self.taken -= 1
        self._hand_out()

    def learn(self, queue_s: float | None, run_s: float | None) -> None:
        """Adapt the bound to how long a request that just ended had queued; None: the service did not say."""
        self.queue_s = queue_s
        run = run_s or 0.0
        if queue_s is None or queue_s <= max(ROOM_S, ROOM * run):
            self.bound = min(float(self.ceiling), self.bound + 1.0)
        elif run and queue_s > FULL * run:
            self.bound = max(1.0, self.bound - 1.0)
        self._hand_out()

    def refused(self) -> None:
        """A submission was answered 429: perhaps too many at once."""
        self.bound = max(1.0, self.bound - 1.0)

    def _hand_out(self) -> None:
        while self._waiting and self.taken < int(self.bound):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
