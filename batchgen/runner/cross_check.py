"""The request history, asked for one clip by its id, and before another POST follows an answer that said no.

Two answers are not believed alone. The service's own error (500) to a POST says that nothing was accepted; FAILED says
that the job is over and free. Services have accepted, and charged, after both. So the history is asked: what it shows
is collected, what it was charged is booked, and what it cannot answer stays in doubt, with its reservation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from batchgen.breaker import CircuitBreaker
from batchgen.clip import Clip
from batchgen.errors import TryAgain, UnknownError
from batchgen.events import Ending, Failed, FailedForNow, Lost, Reopened
from batchgen.history.reconcile import Doubt
from batchgen.money import usd
from batchgen.providers.base import Completed, HistoryAccess, HistoryRow, Outcome, Refused, Running, charge_of_failure
from batchgen.ratelimit.base import Call, SubmissionStoppedError
from batchgen.retry import delay
from batchgen.runner.context import RunContext
from batchgen.runner.doubts import events_for
from batchgen.runner.outcomes import NoAnswer, generated, refused

log = logging.getLogger("batchgen.runner.cross_check")

#: How often the history is asked for one request before answers that say nothing count.
HISTORY_TRIES = 4


@dataclass(slots=True)
class HistoryLookup:
    """The history, for all clips of a run: what is no answer is waited out while that can help.

    It keeps its rows long after the record's hour, so that a wait costs nothing but a slot in flight. But a call that
    it refuses slows the whole run down: so while it refuses, one asks for all, further and further apart.
    """

    _context: RunContext
    _breaker: CircuitBreaker
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _silence: NoAnswer = field(default_factory=lambda: NoAnswer(""))

    async def row(
        self, clip: Clip, *, patient: bool, waits: Callable[[], None] = lambda: None
    ) -> HistoryRow | NoAnswer | None:
        """Look a clip's request up; None: the history answered, and has no such row.

        Args:
            clip: has a request id.
            patient: refusals as too many, and calls that never left this machine, are waited out as long as the run
                waits for the API at all; False: they are the answer, as there is another way to the file.
            waits: called before every wait.
        """
        until = self._now() + self._context.give_up_s
        bad = 0
        while True:
            if self._refuses:
                if not patient:
                    return self._silence
                waits()
            try:
                return await self._asked(clip, until)
            except UnknownError as error:
                bad += 1
                log.warning("%s: the request history gave no answer: %s", clip.wanted.name, error)
                if bad >= HISTORY_TRIES:
                    return NoAnswer(str(error))
            except TryAgain:
                continue
            waits()
            await self._context.pause(delay(bad, dice=self._context.dice(), base=2.0))

    @property
    def _refuses(self) -> bool:
        """True until it is time to ask again."""
        return self._now() < self._breaker.until

    async def _asked(self, clip: Clip, until: float) -> HistoryRow | NoAnswer | None:
        """Ask once, when it is time to; for one who has waited too long the last refusal is the answer."""
        if self._breaker.closed:
            return await self._ask(clip)
        async with self._turn:
            while self._refuses:
                if (left := min(self._breaker.until, until) - self._now()) <= 0:
                    return self._silence
                await self._context.pause(left)
            return await self._ask(clip)

    async def _ask(self, clip: Clip) -> HistoryRow | None:
        try:
            row = await self._context.provider.lookup(clip.request_id or "")
        except TryAgain as error:
            self._refused(error)
            raise
        self._breaker.succeeded()
        return row

    def _refused(self, error: TryAgain) -> None:
        self._silence = NoAnswer(str(error))
        if self._breaker.closed:
            log.warning("the request history gives no answer: %s; it is asked again at growing intervals", error)
        self._breaker.failed(self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Asks for one run. Clips whose POSTs met an error at the same time share one reading of the history."""

    _context: RunContext
    _lookup: HistoryLookup
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked: dict[int, Clip] = field(default_factory=dict)
    _said: dict[int, Doubt] = field(default_factory=dict)

    # --- after the service's own error ----------------------------------------------------------------------

    async def after_error(self, clip: Clip, pause_s: float) -> Clip:
        """Look a clip up whose POST was answered with an error (500), once that can be conclusive.

        Returns:
            The clip as it is stored: pending if it was not accepted, failed if that was its last try, generating or
            downloading if it was accepted after all, else unconfirmed.
        """
        await self._context.pause(max(pause_s, self._context.reconciler.settle_of(clip)))
        if self._context.shutdown.requested:
            return clip  # the next run asks
        doubt = await self._read(clip)
        events = events_for(doubt, self._context.ledger.now(), self._context.deadline_s)
        if not events:
            log.warning("%s is not sent again: %s", clip.wanted.name, doubt.note)
        for event in events:
            clip = await self._context.ledger.record(clip, event)
        return clip

    async def _read(self, clip: Clip) -> Doubt:
        self._asked[clip.row] = clip
        async with self._turn:
            if clip.row in self._asked:
                together = list(self._asked.values())
                async for doubt in self._context.reconciler.check(together, self._context.ledger.now()):
                    self._said[doubt.clip.row] = doubt
                    del self._asked[doubt.clip.row]
        return self._said.pop(clip.row)

    # --- after FAILED ---------------------------------------------------------------------------------------

    async def after_failed(self, clip: Clip, ended: Refused) -> Ending | None:
        """Say what a FAILED means that the record has said twice; None: the history says that it runs, ask again."""
        context = self._context
        can, cost, row = context.provider.capabilities, None, None
        if can.history is HistoryAccess.NONE:
            cost = 0 if can.failures_free else None
        elif not isinstance(row := await self._row(clip), NoAnswer):
            if row is None and self._lags(clip) > 0:  # the run is ending: the next one asks again
                return None
            cost = charge_of_failure(row, can)
            if row is not None and isinstance(row.outcome, Completed):
                return _completed(row.outcome, ended, context.ledger.now())
            if row is not None and isinstance(row.outcome, Running) and context.age_s(clip) < context.deadline_s:
                return None
        event = refused(clip, ended, cost)
        model = clip.wanted.model
        if isinstance(event, FailedForNow) and (charged := await context.ledger.failures_charged(model)):
            why = f"{ended.reason}; not tried again: failures of {model} are charged: {usd(charged)} so far"
            return Failed(why, transient=True, cost=cost)
        return event

    async def _row(self, clip: Clip) -> HistoryRow | NoAnswer | None:
        """Look a request up that the service answers FAILED for; its absence counts once the history can't lag."""
        row = await self._lookup.row(clip, patient=True)
        if row is None and (left := self._lags(clip)) > 0:
            await self._context.pause(left)
            row = await self._lookup.row(clip, patient=True)
        return row

    def _lags(self, clip: Clip) -> float:
        """Give for how long the history may still lack a request, in seconds."""
        return self._context.reconciler.answered_s - self._context.age_s(clip)

    # --- before a retry -------------------------------------------------------------------------------------

    async def before_another(self, clip: Clip) -> Clip:
        """Ask once more for a request that FAILED by its record's word alone, as earlier releases left it.

        Returns:
            The clip: pending where that request was free, generating where it is asked for again instead.

        Raises:
            SubmissionStoppedError: the history gives no answer, so nothing is sent in this run.
        """
        last = clip.request
        if last is None or last.request_id is None or last.outcome != "failed" or last.cost is not None:
            return clip
        if self._context.provider.capabilities.history is HistoryAccess.NONE:
            return clip
        record, answer = await self._record(last.request_id), await self._row(clip)
        if isinstance(answer, NoAnswer):
            log.warning("%s is not sent again: the history gives no answer: %s", clip.wanted.name, answer.why)
            raise SubmissionStoppedError
        said = (record, answer.outcome if answer else None)
        charged = charge_of_failure(answer, self._context.provider.capabilities)
        if charged == 0 and not any(isinstance(each, Completed | Running) for each in said):
            return clip
        return await self._context.ledger.record(clip, Reopened("its last request FAILED, and may be charged"))

    async def _record(self, request_id: str) -> Outcome | None:
        """Ask for the record, where there may be one; None: no answer."""
        try:
            async with await self._context.pacer.acquire(Call.COLLECT):
                return await self._context.provider.status(request_id)
        except (TryAgain, UnknownError):
            return None


def _completed(known: Completed, ended: Refused, now: float) -> Ending:
    """Take the history's word: it completed, whatever the record says."""
    if known.url:
        return generated(known, now)
    return Lost(f"the service says FAILED ({ended.reason}), the request history COMPLETED, without a link", known.cost)
