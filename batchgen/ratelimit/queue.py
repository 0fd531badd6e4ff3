"""Calls that wait for their permit, and which of them is next."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count

from batchgen.ratelimit.base import Call
from batchgen.ratelimit.metronome import CallRecord


@dataclass(order=True, slots=True)
class Waiting:
    """One that waits; the smallest is next."""

    key: float
    number: int
    call: Call = field(compare=False)
    turn: asyncio.Future[CallRecord] = field(compare=False)


class FairQueue:
    """Hands out turns by urgency; but while polls and submissions wait, every other turn is a submission's.

    Were it by age alone, many that end together would keep submissions waiting, which then come together, and
    so would their ends: a night where calls are short would swing between too many of them and none.
    """

    def __init__(self) -> None:
        self._submits: list[Waiting] = []
        self._others: list[Waiting] = []
        self._numbers = count(1)
        self._submit_was_last = False

    def __len__(self) -> int:
        """Say how many wait."""
        return len(self._submits) + len(self._others)

    def join(self, call: Call, asked: float) -> asyncio.Future[CallRecord]:
        """Wait from that time on; the future is the turn, and may be cancelled."""
        turn: asyncio.Future[CallRecord] = asyncio.get_running_loop().create_future()
        side = self._submits if call is Call.SUBMIT else self._others
        heapq.heappush(side, Waiting(asked + call, next(self._numbers), call, turn))
        return turn

    def next(self) -> Waiting | None:
        """Take the one whose turn it is out of the queue; None: nobody waits."""
        side = self._side()
        if not side:
            return None
        self._submit_was_last = side is self._submits
        return heapq.heappop(side)

    def _side(self) -> list[Waiting]:
        for side in (self._submits, self._others):
            while side and side[0].turn.done():  # its asker may have been cancelled, or stopped
                heapq.heappop(side)
        if not self._submits or not self._others:
            return self._submits or self._others
        if self._others[0].call is Call.POLL and not self._submit_was_last:
            return self._submits
        return min(self._submits, self._others)

    def take(self, calls: Collection[Call]) -> Iterator[Waiting]:
        """Take all of these kinds out of the queue, the most urgent first."""
        for side in (self._submits, self._others):
            taken = sorted(each for each in side if each.call in calls)
            side[:] = [each for each in side if each.call not in calls]
            heapq.heapify(side)
            yield from (each for each in taken if not each.turn.done())
