"""From an accepted request to its link: wait for the end, ask the history where the record is gone."""

from __future__ import annotations

import math
from dataclasses import replace

from batchgen.clip import Clip, State
from batchgen.events import Blocked, Ending, Failed, FailedForNow, Generated, Lost
from batchgen.polling.schedule import RunTimes
from batchgen.polling.wait import Ended, Overdue
from batchgen.providers.base import Cause, Completed, Gone, HistoryRow, Refused, Running
from batchgen.retry import FREE_RETRIES, MAX_ATTEMPTS
from batchgen.runner.context import InFlightSlot, RunContext, filled, generated
from batchgen.runner.history_lookup import HistoryLookup, NoAnswer

#: A new request may not be known everywhere at once: 404s this young are no end (seconds).
YOUNG_S = 60.0
YOUNG_PAUSE_S = 5.0
#: How long to wait before a request that only the history knows as running is asked for again (seconds).
ONLY_HISTORY_S = 60.0


class Collector:
    """Waits for requests to end and says what their end means."""

    def __init__(self, tools: RunContext, recall: HistoryLookup) -> None:
        self._tools = tools
        self._recall = recall

    async def collect(self, clip: Clip, place: InFlightSlot) -> Clip:
        """Wait for the end of the request; cost and link are on disk when this returns.

        With them goes how often it was looked at, unless an earlier run, which was killed or stopped, had begun to.
        """
        request = clip.request
        if request is None or request.request_id is None:  # the table forbids it
            raise RuntimeError(clip)
        times = self._tools.run_times(clip.wanted.price_class)
        submitted_at = request.submitted_at or request.intent_at
        pause = 0.0
        while True:
            ended = await self._tools.poller.wait(request.request_id, submitted_at, times, pause_s=pause)
            event = await self._event_of(clip, ended, place)
            if event is not None:
                break
            pause = ONLY_HISTORY_S if self._age(clip) >= YOUNG_S else YOUNG_PAUSE_S
        queued_s = self._tools.poller.queued_s(request.request_id)
        if isinstance(event, Generated) and isinstance(ended, Completed) and ended.url:
            self._learn(event, submitted_at, times, place, queued_s)
        elif isinstance(ended, Overdue):  # its place is free, and what made it late may be a queue
            self._tools.places.learn(
                None, self._age(clip), place.taken, seen_s=queued_s, generation=place.generation
            )
        looks = self._tools.poller.poll_count(request.request_id)
        if submitted_at >= self._tools.started_at:
            event = replace(event, looks=looks)
        clip = await self._tools.ledger.record(clip, event)
        self._tools.settled(clip)
        return clip

    async def _event_of(self, clip: Clip, ended: Ended, place: InFlightSlot) -> Ending | None:
        """What the end means for the clip; None: it may well be running, ask again."""
        if isinstance(ended, Refused):
            return refused(clip, ended)
        if isinstance(ended, Completed) and ended.url and self._tools.provider.video(ended.url) is None:
            return generated(ended, self._tools.ledger.now())
        told = await self._in_history(clip, ended, place)
        row = None if isinstance(told, NoAnswer) else told
        if row is not None and isinstance(row.outcome, Completed) and row.outcome.url:
            known = ended if isinstance(ended, Completed) else Completed()
            return generated(filled(row.outcome, known), self._tools.ledger.now())
        if isinstance(ended, Completed) and ended.url:
            # The answer itself is the video, and the history has no link, which would live longer.
            known = row.outcome if row is not None and isinstance(row.outcome, Completed) else Completed()
            return generated(filled(ended, known), self._tools.ledger.now())
        if row is not None and isinstance(row.outcome, Refused):
            return refused(clip, row.outcome)
        if isinstance(ended, Gone) and self._may_run(clip, row):
            return None
        return lost(ended, told)

    def _may_run(self, clip: Clip, row: HistoryRow | None) -> bool:
        """A 404 is no end while the history says that it runs, nor while it is too young to be known everywhere."""
        age = self._age(clip)
        return age < YOUNG_S if row is None else isinstance(row.outcome, Running) and age < self._tools.deadline_s

    def _age(self, clip: Clip) -> float:
        request = clip.request
        at = (request.submitted_at or request.intent_at) if request else 0.0
        return self._tools.ledger.now() - at

    async def _in_history(self, clip: Clip, ended: Ended, place: InFlightSlot) -> HistoryRow | NoAnswer | None:
        """Look the request up by its id in the account's history, patiently where nobody else can tell.

        An answer that is the video must be fetched before its record ends, and a young request is asked for again.
        """
        linked = isinstance(ended, Completed) and ended.url
        young = isinstance(ended, Gone) and self._age(clip) < YOUNG_S
        return await self._recall.row(clip, patient=not linked and not young, waits=place.give_back)

    def _learn(
        self, event: Generated, submitted_at: float, times: RunTimes, place: InFlightSlot, queued_s: float
    ) -> None:
        """Learn how long it took; what the service says of it is believed as far as our own clock bears it out."""
        watched = max(0.0, event.at - submitted_at)
        queue = None if event.queue_s is None else min(event.queue_s, watched)
        run = watched - (queue or 0.0) if event.run_s is None else min(event.run_s, watched)
        unseen = event.run_s is None and submitted_at < self._tools.started_at  # it ended while nobody looked
        took = run if queue is not None else None if unseen else watched
        self._tools.places.learn(queue, took, place.taken, seen_s=queued_s, generation=place.generation)
        if unseen:
            return
        before = times.typical
        times.learn(min(watched, run + (queue or 0.0)), run if queue is not None else None)
        if times.count <= 5 or not math.isclose(before, times.typical, rel_tol=0.1):
            self._tools.poller.reschedule()


def lost(ended: Ended, told: HistoryRow | NoAnswer | None) -> Lost:
    """Say why a file is not to be had, as far as is known; that the history was silent is no absence in it."""
    row = told.outcome if isinstance(told, HistoryRow) else None
    costs = [each.cost for each in (ended, row) if isinstance(each, Completed)]
    silent = f"its history gave no answer: {told.why}" if isinstance(told, NoAnswer) else ""
    if isinstance(ended, Gone):
        why = f"the service keeps no record of it any more, and {silent or 'its history has no file'}"
    elif isinstance(ended, Overdue):
        why = f"past the deadline, the service still said: {ended.last}" + (silent and f"; {silent}")
    else:
        said = f": {ended.body}" if isinstance(ended, Completed) and ended.body else ""
        why = f"COMPLETED, but the service named no file{said}" + (silent and f"; {silent}")
    return Lost(why, cost=next((cost for cost in costs if cost is not None), None))


def refused(clip: Clip, outcome: Refused) -> Ending:
    """Turn a FAILED into the clip's fate: blocked, tried again while that is free, or failed."""
    if outcome.cause is Cause.BLOCKED:
        return Blocked(outcome.reason)
    if outcome.cause is not Cause.TRANSIENT:
        return Failed(outcome.reason)
    again = clip.failures < FREE_RETRIES and clip.attempts < MAX_ATTEMPTS
    return (
        FailedForNow(outcome.reason)
        if again and clip.state is State.GENERATING
        else Failed(outcome.reason, transient=True)
    )
