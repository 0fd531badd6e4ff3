"""When the next call that counts may leave: the innermost part of the pacer, for one process.

Calls are spaced, never a burst (`AsyncLimiter(rpm, 60)` lets nearly twice the rate through in a minute), and no
minute holds more than the rate, the calls of runs before this one included. The rate is what is configured, or what
was learned from refusals (`adaptive_rate`). Several machines on one account would share a slot and its refusal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from batchgen.ratelimit.adaptive_rate import AdaptiveRate
from batchgen.ratelimit.base import Call

#: Calls that are kept beyond their minute, for the answers that come late.
LATE = 64
POLLS = frozenset({Call.POLL, Call.HURRY})


@dataclass(slots=True, eq=False)
class CallRecord:
    """A call that was permitted: when, by the loop's clock, its number, and what for."""

    at: float
    number: int
    call: Call
    counts: bool = True  #: for the account's limit
    refused: bool = False  #: as too many
    recent: bool = True  #: it is of the last minute, as far as was checked


class Metronome:
    """Gives slots for calls that count, and remembers those of the last minute.

    Args:
        rate: how many a minute.
        before: ages in seconds of calls that were made before it, and are in the minute that the API counts.
        counted: called for each call that is counted.
        learned: called when the rate changed, or was shown to hold.
    """

    def __init__(
        self,
        rate: AdaptiveRate,
        *,
        before: Iterable[float] = (),
        counted: Callable[[], None] = lambda: None,
        learned: Callable[[], None] = lambda: None,
    ) -> None:
        self.rate = rate
        self._limiter: AsyncLimiter | None = None
        self._recent: deque[CallRecord] = deque()
        self._let_through = 0  #: of those: they are not counted again for each slot
        self._polls = 0  #: of those, too
        self._gone: deque[CallRecord] = deque(maxlen=LATE)  #: but was in the minute of a call that is answered late
        self._before = sorted(before, reverse=True)
        self._counted = counted
        self._learned = learned

    def __repr__(self) -> str:
        """Say the rate, for logs and tests."""
        return f"<Metronome {self.rate!r}>"

    async def start(self, now: float) -> None:
        """Take in the calls of runs before this one; the first slot is free at once, if the minute has room."""
        self.rate.begin(now)
        self._recent.extendleft(CallRecord(now - age, 0, Call.COLLECT) for age in reversed(self._before))
        self._let_through += len(self._before)
        if self.rate.ceiling:
            self._limiter = self._fresh()

    async def slot(self, resumed: Callable[[], Awaitable[None]]) -> None:
        """Wait until one more call fits the rate; `resumed` waits out a pause, also one that begins meanwhile."""
        await self._renew()
        await self._minute_has_room()
        await resumed()
        await self._renew()
        if self._limiter:
            await self._limiter.acquire()
        await resumed()
        await self._renew()
        await self._grow()

    def count(self, record: CallRecord) -> None:
        """Take note of a call that leaves now."""
        self.forget(record.at)
        self._recent.append(record)
        self._let_through += 1
        self._polls += record.call in POLLS
        self._counted()

    def refused(self, record: CallRecord, now: float, *, is_new: bool) -> None:
        """A call was refused as too many; `is_new`: it left after the last refusal, so the rate is too high still."""
        held = self._held(record)
        if is_new and self.rate.refused(now, held):
            self._limiter = None
            self._learned()

    def room_in(self, now: float, most: int) -> float:
        """Give the seconds until the last minute holds fewer calls than that (or none)."""
        self.forget(now)
        over = len(self._recent) - max(0, most - 1)
        return self._recent[over - 1].at + 60.0 - now if over > 0 else 0.0

    def last_minute(self, now: float) -> tuple[int, int]:
        """Count the calls of the last 60 seconds, and the polls among them."""
        self.forget(now)
        return len(self._recent), self._polls

    def forget(self, now: float) -> None:
        """Leave out what is older than a minute."""
        while self._recent and self._recent[0].at <= now - 60.0:
            record = self._recent.popleft()
            record.recent = False
            self._let_through -= not record.refused
            self._polls -= record.call in POLLS
            self._gone.append(record)

    # --- inside -------------------------------------------------------------------------------------------

    def _held(self, record: CallRecord) -> int:
        """Count what the API let through in the minute before that call was refused."""
        if not record.recent:
            return self._let_through
        self._let_through -= not record.refused
        record.refused = True
        calls, since = (*self._gone, *self._recent), max(record.at - 60.0, self.rate.cut_at)
        return sum(not each.refused and each.number < record.number and each.at > since for each in calls)

    async def _minute_has_room(self) -> None:
        """Wait while the last minute is full: by the calls of runs before this one, or by those of a higher rate."""
        loop = asyncio.get_running_loop()
        while (wait := self.room_in(loop.time(), self.rate.in_a_minute)) > 0:  # noqa: ASYNC110 - time, not an event
            await asyncio.sleep(wait)

    async def _grow(self) -> None:
        now = asyncio.get_running_loop().time()
        self.forget(now)
        bore = self.rate.bore
        grew = self.rate.grow(now, self._let_through + 1)
        if grew or self.rate.bore != bore:
            self._learned()
        if grew:
            self._limiter = None
            await self._renew()

    async def _renew(self) -> None:
        """Space the calls by the present rate: an `AsyncLimiter` keeps its own, though its max_rate is changed."""
        if self._limiter is None:
            self._limiter = self._fresh()
            await self._limiter.acquire()  # a new one would let a call through at once

    def _fresh(self) -> AsyncLimiter:
        return AsyncLimiter(1, 60.0 / self.rate.usable)
