"""What the record and the request history say before another POST follows an answer that said no: they are free to ask.

Two answers are not believed alone. The service's own error (500) to a POST says that nothing was accepted; FAILED says
that the job is over and free. Services have accepted, and charged, after both. So the history is asked: what it shows
is collected, what it was charged is booked, and what it cannot answer stays in doubt, with its reservation.
"""

from __future__ import annotations

import asyncio
import logging

from batchgen.clip import Clip
from batchgen.errors import TryAgain, UnknownError
from batchgen.events import Ending, Failed, FailedForNow, Lost, Reopened
from batchgen.history.reconcile import Doubt
from batchgen.money import usd
from batchgen.providers.base import Completed, HistoryAccess, HistoryRow, Outcome, Refused, Running, charge_of_failure
from batchgen.ratelimit.base import Call, SubmissionStoppedError
from batchgen.runner.context import RunContext
from batchgen.runner.history_lookup import HistoryLookup
from batchgen.runner.outcomes import NoAnswer, events_for, generated, refused

log = logging.getLogger("batchgen.runner.cross_check")


class CrossCheck:
    """Asks for one run. Clips whose POSTs met an error at the same time share one reading of the history."""

    def __init__(self, context: RunContext, lookup: HistoryLookup) -> None:
        self._context = context
        self._lookup = lookup
        self._turn = asyncio.Lock()
        self._asked: dict[int, Clip] = {}
        self._said: dict[int, Doubt] = {}

    # --- after the service's own error ----------------------------------------------------------------------

    async def after_error(self, clip: Clip, pause_s: float) -> Clip:
        """Look a clip up whose POST was answered with an error (500), once that can be conclusive.

        Returns:
            The clip as it is stored: pending if it was not accepted, failed if that was its last try, generating or
            downloading if it was accepted after all, else unconfirmed.
        """
        await self._context.pause(max(pause_s, self._context.reconciler.settle_s(clip)))
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
        can, cost, row = self._context.provider.capabilities, None, None
        if can.history is HistoryAccess.NONE:
            cost = 0 if can.failures_free else None
        elif not isinstance(row := await self._row(clip), NoAnswer):
            if row is None and self._lags(clip) > 0:  # the run is ending: the next one asks again
                return None
            cost = charge_of_failure(row, can)
            if row is not None and isinstance(row.outcome, Completed):
                return _completed(row.outcome, ended, self._context.ledger.now())
            if row is not None and isinstance(row.outcome, Running) and self._in_time(clip):
                return None
        event = refused(clip, ended, cost)
        model = clip.wanted.model
        if isinstance(event, FailedForNow) and (charged := await self._context.ledger.failures_charged(model)):
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
        return self._context.reconciler.answered_s - self._age(clip)

    def _in_time(self, clip: Clip) -> bool:
        return self._age(clip) < self._context.deadline_s

    def _age(self, clip: Clip) -> float:
        request = clip.request
        at = (request.submitted_at or request.intent_at) if request else 0.0
        return self._context.ledger.now() - at

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
