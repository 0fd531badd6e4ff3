"""The one limiter that every call to the API's origin asks first; downloads never do.

Permits are handed out by one task: a metronome innermost (`metronome`), a queue by urgency round it (`queue`), and one
pause that all share when the API says 429 or can't be reached.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from batchgen.breaker import OUTAGE, CircuitBreaker
from batchgen.errors import CallError, ClipError, DownloadError, RateLimited, ServerError, Unreachable, UnsureError
from batchgen.ratelimit.adaptive_rate import AdaptiveRate
from batchgen.ratelimit.base import Call, Pace, SubmissionStoppedError
from batchgen.ratelimit.metronome import CallRecord, Metronome
from batchgen.ratelimit.queue import FairQueue
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
    report: Callable[[CallRecord, BaseException | None], None]
    release: Callable[[], None] = lambda: None

    async def __aenter__(self) -> LocalPermit:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.report(self.record, error)

    def answered(self) -> None:
        """Report an answer early; see `Permit`."""
        self.report(self.record, None)

    def unused(self) -> None:
        """Give it back; see `Permit`."""
        self.release()


class LocalPacer:
    """The pacer of one process; see `Pacer`. Use `run` as a task next to those who ask.

    Args:
        rpm: calls a minute; 0 takes the limit off (a shared pause still holds).
        count_polls: False when the account's limit does not count status and result calls, as long as none is refused.
        dice: gives numbers from 0 to 1 for the jitter.
        before: ages in seconds of calls that were made before it, and are in the minute that the API counts.
        counted: called for each call that is permitted and counts.
        start: the rate and the knee that an earlier run learned; None: it starts at `rpm`.
        learned: called with the rate, the knee, and the rate that a whole minute showed to hold, when one changes.
    """

    def __init__(
        self, rpm: float, *, count_polls: bool = True, dice: Callable[[], float] = random.random,
        before: Iterable[float] = (), counted: Callable[[], None] = lambda: None,
        start: tuple[float, float] | None = None,
        learned: Callable[[float, float, float], None] = lambda _rpm, _knee, _bore: None,
    ) -> None:  # fmt: skip
        rate = self._rate = AdaptiveRate(rpm, start=start)
        self._metronome = Metronome(
            rate, before=before, counted=counted, learned=lambda: learned(rate.rpm, rate.knee, rate.bore)
        )
        self._dice = dice
        self._queue = FairQueue()
        self._uncounted = frozenset() if count_polls else frozenset({Call.POLL, Call.HURRY, Call.COLLECT})
        self._permitted = 0
        self._refused_until = 0.0
        self._last_cut = 0
        self._cuts = 0
        self._cut_at = -math.inf
        self._refused_at = 0.0  #: the latest of those that were refused
        self._refused_since: float | None = None  #: the first one; none was answered since
        self._free_refused_at = -math.inf
        self._outage = CircuitBreaker(OUTAGE, dice)
        self._silence: tuple[float, CallError] | None = None  #: since when nobody answers, and the latest error
        self._unreached: Unreachable | None = None  #: what the latest call met that never reached the API
        self._wake = asyncio.Event()  #: somebody waits in the queue
        self._shortened = asyncio.Event()  #: a pause ends sooner than it was to
        self._submissions_open = True

    def __repr__(self) -> str:
        """Say what it does now, for logs and tests."""
        return f"<LocalPacer {self._rate.rpm:g} a minute, {len(self._queue)} waiting>"

    async def acquire(self, call: Call, *, since: float | None = None) -> LocalPermit:
        """Wait for the right to make one call; see `Pacer`."""
        loop = asyncio.get_running_loop()
        if call is Call.SUBMIT and not self._submissions_open:
            raise SubmissionStoppedError
        while self._rate.ceiling and call in self._uncounted:  # a pause may teach that it counts
            if loop.time() >= self._pauses_until:
                return self._permit(loop.time(), call)
            await self._pause_is_over()
        if not self._rate.ceiling and not self._queue and loop.time() >= self._pauses_until:
            return self._permit(loop.time(), call)
        turn = self._queue.join(call, loop.time() if since is None else since)
        self._wake.set()
        return LocalPermit(await turn, self.report, self._unused)

    async def run(self) -> None:
        """Serve those who wait, until cancelled."""
        await self._metronome.start(asyncio.get_running_loop().time())
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            await self._pause_is_over()
            if not self._queue:
                continue
            if self._rate.ceiling:
                await self._metronome.slot(self._pause_is_over)
            if waiting := self._queue.next():
                waiting.turn.set_result(self._record(asyncio.get_running_loop().time(), waiting.call))

    def close_submissions(self) -> None:
        """Permit no submission from now on, also none of those that wait."""
        self._submissions_open = False
        for waiting in self._queue.take({Call.SUBMIT}):
            waiting.turn.set_exception(SubmissionStoppedError())

    def snapshot(self) -> Pace:
        """Say what it does now."""
        now = asyncio.get_running_loop().time()
        calls, polls = self._metronome.last_minute(now)
        free_polls = not self._rate.ceiling or Call.POLL in self._uncounted
        limited = self._refused_until >= self._outage.until
        return Pace(
            rpm=self._rate.rpm,
            ceiling=self._rate.ceiling,
            paused_until=self._pauses_until,
            why_paused="the API asked us to slow down" if limited else "the API can't be reached",
            outage_s=self._outage.lasted_s(now),
            outage=None if self._outage.closed else self._unreached,
            silent_s=now - self._silence[0] if self._silence else 0.0,
            silence=self._silence[1] if self._silence else None,
            refused_s=0.0 if self._refused_since is None else self._refused_at - self._refused_since,
            calls_last_minute=calls,
            spare_polls=math.inf if free_polls else max(0.0, self._rate.usable - (calls - polls)),
            polls_per_s=math.inf if free_polls else self._rate.usable / 60.0,
        )

    # --- what came of the calls -----------------------------------------------------------------------------

    def report(self, record: CallRecord, error: BaseException | None) -> None:
        """Take in what came of a call; `LocalPermit` calls it.

        Any answer says that the API can be reached. That the service lets calls through is said only by one that it
        answered with what was asked, or refused for the clip's own sake: a gateway that fails now and then must not
        keep a run alive that nobody ever answers.
        """
        if isinstance(error, Unreachable):
            self._unreachable(error)
        elif isinstance(error, CallError | DownloadError) or error is None:
            self._reached()
            self._heard(error)
            if error is None and record.call is Call.SUBMIT:
                self._cuts = 0  # accepted: the next 429 is the first of its kind again
            if isinstance(error, RateLimited):
                self._limited(record, error.retry_after)
            elif not isinstance(error, CallError) or isinstance(error, ClipError):
                self._refused_since = None

    def _limited(self, record: CallRecord, retry_after: float | None) -> None:
        """A call was answered 429: all wait, and the rate is halved once for each minute that was too full.

        A call that does not count is no reason to halve a rate that it is not part of; if it happens again, it counts.
        """
        now = asyncio.get_running_loop().time()
        if now - self._cut_at > FORGET_S:
            self._cuts = 0
        self._refused_at = now
        self._refused_since = now if self._refused_since is None else self._refused_since
        is_new = record.number > self._last_cut
        if is_new:
            self._cut_at, self._last_cut = now, self._permitted
            self._cuts += 1
        wait = delay(self._cuts, hint=retry_after, dice=self._dice(), base=2.0)
        if not record.counts:
            self._pause(now, wait)
            self._doubt_uncounted(now, is_new=is_new)
            return
        self._metronome.refused(record, now, is_new=is_new)
        self._pause(now, max(self._drained_s(now), wait))

    def _pause(self, now: float, seconds: float) -> None:
        self._refused_until = max(self._refused_until, now + seconds)
        self._rate.begin(self._refused_until)

    def _doubt_uncounted(self, now: float, *, is_new: bool) -> None:
        """Count them after all, once refusals of two pauses show that the service does."""
        if not (is_new and self._rate.ceiling and self._uncounted):
            return
        if now - self._free_refused_at <= DOUBT_S:
            self._uncounted = frozenset()
            log.warning(
                "status checks are rate limited (429) although limits.count_polls is false: "
                "they count for the rest of this run"
            )
        self._free_refused_at = now

    def _drained_s(self, now: float) -> float:
        """Seconds until the last minute has room again; half of it, and so on, for each refusal in a row."""
        if not self._rate.ceiling or not self._cuts:
            return 0.0
        return self._metronome.room_in(now, self._rate.in_a_minute // 2 ** min(self._cuts - 1, 10))

    def _heard(self, error: CallError | DownloadError | None) -> None:
        """Take note of who answered: the API itself, or only a gateway in front of it, or nobody."""
        silent = isinstance(error, ServerError | UnsureError) and (error.status is None or 502 <= error.status <= 504)
        if not silent:
            self._silence = None
        elif isinstance(error, CallError):
            since = self._silence[0] if self._silence else asyncio.get_running_loop().time()
            self._silence = since, error

    def _unreachable(self, error: Unreachable) -> None:
        """A call never reached the API: all wait, and then one goes first to see."""
        self._unreached = error
        if self._outage.failed(asyncio.get_running_loop().time()):
            self._shortened.set()

    def _unused(self) -> None:
        """A permit was given back: if it was for the one that goes first in an outage, another one goes."""
        self._outage.release()
        self._shortened.set()

    def _reached(self) -> None:
        """A call was answered: an outage is over. A pause that a 429 asked for is not: an answer permits nothing."""
        if self._outage.succeeded():
            self._shortened.set()

    # --- inside -------------------------------------------------------------------------------------------

    @property
    def _pauses_until(self) -> float:
        """Until when nothing is permitted, by the loop's clock."""
        return max(self._refused_until, self._outage.until)

    def _permit(self, now: float, call: Call) -> LocalPermit:
        return LocalPermit(self._record(now, call), self.report, self._unused)

    def _record(self, now: float, call: Call) -> CallRecord:
        self._permitted += 1
        record = CallRecord(now, self._permitted, call, counts=call not in self._uncounted)
        if record.counts:
            self._metronome.count(record)
        self._outage.probe(now)  # in an outage one goes first; an answer lets the others follow
        return record

    async def _pause_is_over(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._pauses_until - loop.time()) > 0:
            self._shortened.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._shortened.wait()
