"""The one limiter that every call to the API's origin asks first; downloads never do.

Grants are handed out by one task: the limiter innermost (spaced, never a burst: `AsyncLimiter(rpm, 60)` lets
nearly twice the rate through in a minute), a queue by urgency round it, and one pause that all share when
the API says 429 or can't be reached.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from itertools import count

from aiolimiter import AsyncLimiter

from batchgen.retry import CAP_S, delay

#: The configured rate is used up to this part, so that jitter on the way never makes it too much.
HEADROOM = 0.95
#: After half a minute without a 429 in which the rate was really used, it grows: half of the way back to this part
#: of the rate that was refused, or to the calls that were in the minute; from there on by GROWTH of the ceiling every
#: five minutes. So does TCP Cubic (Ha, Rhee and Xu, 2008): soon near what held, slowly beyond it.
KNEE = 0.93
GROWTH = 0.02
GROWTH_EVERY_S, PROBE_EVERY_S = 30.0, 300.0
SLOWEST_RPM = 1.0
#: After so long without a 429, the next one is the first of its kind again (seconds).
FORGET_S = 120.0


class Call(IntEnum):
    """What a call is for; the value is its head start in the queue: seconds that others wait longer.

    A call is served in the order of (time of asking + its value): what is about to expire goes first, and
    whoever waits long enough is served all the same, so that no class starves.
    """

    COLLECT = 0
    HURRY = 5  #: a look at what will soon be known no more
    SUBMIT = 10
    POLL = 20
    HISTORY = 60


class SubmissionStoppedError(Exception):
    """No further submission is granted: the run is ending."""


class Pacer:
    """Hands out the right to make one call. Use `run` as a task beside those who ask.

    Args:
        rpm: calls a minute; 0 takes the limit off (a shared pause still holds).
        count_polls: False when the account's limit does not count status and result calls.
        dice: gives numbers from 0 to 1 for the jitter.
        before: ages in seconds of calls that were made before it, and are in the minute that the API counts.
        told: called for each call that is granted and counted.
    """

    def __init__(
        self, rpm: float, *, count_polls: bool = True, dice: Callable[[], float] = random.random,
        before: Iterable[float] = (), told: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.ceiling = rpm
        self.rate = rpm
        self.pauses_until = 0.0
        self.why_paused = ""
        self._uncounted = frozenset() if count_polls else frozenset({Call.POLL, Call.HURRY, Call.COLLECT})
        self._dice = dice
        self._queue: list[tuple[float, int, Call, asyncio.Future[int]]] = []
        self._numbers = count(1)
        self._granted = 0
        self._last_cut = 0
        self._cuts = 0
        self._cut_at = -math.inf
        self._refused_at = -math.inf
        self._outage_since: float | None = None
        self._outage_tries = 0
        self._scout_out = False
        self._wake = asyncio.Event()
        self._submissions_open = True
        self._limiter: AsyncLimiter | None = None
        self._grown_at = 0.0
        self._knee = 0.0  #: near the rate that was last refused
        self._recent: deque[tuple[float, Call]] = deque()
        self._before = deque(sorted(before, reverse=True))  #: ages, and once it runs the loop's times
        self._told = told

    def __repr__(self) -> str:
        """Say what it does now, for logs and tests."""
        return f"<Pacer {self.rate:g} a minute, {len(self._queue)} waiting>"

    async def grant(self, call: Call, *, since: float | None = None) -> int:
        """Wait for the right to make one call; returns the number of the grant, to report trouble with.

        `since`, by the loop's clock, is when it was asked for, if that was before: it has waited so long already.

        Raises:
            SubmissionStoppedError: `stop_submissions` was called, and this call is a submission.
        """
        loop = asyncio.get_running_loop()
        if call is Call.SUBMIT and not self._submissions_open:
            raise SubmissionStoppedError
        free = not self.ceiling or call in self._uncounted
        if free and (self.ceiling or not self._queue) and loop.time() >= self.pauses_until:
            return self._number(loop.time(), call)
        turn: asyncio.Future[int] = loop.create_future()
        asked = loop.time() if since is None else since
        heapq.heappush(self._queue, (asked + call, next(self._numbers), call, turn))
        self._wake.set()
        return await turn

    async def run(self) -> None:
        """Hand out grants until cancelled."""
        self._grown_at = asyncio.get_running_loop().time()
        self._before = deque(self._grown_at - age for age in self._before)
        if self.ceiling:
            await self._set_rate(self.ceiling, fresh=True)
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            await self._pause_is_over()
            if self._limiter:
                await self._minute_has_room()
                await self._limiter.acquire()
                await self._pause_is_over()
            await self._grow_if_used()
            self._serve_one()

    # --- what the callers report ------------------------------------------------------------------------

    def limited(self, grant: int, retry_after: float | None) -> None:
        """A call was answered 429: all wait, and the rate is halved once for each minute that was too full."""
        now = asyncio.get_running_loop().time()
        if now - self._refused_at > FORGET_S:
            self._cuts = 0
        if grant > self._last_cut:
            self._refused_at, self._last_cut = now, self._granted
            self._cuts += 1
            if self.ceiling and now >= self._cut_at + 60.0:
                self._halve(now)
        self.pause(max(self._window_s(now), self._delay(retry_after)), "the API asked us to slow down")

    def _halve(self, now: float) -> None:
        """Refusals of the minute that follows are of the same burst: its calls still fill the API's window."""
        self._forget(now)
        self._knee = min(KNEE * self.rate, float(len(self._recent)) or self.rate)
        self.rate = max(SLOWEST_RPM, self.rate / 2)
        self._cut_at = self._grown_at = now
        self._limiter = None

    def _delay(self, retry_after: float | None) -> float:
        return delay(self._cuts, hint=retry_after, dice=self._dice(), base=2.0)

    def _window_s(self, now: float) -> float:
        """Seconds until the last minute holds no more calls than the rate lets through: sooner would be in vain."""
        self._forget(now)
        over = len(self._recent) - math.floor(HEADROOM * self.rate)
        return self._recent[over - 1][0] + 60.0 - now if self.ceiling and over > 0 else 0.0

    def unreachable(self) -> None:
        """A call never reached the API: all wait, and then one goes first to see."""
        now = asyncio.get_running_loop().time()
        if self._outage_since is None:
            self._outage_since = now
        if self._scout_out or now >= self.pauses_until:
            self._scout_out = False
            self._outage_tries += 1
            self.pauses_until = now
            self.pause(delay(self._outage_tries, dice=0.5 + self._dice() / 2), "the API can't be reached")
            self._wake.set()

    def reached(self) -> None:
        """A call was answered: an outage is over, and refusals for being too quick count anew."""
        if self._outage_since is not None:
            self._outage_since, self._outage_tries, self._scout_out = None, 0, False
            self.pauses_until = 0.0
            self._wake.set()

    def accepted(self) -> None:
        """A submission was accepted: the next 429 is the first of its kind again."""
        self._cuts = 0

    def pause(self, seconds: float, why: str) -> None:
        """Let all wait for some seconds, or go on waiting if they wait longer already."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self.pauses_until:
            self.pauses_until, self.why_paused = until, why

    # --- what the run asks --------------------------------------------------------------------------------

    @property
    def outage_s(self) -> float:
        """For how long the API has been out of reach, in seconds; 0 when it is not."""
        if self._outage_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._outage_since

    @property
    def spare_for_looks(self) -> float:
        """Calls a minute that submissions, results and the history leave for looks; infinite when none count."""
        if not self.rate or Call.POLL in self._uncounted:
            return math.inf
        self._forget(asyncio.get_running_loop().time())
        others = sum(1 for _, call in self._recent if call not in (Call.POLL, Call.HURRY))
        return max(0.0, HEADROOM * self.rate - others)

    @property
    def looks_per_s(self) -> float:
        """How many looks a second the rate bears at most; infinite where they are not counted."""
        return math.inf if not self.rate or Call.POLL in self._uncounted else self.rate * HEADROOM / 60.0

    @property
    def calls_last_minute(self) -> int:
        """How many calls that count were granted in the last 60 seconds."""
        self._forget(asyncio.get_running_loop().time())
        return len(self._recent)

    def stop_submissions(self) -> None:
        """Refuse submissions from now on, also those that wait for their grant."""
        self._submissions_open = False
        for _, _, call, turn in self._queue:
            if call is Call.SUBMIT and not turn.done():
                turn.set_exception(SubmissionStoppedError())

    # --- inside -------------------------------------------------------------------------------------------

    def _number(self, now: float, call: Call) -> int:
        if call not in self._uncounted:
            self._forget(now)
            self._recent.append((now, call))
        self._granted += 1
        if call not in self._uncounted:
            self._told()
        return self._granted

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] <= now - 60.0:
            self._recent.popleft()

    def _serve_one(self) -> None:
        while self._queue:
            _, _, call, turn = heapq.heappop(self._queue)
            if not turn.done():  # its asker may have been cancelled, or stopped
                now = asyncio.get_running_loop().time()
                turn.set_result(self._number(now, call))
                if self._outage_since is not None:  # one goes first; `reached` lets the others follow
                    self._scout_out = True
                    self.pause(CAP_S, "the API can't be reached")
                return

    async def _minute_has_room(self) -> None:
        """Wait while the calls of before, with ours, fill a minute; once they are over, the limiter is enough."""
        loop = asyncio.get_running_loop()
        while self._before:
            self._forget(loop.time())
            ours = sum(1 for _, call in self._recent if call not in self._uncounted)
            if len(self._before) + ours < math.ceil(HEADROOM * self.ceiling):
                return
            await asyncio.sleep(self._before[0] + 60.0 - loop.time())
            while self._before and self._before[0] <= loop.time() - 60.0:
                self._before.popleft()

    async def _pause_is_over(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self.pauses_until - loop.time()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                continue
        if self.ceiling and self._limiter is None:
            await self._set_rate(self.rate)

    async def _grow_if_used(self) -> None:
        now = asyncio.get_running_loop().time()
        patience = GROWTH_EVERY_S if self.rate < self._knee - 1.0 else PROBE_EVERY_S
        if now - self._grown_at < patience or self.rate >= self.ceiling:
            return
        self._grown_at = now
        if len(self._recent) >= HEADROOM * self.rate * 0.8:
            step = max((self._knee - self.rate) / 2, GROWTH * self.ceiling)
            await self._set_rate(min(self.ceiling, self.rate + step))

    async def _set_rate(self, rpm: float, *, fresh: bool = False) -> None:
        # Changing max_rate of an AsyncLimiter leaves its rate as it was; only a new one has the new rate.
        self.rate = rpm
        self._limiter = AsyncLimiter(1, 60.0 / (HEADROOM * rpm))
        if not fresh:
            await self._limiter.acquire()  # a new one would let a call through at once
