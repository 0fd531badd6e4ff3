"""The one limiter that every call to the API's origin asks first; downloads never do.

Grants are handed out by one task: the limiter innermost (spaced, never a burst: `AsyncLimiter(rpm, 60)` lets
nearly twice the rate through in a minute), a line by urgency round it (`line.py`), and one pause that all share when
the API says 429 or can't be reached. The rate is what is configured, or what was learned from 429s (`rate.py`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from batchgen.ratelimit.adaptive_rate import AdaptiveRate
from batchgen.ratelimit.queue import Call, FairQueue
from batchgen.retry import CAP_S, delay

log = logging.getLogger("batchgen.ratelimit.limiter")

__all__ = ["Call", "Pacer", "SubmissionStoppedError"]

#: After so long without a 429, the next one is the first of its kind again (seconds).
FORGET_S = 120.0
#: Calls that are said not to count, and are refused as too many twice in so long, do count (seconds).
DOUBT_S = 600.0
#: Calls that are kept beyond their minute, for the answers that come late.
LATE = 64


class SubmissionStoppedError(Exception):
    """No further submission is granted: the run is ending."""


@dataclass(slots=True)
class Granted:
    """A call that counts: when it was granted by the loop's clock, its number, what for, and if it was answered 429."""

    at: float
    number: int
    call: Call
    refused: bool = False


