"""From an accepted request to its link: wait for the end, ask the history where the record is gone."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

from batchgen.clip import Blocked, Clip, Ending, Failed, FailedForNow, Generated, Lost, State
from batchgen.errors import NowError, UnknownError
from batchgen.flow.tools import Place, Tools, filled, generated
from batchgen.pacing.pacer import Call
from batchgen.polling.poller import Overdue
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Cause, Completed, Gone, HistoryRow, Refused, Running
from batchgen.retry import FREE_RETRIES, MAX_ATTEMPTS, delay

log = logging.getLogger("batchgen.collect")

#: A new request may not be known everywhere at once: 404s this young are no end (seconds).
YOUNG_S = 60.0
YOUNG_PAUSE_S = 5.0
#: How often the history is asked for one request before its silence counts.
HISTORY_TRIES = 4
#: How long to wait before a request that only the history knows as running is asked for again (seconds).
ONLY_HISTORY_S = 60.0


class Collector:
    """Waits for requests to end and says what their end means."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def collect(self, clip: Clip, place: Place) -> Clip:
        """Wait for the end of the request; cost and link are on disk when this returns.

        With them goes how often it was looked at, unless an earlier run, which was killed or stopped, had begun to.
        """
        request = clip.request
        if request is None or request.request_id is None:  # the table forbids it
            raise RuntimeError(clip)
        times = self._tools.run_times(clip.wanted.grade)
        submitted_at = request.submitted_at or request.intent_at
        pause = 0.0
        while True:
            ended = await self._tools.poller.wait(request.request_id, submitted_at, times, pause_s=pause)
            event = await self._event_of(clip, ended)
            if event is not None:
                break
            pause = ONLY_HISTORY_S if self._age(clip) >= YOUNG_S else YOUNG_PAUSE_S
        queued_s = self._tools.poller.queued_s(request.request_id)
        if isinstance(event, Generated) and isinstance(ended, Completed) and ended.url:
            self._learn(event, submitted_at, times, place, queued_s)
        elif isinstance(ended, Overdue):  # its place is free, and what made it late may be a queue
            self._tools.places.learn(None, self._age(clip), place.taken, seen_s=queued_s, era=place.era)
        looks = self._tools.poller.looked(request.request_id)
        if submitted_at >= self._tools.started_at:
            event = replace(event, looks=looks)
        clip = await self._tools.ledger.record(clip, event)
        self._tools.settled(clip)
        return clip

    async def _event_of(self, clip: Clip, ended: Completed | Refused | Gone | Overdue) -> Ending | None:
        """What the end means for the clip; None: it may well be running, ask again."""
        if isinstance(ended, Refused):
            return refused(clip, ended)
        if isinstance(ended, Completed) and ended.url and self._tools.provider.video(ended.url) is None:
            return generated(ended, self._tools.ledger.now())
        row = await self._in_history(clip)
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
        if isinstance(ended, Completed):
            said = f": {ended.body}" if ended.body else ""
            return Lost(f"COMPLETED, but the service named no file{said}", cost=ended.cost)
        if isinstance(ended, Gone):
            cost = row.outcome.cost if row is not None and isinstance(row.outcome, Completed) else None
            return Lost("the service keeps no record of it any more, and its history has no file", cost=cost)
        return Lost(f"past the deadline, the service still said: {ended.last}")

    def _may_run(self, clip: Clip, row: HistoryRow | None) -> bool:
        """A 404 is no end while the history says that it runs, nor while it is too young to be known everywhere."""
        age = self._age(clip)
        return age < YOUNG_S if row is None else isinstance(row.outcome, Running) and age < self._tools.deadline_s

    def _age(self, clip: Clip) -> float:
        request = clip.request
        at = (request.submitted_at or request.intent_at) if request else 0.0
        return self._tools.ledger.now() - at

    async def _in_history(self, clip: Clip) -> HistoryRow | None:
        """Look the request up by its id in the account's history; a bad minute of it is waited out."""
        for attempt in range(1, HISTORY_TRIES + 1):
            grant = await self._tools.pacer.grant(Call.HISTORY)
            try:
                return await self._tools.provider.lookup(clip.request_id or "")
            except UnknownError as error:
                log.warning("%s: the request history gave no answer: %s", clip.wanted.name, error)
            except NowError as error:
                self._tools.call_trouble(error, grant)
            if attempt < HISTORY_TRIES:
                await self._tools.pause(delay(attempt, dice=self._tools.dice(), base=2.0))
        return None

    def _learn(self, event: Generated, submitted_at: float, times: RunTimes, place: Place, queued_s: float) -> None:
        """Learn how long it took; what the service says of it is believed as far as our own clock bears it out."""
        watched = max(0.0, event.at - submitted_at)
        queue = None if event.queue_s is None else min(event.queue_s, watched)
        run = watched - (queue or 0.0) if event.run_s is None else min(event.run_s, watched)
        unseen = event.run_s is None and submitted_at < self._tools.started_at  # it ended while nobody looked
        took = run if queue is not None else None if unseen else watched
        self._tools.places.learn(queue, took, place.taken, seen_s=queued_s, era=place.era)
        if unseen:
            return
        before = times.typical
        times.learn(min(watched, run + (queue or 0.0)), run if queue is not None else None)
        if times.count <= 5 or not math.isclose(before, times.typical, rel_tol=0.1):
            self._tools.poller.reschedule()


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
