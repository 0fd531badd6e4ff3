"""From an accepted request to its link: wait for the end, ask the history where the record is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from batchgen.clip import Clip
from batchgen.events import Ending, Generated
from batchgen.polling.poller import YOUNG_S, Ended, Overdue
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Completed, Gone, HistoryRow, Refused, Running, charge_of_failure
from batchgen.runner.context import InFlightSlot, RunContext
from batchgen.runner.cross_check import CrossCheck, HistoryLookup
from batchgen.runner.outcomes import NoAnswer, filled, generated, lost, refused

#: How long to wait before a request that is younger than `YOUNG_S` and not known yet is asked for again (seconds).
YOUNG_PAUSE_S = 5.0
#: A FAILED counts once it was said twice, so far apart (seconds): some services have said it of a job that went on.
FAILED_AGAIN_S = 30.0
#: How long to wait before a request that only the history knows as running is asked for again (seconds).
ONLY_HISTORY_S = 60.0


@dataclass(frozen=True, slots=True)
class Collector:
    """Waits for requests to end and says what their end means."""

    _context: RunContext
    _lookup: HistoryLookup
    _cross_check: CrossCheck

    async def collect(self, clip: Clip, slot: InFlightSlot) -> Clip:
        """Wait for the end of the request; cost and link are on disk when this returns.

        With them goes how often it was polled, unless an earlier run, which was killed or stopped, had begun to.
        """
        request = clip.request
        if request is None or request.request_id is None:  # the table forbids it
            raise RuntimeError(clip)
        times = self._context.run_times(clip.wanted.price_class)
        submitted_at = request.requested_at
        pause, failed, polls, queued_s = 0.0, False, 0, 0.0
        while True:
            wait = await self._context.poller.wait(request.request_id, submitted_at, times, pause_s=pause)
            ended, polls, queued_s = wait.ended, polls + wait.polls, wait.queued_s or queued_s
            if isinstance(ended, Refused) and not failed:
                pause, failed = min(FAILED_AGAIN_S, times.typical / 4), True
                continue
            event = await self._event_of(clip, ended, slot)
            if event is not None:
                break
            pause = ONLY_HISTORY_S if self._context.age_s(clip) >= YOUNG_S else YOUNG_PAUSE_S
        if isinstance(event, Generated) and isinstance(ended, Completed) and ended.url:
            self._learn(event, submitted_at, times, slot, queued_s)
        elif isinstance(ended, Overdue):  # its slot is free, and what made it late may be a queue
            self._context.places.learn(
                None, self._context.age_s(clip), slot.taken, seen_s=queued_s, generation=slot.generation
            )
        if submitted_at >= self._context.started_at:
            event = replace(event, poll_count=polls)
        clip = await self._context.ledger.record(clip, event)
        self._context.not_in_flight(clip)
        return clip

    async def _event_of(self, clip: Clip, ended: Ended, slot: InFlightSlot) -> Ending | None:
        """What the end means for the clip; None: it may well be running, ask again."""
        if isinstance(ended, Refused):
            return await self._cross_check.after_failed(clip, ended)
        if isinstance(ended, Completed) and ended.url and self._context.provider.video(ended.url) is None:
            return generated(ended, self._context.ledger.now())
        answer = await self._in_history(clip, ended, slot)
        row = None if isinstance(answer, NoAnswer) else answer
        if row is not None and isinstance(row.outcome, Completed) and row.outcome.url:
            known = ended if isinstance(ended, Completed) else Completed()
            return generated(filled(row.outcome, known), self._context.ledger.now())
        if isinstance(ended, Completed) and ended.url:
            # The answer itself is the video, and the history has no link, which would live longer.
            known = row.outcome if row is not None and isinstance(row.outcome, Completed) else Completed()
            return generated(filled(ended, known), self._context.ledger.now())
        if row is not None and isinstance(row.outcome, Refused):
            return refused(clip, row.outcome, charge_of_failure(row, self._context.provider.capabilities))
        if isinstance(ended, Gone) and self._may_run(clip, row):
            return None
        return lost(ended, answer)

    def _may_run(self, clip: Clip, row: HistoryRow | None) -> bool:
        """A 404 is no end while the history says that it runs, nor while it is too young to be known everywhere."""
        age = self._context.age_s(clip)
        return age < YOUNG_S if row is None else isinstance(row.outcome, Running) and age < self._context.deadline_s

    async def _in_history(self, clip: Clip, ended: Ended, slot: InFlightSlot) -> HistoryRow | NoAnswer | None:
        """Look the request up by its id in the account's history, patiently where nobody else knows.

        An answer that is the video must be fetched before its record ends, and a young request is asked for again.
        """
        linked = isinstance(ended, Completed) and ended.url
        young = isinstance(ended, Gone) and self._context.age_s(clip) < YOUNG_S
        return await self._lookup.row(clip, patient=not linked and not young, waits=slot.release)

    def _learn(
        self, event: Generated, submitted_at: float, times: RunTimes, slot: InFlightSlot, queued_s: float
    ) -> None:
        """Learn how long it took; what the service says of it is believed as far as our own clock confirms it."""
        watched = max(0.0, event.at - submitted_at)
        queue = None if event.queue_s is None else min(event.queue_s, watched)
        run = watched - (queue or 0.0) if event.run_s is None else min(event.run_s, watched)
        unseen = event.run_s is None and submitted_at < self._context.started_at  # it ended while nobody polled
        took = run if queue is not None else None if unseen else watched
        self._context.places.learn(queue, took, slot.taken, seen_s=queued_s, generation=slot.generation)
        if unseen:
            return
        before = times.typical
        times.learn(min(watched, run + (queue or 0.0)), run if queue is not None else None)
        if times.count <= 5 or not math.isclose(before, times.typical, rel_tol=0.1):
            self._context.poller.reschedule()