class Pacer:
    """Hands out the right to make one call. Use `run` as a task beside those who ask.

    Args:
        rpm: calls a minute; 0 takes the limit off (a shared pause still holds).
        count_polls: False when the account's limit does not count status and result calls, as long as none is refused.
        dice: gives numbers from 0 to 1 for the jitter.
        before: ages in seconds of calls that were made before it, and are in the minute that the API counts.
        told: called for each call that is granted and counted.
        start: the rate and the knee that an earlier run learned; None: it starts at `rpm`.
        learned: called with the rate, the knee, and the rate that a whole minute showed to hold, when one changes.
    """

    def __init__(
        self, rpm: float, *, count_polls: bool = True, dice: Callable[[], float] = random.random,
        before: Iterable[float] = (), told: Callable[[], None] = lambda: None,
        start: tuple[float, float] | None = None,
        learned: Callable[[float, float, float], None] = lambda _rpm, _knee, _bore: None,
    ) -> None:  # fmt: skip
        self._rate = AdaptiveRate(rpm, start=start)
        self._refused_until = 0.0
        self._outage_until = 0.0
        self._uncounted = frozenset() if count_polls else frozenset({Call.POLL, Call.HURRY, Call.COLLECT})
        self._dice = dice
        self._line = FairQueue()
        self._granted = 0
        self._last_cut = 0
        self._cuts = 0
        self._refused_at = -math.inf
        self._free_refused_at = -math.inf
        self._outage_since: float | None = None
        self._outage_tries = 0
        self._scout_out = False
        self._wake = asyncio.Event()  #: somebody waits in the line
        self._shortened = asyncio.Event()  #: a pause ends sooner than it was to
        self._submissions_open = True
        self._limiter: AsyncLimiter | None = None
        self._recent: deque[Granted] = deque()
        self._let_through = 0  #: of those: they are not counted anew at each grant
        self._gone: deque[Granted] = deque(maxlen=LATE)  #: but was in the minute of a call that is answered late
        self._before = sorted(before, reverse=True)
        self._told = told
        self._learned = learned

    def __repr__(self) -> str:
        """Say what it does now, for logs and tests."""
        return f"<Pacer {self.rate:g} a minute, {len(self._line)} waiting>"

    async def grant(self, call: Call, *, since: float | None = None) -> int:
        """Wait for the right to make one call; returns the number of the grant, to report trouble with.

        It is negative for a call that does not count.

        `since`, by the loop's clock, is when it was asked for, if that was before: it has waited so long already.

        Raises:
            SubmissionStoppedError: `stop_submissions` was called, and this call is a submission.
        """
        loop = asyncio.get_running_loop()
        if call is Call.SUBMIT and not self._submissions_open:
            raise SubmissionStoppedError
        while self.ceiling and call in self._uncounted:  # a pause may teach that it counts
            if loop.time() >= self.pauses_until:
                return self._number(loop.time(), call)
            await self._pause_is_over()
        if not self.ceiling and not self._line and loop.time() >= self.pauses_until:
            return self._number(loop.time(), call)
        turn = self._line.join(call, loop.time() if since is None else since)
        self._wake.set()
        return await turn

    async def run(self) -> None:
        """Hand out grants until cancelled."""
        now = asyncio.get_running_loop().time()
        self._rate.begin(now)
        self._recent.extendleft(Granted(now - age, 0, Call.COLLECT) for age in reversed(self._before))
        self._let_through += len(self._before)
        if self.ceiling:
            await self._set_limiter(fresh=True)
        while True:
            while not self._line:
                self._wake.clear()
                await self._wake.wait()
            await self._resumed()
            if not self._line:
                continue
            if self.ceiling:
                await self._spaced()
                await self._grow_if_used()
            self._serve_one()

    # --- what the callers report ------------------------------------------------------------------------

    def limited(self, grant: int, retry_after: float | None) -> None:
        """A call was answered 429: all wait, and the rate is halved once for each minute that was too full.

        A call that does not count is no reason to halve what it is no part of; if it happens again, it does count.
        """
        now = asyncio.get_running_loop().time()
        if now - self._refused_at > FORGET_S:
            self._cuts = 0
        held = self._held(grant)
        anew = abs(grant) > self._last_cut
        if anew:
            self._refused_at, self._last_cut = now, self._granted
            self._cuts += 1
        if grant < 0:
            self._pause(now, self._delay(retry_after))
            self._doubt_uncounted(now, anew=anew)
            return
        if anew and self._rate.refused(now, held):
            self._limiter = None
            self._keep_rate()
        self._pause(now, max(self._drained_s(now), self._delay(retry_after)))

    def _pause(self, now: float, seconds: float) -> None:
        self._refused_until = max(self._refused_until, now + seconds)
        self._rate.begin(self._refused_until)

    def _doubt_uncounted(self, now: float, *, anew: bool) -> None:
        """Count them after all, once refusals of two pauses show that the service does."""
        if not (anew and self.ceiling and self._uncounted):
            return
        if now - self._free_refused_at <= DOUBT_S:
            self._uncounted = frozenset()
            log.warning(
                "the service refuses status calls as too many (429), although limits.count_polls is false: "
                "for the rest of this run they count"
            )
        self._free_refused_at = now

    def _held(self, grant: int) -> int:
        """Count what the API let through in the minute before that call was refused."""
        call = next((call for call in reversed(self._recent) if call.number == grant), None)
        if call is None:
            return self._let_through
        self._let_through -= not call.refused
        call.refused = True
        calls, since = (*self._gone, *self._recent), max(call.at - 60.0, self._rate.cut_at)
        return sum(not each.refused and each.number < grant and each.at > since for each in calls)

    def _delay(self, retry_after: float | None) -> float:
        return delay(self._cuts, hint=retry_after, dice=self._dice(), base=2.0)

    def _drained_s(self, now: float) -> float:
        """Seconds until the last minute has room again; half of it, and so on, for each refusal in a row."""
        return self._room_in(now, self._rate.in_a_minute // 2 ** min(self._cuts - 1, 10)) if self.ceiling else 0.0

    def _room_in(self, now: float, most: int) -> float:
        """Seconds until the last minute holds fewer calls than that (or none)."""
        self._forget(now)
        over = len(self._recent) - max(0, most - 1)
        return self._recent[over - 1].at + 60.0 - now if over > 0 else 0.0

    def unreachable(self) -> None:
        """A call never reached the API: all wait, and then one goes first to see."""
        now = asyncio.get_running_loop().time()
        if self._outage_since is None:
            self._outage_since = now
        if self._scout_out or now >= self._outage_until:
            self._scout_out = False
            self._outage_tries += 1
            self._outage_until = now + delay(self._outage_tries, dice=0.5 + self._dice() / 2)
            self._shortened.set()

    def reached(self) -> None:
        """A call was answered: an outage is over. A pause that a 429 asked for is not: an answer is no leave."""
        if self._outage_since is not None:
            self._outage_since, self._outage_tries, self._scout_out = None, 0, False
            self._outage_until = 0.0
            self._shortened.set()

    def accepted(self) -> None:
        """A submission was accepted: the next 429 is the first of its kind again."""
        self._cuts = 0

    # --- what the run asks --------------------------------------------------------------------------------

    @property
    def pauses_until(self) -> float:
        """Until when nothing is granted, by the loop's clock."""
        return max(self._refused_until, self._outage_until)

    @property
    def why_paused(self) -> str:
        """What the pause is for, in words."""
        refused = self._refused_until >= self._outage_until
        return "the API asked us to slow down" if refused else "the API can't be reached"

    @property
    def ceiling(self) -> float:
        """Calls a minute at most; 0: no limit."""
        return self._rate.ceiling

    @property
    def rate(self) -> float:
        """Calls a minute that it grants now; 0: no limit."""
        return self._rate.rpm

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
        others = sum(each.call not in (Call.POLL, Call.HURRY) for each in self._recent)
        return max(0.0, self._rate.usable - others)

    @property
    def looks_per_s(self) -> float:
        """How many looks a second the rate bears at most; infinite where they are not counted."""
        return math.inf if not self.rate or Call.POLL in self._uncounted else self._rate.usable / 60.0

    @property
    def calls_last_minute(self) -> int:
        """How many calls that count were made in the last 60 seconds, those of runs before this one among them."""
        self._forget(asyncio.get_running_loop().time())
        return len(self._recent)

    def stop_submissions(self) -> None:
        """Refuse submissions from now on, also those that wait for their grant."""
        self._submissions_open = False
        for waiting in self._line.take({Call.SUBMIT}):
            waiting.turn.set_exception(SubmissionStoppedError())

    # --- inside -------------------------------------------------------------------------------------------

    def _number(self, now: float, call: Call) -> int:
        self._granted += 1
        free = call in self._uncounted
        if not free:
            self._forget(now)
            self._recent.append(Granted(now, self._granted, call))
            self._let_through += 1
            self._told()
        if self._outage_since is not None:  # one goes first; `reached` lets the others follow
            self._scout_out = True
            self._outage_until = now + CAP_S
        return -self._granted if free else self._granted

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0].at <= now - 60.0:
            self._let_through -= not self._recent[0].refused
            self._gone.append(self._recent.popleft())

    def _serve_one(self) -> None:
        if waiting := self._line.next():
            waiting.turn.set_result(self._number(asyncio.get_running_loop().time(), waiting.call))

    async def _spaced(self) -> None:
        """Wait until one more call fits the rate; a 429 that comes meanwhile is waited for, too."""
        await self._minute_has_room()
        await self._resumed()
        if self._limiter:
            await self._limiter.acquire()
        await self._resumed()

    async def _minute_has_room(self) -> None:
        """Wait while the last minute is full: by the calls of runs before this one, or by those of a higher rate."""
        loop = asyncio.get_running_loop()
        while (wait := self._room_in(loop.time(), self._rate.in_a_minute)) > 0:  # noqa: ASYNC110 - time, not an event
            await asyncio.sleep(wait)

    async def _resumed(self) -> None:
        """Wait out the pause; a new rate is kept from its end on."""
        await self._pause_is_over()
        if self.ceiling and self._limiter is None:
            await self._set_limiter()

    async def _pause_is_over(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self.pauses_until - loop.time()) > 0:
            self._shortened.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._shortened.wait()

    async def _grow_if_used(self) -> None:
        now = asyncio.get_running_loop().time()
        self._forget(now)
        bore = self._rate.bore
        grew = self._rate.grow(now, self._let_through + 1)
        if grew or self._rate.bore != bore:
            self._keep_rate()
        if grew:
            await self._set_limiter()

    def _keep_rate(self) -> None:
        self._learned(self._rate.rpm, self._rate.knee, self._rate.bore)

    async def _set_limiter(self, *, fresh: bool = False) -> None:
        # Changing max_rate of an AsyncLimiter leaves its rate as it was; only a new one has the new rate.
        self._limiter = AsyncLimiter(1, 60.0 / self._rate.usable)
        if not fresh:
            await self._limiter.acquire()  # a new one would let a call through at once
