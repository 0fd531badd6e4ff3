"""From an accepted request to its link: wait for the end, ask the history where the record is gone."""

from __future__ import annotations

import logging
import math

from batchgen.clip import Blocked, Clip, Event, Failed, FailedForNow, Generated, Lost, State
from batchgen.errors import NowError, UnknownError
from batchgen.flow.tools import Tools, generated, grade
from batchgen.pacer import Call
from batchgen.poller import Overdue
from batchgen.providers.base import Cause, Completed, Gone, HistoryRow, Refused, Running
from batchgen.retry import FREE_RETRIES
from batchgen.schedule import RunTimes

log = logging.getLogger("batchgen.collect")

#: How long to wait before a request that only the history knows as running is asked for again (seconds).
ONLY_HISTORY_S = 60.0


class Collector:
    """Waits for requests to end and says what their end means."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def collect(self, clip: Clip) -> Clip:
        """Wait for the end of the request; cost and link are on disk when this returns."""
        request = clip.request
        if request is None or request.request_id is None:  # the table forbids it
            raise RuntimeError(clip)
        times = self._tools.run_times(grade(clip))
        submitted_at = request.submitted_at or request.intent_at
        pause = 0.0
        while True:
            ended = await self._tools.poller.wait(request.request_id, submitted_at, times, pause_s=pause)
            event = await self._event_of(clip, ended)
            if event is not None:
                break
            pause = ONLY_HISTORY_S
        if isinstance(event, Generated):
            self._learn(event, submitted_at, times)
        clip = await self._tools.ledger.record(clip, event)
        self._tools.settled(clip)
        return clip

    async def _event_of(self, clip: Clip, ended: Completed | Refused | Gone | Overdue) -> Event | None:
        """What the end means for the clip; None: only the history knows it, and says that it runs."""
        if isinstance(ended, Refused):
            return refused(clip, ended)
        if isinstance(ended, Completed) and ended.url:
            return generated(ended, self._tools.ledger.now())
        row = await self.in_history(clip)
        if row is not None:
            if isinstance(row.outcome, Refused):
                return refused(clip, row.outcome)
            if isinstance(row.outcome, Completed) and row.outcome.url:
                return generated(row.outcome, self._tools.ledger.now())
            if isinstance(row.outcome, Running) and isinstance(ended, Gone) and not self._overdue(clip):
                return None
        if isinstance(ended, Completed):
            said = f": {ended.body}" if ended.body else ""
            return Lost(f"COMPLETED, but the service named no file{said}", cost=ended.cost)
        if isinstance(ended, Gone):
            return Lost("the service keeps no record of it any more, and its history has no answer")
        return Lost(f"past the deadline, the service still said: {ended.last}")

    def _overdue(self, clip: Clip) -> bool:
        request = clip.request
        at = (request.submitted_at or request.intent_at) if request else 0.0
        return self._tools.ledger.now() - at >= self._tools.deadline_s

    async def in_history(self, clip: Clip) -> HistoryRow | None:
        """Look the request up by its id in the account's history, best effort."""
        if clip.request_id is None:
            return None
        try:
            await self._tools.pacer.grant(Call.HISTORY)
            return await self._tools.provider.lookup(clip.request_id)
        except (UnknownError, NowError) as error:
            log.warning("%s: the request history gave no answer: %s", clip.wanted.name, error)
            return None

    def _learn(self, event: Generated, submitted_at: float, times: RunTimes) -> None:
        self._tools.places.learn(event.queue_s, event.run_s)
        total = (event.run_s + (event.queue_s or 0.0)) if event.run_s is not None else event.at - submitted_at
        before = times.typical
        times.learn(max(0.0, total))
        if times.count <= 5 or not math.isclose(before, times.typical, rel_tol=0.1):
            self._tools.poller.reschedule()


def refused(clip: Clip, outcome: Refused) -> Event:
    """Turn a FAILED into the clip's fate: blocked, tried again while that is free, or failed."""
    if outcome.cause is Cause.BLOCKED:
        return Blocked(outcome.reason)
    if outcome.cause is Cause.TRANSIENT and clip.state is State.GENERATING and clip.failures < FREE_RETRIES:
        return FailedForNow(outcome.reason)
    return Failed(outcome.reason)
