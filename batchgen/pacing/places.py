"""How many requests may be at work at the provider at once.

The bound follows the queue time that the service reports, as TCP Vegas follows the delay of its packets
(Brakmo and Peterson, "TCP Vegas: end to end congestion avoidance on a global internet", 1995): while requests
hardly queue there is room for more, when they queue longer than a good part of their run time the service is
full, and more would only wait there, with the record's hour running.

It starts small, and doubles as in Vegas' slow start, but on better evidence than a whole run time later: an
early look at the newest request (a probe) tells whether it was begun at once while all places were taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

START = 4
#: Queueing below this part of the run time (or below this many seconds) means that there is room.
ROOM, ROOM_S = 0.1, 2.0
#: Queueing above this part of the run time means that the service is full.
FULL = 0.5
#: A probe that finds room widens the bound by this factor once something has queued, and doubles it before.
STEP = 1.25


class Places:
    """Places in flight, handed out in the order of asking.

    Args:
        ceiling: never more than this many at once.
        start: the bound before anything was learned by this run.
        full: an earlier run saw that more than it have to queue.
        learned: called with the bound, and whether more were seen to queue, each time that it was learned anew.
    """

    def __init__(
        self,
        ceiling: int,
        *,
        start: int = START,
        full: bool = False,
        learned: Callable[[float, bool], None] = lambda _bound, _full: None,
    ) -> None:
        self.ceiling = max(1, ceiling)
        self.bound = float(min(start, self.ceiling))
        self.taken = 0
        self.queue_s: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._probe_out = False
        self._room = True  # nothing has queued since room was last seen
        self._queued = False  # something has, at some time: the bound is near where it belongs
        self._full = full
        self._learned = learned

    def __repr__(self) -> str:
        """Say how many are taken, for logs and tests."""
        return f"<Places {self.taken} of {int(self.bound)} taken>"

    @property
    def expected(self) -> int:
        """How many to reckon with: the bound if more have to queue, else the ceiling, since it grows within minutes."""
        return int(self.bound) if self._full or self._queued else self.ceiling

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

    def learn(self, queue_s: float | None, run_s: float | None, taken: int) -> None:
        """Adapt the bound to how long a request that just ended had queued; None: the service did not say.

        `taken` is how many places were taken when it went in: what it met says nothing of any other number, so
        that late news neither widens nor narrows twice.
        """
        self.queue_s = queue_s
        run = run_s or 0.0
        if queue_s is None:
            self._widen(self.bound + 1.0)
        elif queue_s <= max(ROOM_S, ROOM * run):
            self._room = self._room or taken >= self.bound
            self._widen(taken + 1.0)
        elif run and queue_s > FULL * run:
            self._room, self._queued = False, True
            self.bound = max(1.0, min(self.bound, taken - 1.0))
            self._learned(self.bound, True)

    def wants_probe(self, accepted: int) -> bool:
        """Tell whether an early look at the newest of so many accepted requests could widen the bound.

        It can when all places are taken by accepted requests, and somebody waits for one more.
        """
        full = bool(self._waiting) and accepted >= self.taken >= int(self.bound)
        wants = full and self._room and not self._probe_out and self.bound < self.ceiling
        self._probe_out = self._probe_out or wants
        return wants

    def probed(self, *, queued: bool | None) -> None:
        """Double the bound if a new request was begun at once; leave it at what ends if it has to queue."""
        self._probe_out = False
        if queued:
            self._room, self._queued = False, True
            self._learned(self.bound, True)
        elif queued is False and self._room:
            self._widen(self.bound * (STEP if self._queued else 2.0))

    def refused(self) -> None:
        """A submission was answered 429: perhaps too many at once."""
        self.bound = max(1.0, self.bound - 1.0)

    def _widen(self, bound: float) -> None:
        self.bound = max(self.bound, min(float(self.ceiling), bound))
        self._learned(self.bound, self._queued)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.taken < int(self.bound):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
