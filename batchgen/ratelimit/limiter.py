"""The one limiter that every call to the API's origin asks first; downloads never do.

Permits are handed out by one task: it waits for room within the rate, then serves who is next by urgency. All share
one pause when the API says 429 or can't be reached. Calls are spaced, never a burst: `AsyncLimiter(rpm, 60)` would let
nearly twice the rate through in a minute. And no minute holds more than the rate, with the calls of runs before this
one. The rate is what is configured, or what was learned from refusals (`adaptive_rate`).
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType

from aiolimiter import AsyncLimiter

from batchgen.breaker import OUTAGE, CircuitBreaker
from batchgen.errors import CallError, ClipError, DownloadError, RateLimited, ServerError, Unreachable, UnsureError
from batchgen.ratelimit.adaptive_rate import AdaptiveRate, CallRecord, LastMinute
from batchgen.ratelimit.base import Call, Pace, SubmissionStoppedError
from batchgen.retry import delay

log = logging.getLogger("batchgen.ratelimit.limiter")

#: After so long without a 429, the next one is the first of its kind again (seconds).
FORGET_S = 120.0
#: Calls that are said not to count, and are refused as too many twice in so long, do count (seconds).
DOUBT_S = 600.0


@dataclass(slots=True, eq=False)
class LocalPermit:
    """One call, and its own record; see `Permit`."""

    record: CallRecord
    pacer: LocalPacer

    async def __aenter__(self) -> LocalPermit:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pacer.report(self.record, error)

    def answered(self) -> None:
        """Report an answer early; see `Permit`."""
        self.pacer.report(self.record, None)

    def unused(self) -> None:
        """Give it back; see `Permit`."""
        self.pacer.unused()


@dataclass(order=True, slots=True)
class Waiting:
    """One that waits for its permit; the smallest is next."""

    key: float
    number: int
    call: Call = field(compare=False)
    turn: asyncio.Future[LocalPermit] = field(compare=False)


@dataclass(slots=True)
class FairQueue:
    """Hands out turns by urgency; but while polls and submissions wait, every other turn is a submission's.

    Were it by age alone, many that end together would keep submissions waiting, which then come together, and
    so would their ends: a night where calls are short would swing between too many of them and none.
    """

    _submits: list[Waiting] = field(default_factory=list)
    _others: list[Waiting] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _submit_was_last: bool = False

    def __len__(self) -> int:
        """Say how many wait."""
        return len(self._submits) + len(self._others)

    def join(self, call: Call, asked: float) -> asyncio.Future[LocalPermit]:
        """Wait from that time on; the future is the turn, and may be cancelled."""
        turn: asyncio.Future[LocalPermit] = asyncio.get_running_loop().create_future()
        side = self._submits if call is Call.SUBMIT else self._others
        heapq.heappush(side, Waiting(asked + call, next(self._numbers), call, turn))
        return turn

    def next(self) -> Waiting | None:
        """Take the one whose turn it is out of the queue; None: nobody waits."""
        for side in (self._submits, self._others):
            while side and side[0].turn.done():  # its asker may have been cancelled, or stopped
                heapq.heappop(side)
        side = self._submits or self._others
        if self._submits and self._others:
            alternates = self._others[0].call is Call.POLL and not self._submit_was_last
            side = self._submits if alternates or self._submits[0] < self._others[0] else self._others
        self._submit_was_last = side is self._submits
        return heapq.heappop(side) if side else None

    def take(self, calls: Collection[Call]) -> Iterator[Waiting]:
        """Take all of these kinds out of the queue, the most urgent first."""
        for side in (self._submits, self._others):
            taken = sorted(each for each in side if each.call in calls)
            side[:] = [each for each in side if each.call not in calls]
            heapq.heapify(side)
            yield from (each for each in taken if not each.turn.done())


class LocalPacer:
    """The pacer of one process; see `Pacer`. Use `run` as a task next to those who ask.

    Args:
        rpm: calls a minute; 0 takes the limit off (a shared pause still holds).
        count_polls: False when the account's limit does not count status and result calls, as long as none is refused.
        dice: gives numbers from 0 to 1 for the jitter.
        before: ages in seconds of calls that were made before it, and are in the minute that the API counts.
        counted: called for each call that is permitted and counts.
        start: the rate and the account's limit that an earlier run learned; None: it starts at `rpm`.
        learned: called with `rpm`, `known_limit` and `proven` of `AdaptiveRate` when one changes.
    """

    def __init__(
        self, rpm: float, *, count_polls: bool = True, dice: Callable[[], float] = random.random,
        before: Iterable[float] = (), counted: Callable[[], None] = lambda: None,
        start: tuple[float, float] | None = None,
        learned: Callable[[float, float, float], None] = lambda _rpm, _known_limit, _proven: None,
    ) -> None:  # fmt: skip
        self._rate = AdaptiveRate(rpm, start=start)
        self._spacing = AsyncLimiter(1, 60.0 / self._rate.usable if rpm else 1.0)
        self._minute = LastMinute()
        self._before = sorted(before, reverse=True)
        self._counted, self._learned, self._dice = counted, learned, dice
        self._queue = FairQueue()
        self._uncounted = frozenset() if count_polls else frozenset({Call.POLL, Call.HURRY, Call.COLLECT})
        self._permitted = 0
        self._refusals = 0  #: bursts of them in a row, with no submission accepted in between
        self._burst_at, self._burst_to = -math.inf, 0  #: when the last one began; the last call that belongs to it
        self._refused_until = 0.0
        self._refused_at = 0.0  #: the latest of those that were refused
        self._refused_since: float | None = None  #: the first one; none was answered since
        self._uncounted_refused_at = -math.inf
        self._outage = CircuitBreaker(OUTAGE, dice)
        self._silence: tuple[float, CallError] | None = None  #: since when nobody answers, and the latest error
        self._unreached: Unreachable | None = None  #: what the latest call met that never reached the API
        self._wake = asyncio.Event()  #: somebody waits in the queue
        self._shortened = asyncio.Event()  #: a pause ends sooner than it was to
        self._submissions_open = True
        self._slot_wait: asyncio.Timeout | None = None  #: what waits for room within the rate

    def __repr__(self) -> str:
        """Say what it does now, for logs and tests."""
        return f"<LocalPacer {self._rate.rpm:g} a minute, {len(self._queue)} waiting>"

    async def acquire(self, call: Call, *, since: float | None = None) -> LocalPermit:
        """Wait for the right to make one call; see `Pacer`."""
        loop = asyncio.get_running_loop()
        if call is Call.SUBMIT and not self._submissions_open:
            raise SubmissionStoppedError
        if self._rate.ceiling and call in self._uncounted:
            await self._pause_is_over()
            if call in self._uncounted:  # a pause may teach that it counts
                return self._permit(call)
        if not self._rate.ceiling and not self._queue and loop.time() >= self._paused_until:
            return self._permit(call)
        turn = self._queue.join(call, loop.time() if since is None else since)
        self._wake.set()
        return await turn

    async def run(self) -> None:
        """Serve those who wait, until cancelled: each when one more call fits the rate."""
        clock = asyncio.get_running_loop().time
        self._rate.begin(clock())
        for age in self._before:
            self._minute.add(CallRecord(clock() - age, 0, Call.COLLECT))
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            await self._pause_is_over()
            if not self._queue:
                continue
            if self._rate.ceiling and not await self._has_slot():
                continue
            if waiting := self._queue.next():
                waiting.turn.set_result(self._permit(waiting.call))

    def close_submissions(self) -> None:
        """Permit no submission from now on, also none of those that wait."""
        self._submissions_open = False
        for waiting in self._queue.take({Call.SUBMIT}):
            waiting.turn.set_exception(SubmissionStoppedError())

    def retune(self, rpm: float) -> None:
        """Ask for another rate from now on; see `Pacer`. What refusals taught of the old one is forgotten."""
        now = asyncio.get_running_loop().time()
        self._rate = AdaptiveRate(rpm)
        self._rate.begin(max(now, self._refused_until))
        if self._slot_wait is not None:  # by the old rate it may be a minute
            self._slot_wait.reschedule(now)

    def snapshot(self) -> Pace:
        """Say what it does now."""
        now = asyncio.get_running_loop().time()
        self._minute.forget(now)
        calls, others = len(self._minute.calls), len(self._minute.calls) - self._minute.polls
        free_polls = not self._rate.ceiling or Call.POLL in self._uncounted
        limited = self._refused_until >= self._outage.until
        return Pace(
            rpm=self._rate.rpm,
            ceiling=self._rate.ceiling,
            paused_until=self._paused_until,
            why_paused="the API asked us to slow down" if limited else "the API can't be reached",
            outage_s=self._outage.lasted_s(now),
            outage=None if self._outage.closed else self._unreached,
            silent_s=now - self._silence[0] if self._silence else 0.0,
            silence=self._silence[1] if self._silence else None,
            refused_s=0.0 if self._refused_since is None else self._refused_at - self._refused_since,
            calls_last_minute=calls,
            spare_polls=math.inf if free_polls else max(0.0, self._rate.usable - others),
            polls_per_s=math.inf if free_polls else self._rate.usable / 60.0,
        )

    # --- what came of the calls -----------------------------------------------------------------------------

    def report(self, record: CallRecord, error: BaseException | None) -> None:
        """Take in what came of a call; `LocalPermit` calls it.

        Any answer says that the API can be reached, and so ends an outage, but no pause that a 429 asked for. That the
        service lets calls through is said only by one that it answered with what was asked, or refused for the clip's
        own sake: a gateway that fails now and then must not keep a run alive that nobody ever answers.
        """
        now = asyncio.get_running_loop().time()
        if isinstance(error, Unreachable):
            self._unreached = error
            if self._outage.failed(now):
                self._shortened.set()
            return
        if not (error is None or isinstance(error, CallError | DownloadError)):
            return
        if self._outage.succeeded():
            self._shortened.set()
        gateway = isinstance(error, ServerError | UnsureError) and (error.status is None or 502 <= error.status <= 504)
        if not gateway:  # the API itself has answered
            self._silence = None
        elif isinstance(error, CallError):
            self._silence = (self._silence[0] if self._silence else now), error
        if error is None and record.call is Call.SUBMIT:
            self._refusals = 0  # accepted: the next 429 is the first of its kind again
        if isinstance(error, RateLimited):
            self._limited(record, now, error.retry_after)
        elif not isinstance(error, CallError) or isinstance(error, ClipError):
            self._refused_since = None

    def _limited(self, record: CallRecord, now: float, retry_after: float | None) -> None:
        """A call was answered 429: all wait, and the rate is halved once for each minute that was too full.

        They wait until the last minute has room again: half of it, and so on, for each burst of refusals in a row.
        A call that does not count is no reason to halve a rate that it is not part of; if it happens again, it counts.
        """
        self._refused_at = now
        self._refused_since = now if self._refused_since is None else self._refused_since
        if now - self._burst_at > FORGET_S:
            self._refusals = 0
        is_new = record.number > self._burst_to  # it left after the last refusal: the rate is too high still
        if is_new:
            self._refusals += 1
            self._burst_at, self._burst_to = now, self._permitted
        pause_s = delay(self._refusals, hint=retry_after, dice=self._dice(), base=2.0)
        if not record.counts:
            self._doubt_uncounted(now, is_new=is_new)
        elif self._rate.ceiling:
            let_through = self._minute.let_through_before(record, self._rate.refused_at)
            if is_new and self._rate.refused(now, let_through):
                self._learned(self._rate.rpm, self._rate.known_limit, self._rate.proven)
            if self._refusals:
                most = self._rate.in_a_minute // 2 ** min(self._refusals - 1, 10)
                pause_s = max(pause_s, self._minute.room_in(now, most))
        self._refused_until = max(self._refused_until, now + pause_s)
        self._rate.begin(self._refused_until)

    def _doubt_uncounted(self, now: float, *, is_new: bool) -> None:
        """Count them after all, once refusals of two pauses show that the service does."""
        if not (is_new and self._rate.ceiling and self._uncounted):
            return
        if now - self._uncounted_refused_at <= DOUBT_S:
            self._uncounted = frozenset()
            log.warning(
                "status checks are rate limited (429) although limits.count_polls is false: "
                "they count for the rest of this run"
            )
        self._uncounted_refused_at = now

    def unused(self) -> None:
        """A permit was given back: if it was for the one that goes first in an outage, another one goes."""
        self._outage.release()
        self._shortened.set()

    # --- inside -------------------------------------------------------------------------------------------

    def _permit(self, call: Call) -> LocalPermit:
        now = asyncio.get_running_loop().time()
        self._permitted += 1
        record = CallRecord(now, self._permitted, call, counts=call not in self._uncounted)
        if record.counts:
            self._minute.add(record)
            self._counted()
        self._outage.probe(now)  # in an outage one goes first; an answer lets the others follow
        return LocalPermit(record, self)

    async def _has_slot(self) -> bool:
        """Wait until one more call fits the rate; False: the rate was changed meanwhile."""
        try:
            async with asyncio.timeout(None) as self._slot_wait:
                await self._next_slot()
        except TimeoutError:
            return False
        finally:
            self._slot_wait = None
        return True

    async def _next_slot(self) -> None:
        """Wait until one more call fits the rate, and no pause is left, also none that begins meanwhile."""
        loop = asyncio.get_running_loop()
        while (wait := self._minute.room_in(loop.time(), self._rate.in_a_minute)) > 0:  # noqa: ASYNC110 - time, not an event
            await asyncio.sleep(wait)
        await self._pause_is_over()
        if not self._rate.ceiling:
            return
        apart_s = 60.0 / self._rate.usable
        if self._spacing.time_period != apart_s:  # its own rate can't be changed
            self._spacing = AsyncLimiter(1, apart_s)
            await self._spacing.acquire()  # a new one would let a call through at once
        await self._spacing.acquire()
        await self._pause_is_over()
        now = loop.time()
        self._minute.forget(now)
        if self._rate.grow(now, self._minute.let_through + 1):
            self._learned(self._rate.rpm, self._rate.known_limit, self._rate.proven)

    @property
    def _paused_until(self) -> float:
        """Until when nothing is permitted, by the loop's clock."""
        return max(self._refused_until, self._outage.until)

    async def _pause_is_over(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._paused_until - loop.time()) > 0:
            self._shortened.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._shortened.wait()
