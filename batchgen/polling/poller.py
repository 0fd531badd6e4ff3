"""The one poller: a single task over a heap of due times for all requests in flight; workers await it.

A fault while polling is never the job's failure: it is polled again until the deadline ends the wait, and a few times
more while the record still lives or the job is known to have completed.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import count, islice

from batchgen.errors import AccountError, CallError, RateLimited, TryAgain, Unreachable
from batchgen.polling.schedule import SCOUTS, UPDATE_S, PollBudget, RunTimes, next_poll
from batchgen.polling.wait import Ended, Overdue, Probes, Wait, merge, word_of
from batchgen.providers.base import Completed, Gone, Outcome, Provider, Refused, Running
from batchgen.ratelimit.base import Call, Pacer, Permit
from batchgen.retry import delay

log = logging.getLogger("batchgen.polling.poller")

#: A new request may not be known everywhere at once: a 404 this young proves nothing (seconds).
YOUNG_S = 60.0
#: Polls at once; more would only wait for each other.
POLLS_AT_ONCE = 64
#: A result that does not agree with the status COMPLETED is asked for so often; so is, past the deadline, what fails.
RESULT_TRIES = 5
#: A record that has lived this part of its time is polled before anything is submitted.
HURRY_PART = 0.75
#: A probe comes so long after the submission (seconds), or at this part of the typical run time if that is sooner.
PROBE_S, PROBE_PART = 8.0, 0.05


class Poller:
    """Polls requests at the ages that `schedule` gives, and wakes the workers that wait for them.

    Args:
        provider: answers the polls.
        pacer: grants each call.
        deadline_s: seconds after submission, by the wall, at which a wait ends.
        wall_clock: epoch seconds.
        probes: learns from early polls.
    """

    def __init__(
        self,
        provider: Provider,
        pacer: Pacer,
        *,
        deadline_s: float,
        wall_clock: Callable[[], float],
        probes: Probes | None = None,
    ) -> None:
        self._provider = provider
        self._record_s = provider.capabilities.record_s
        self._pacer = pacer
        self._deadline_s = deadline_s
        self._wall = wall_clock
        self._probes = probes
        self._heap: list[tuple[float, int, Wait]] = []
        self._numbers = count()
        self._changed = asyncio.Event()
        self._waiting: dict[str, Wait] = {}
        self._at_once = asyncio.Semaphore(POLLS_AT_ONCE)
        self._budget = PollBudget()
        self._due: list[tuple[float, int, Wait]] = []  # due, and not polled yet; the oldest first
        self._poll_counts: Counter[str] = Counter()  # by request id
        self._queued: dict[str, float] = {}  # the age at which each was last seen to queue

    def __repr__(self) -> str:
        """Show how many wait, for logs and tests."""
        return f"<Poller of {len(self._waiting)} requests>"

    def older_than(self, seconds: float) -> tuple[int, int]:
        """Count the requests in flight that are older than this, and all of them."""
        born_before, ages = self._wall() - seconds, self.submitted()
        return sum(at < born_before for at in ages), len(ages)

    def submitted(self) -> list[float]:
        """Give when the requests in flight were submitted."""
        return [wait.submitted_at for wait in self._waiting.values()]

    async def wait(self, request_id: str, submitted_at: float, times: RunTimes, *, pause_s: float = 0.0) -> Ended:
        """Wait for the end of a request; the first poll comes `pause_s` from now at the earliest.

        Raises:
            AccountError: nothing can be asked any more.
        """
        loop = asyncio.get_running_loop()
        wait = Wait(request_id, submitted_at, times, loop.create_future())
        self._waiting[request_id] = wait
        wait.probe = self._probes is not None and self._probes.wants_probe(len(self._waiting))
        wait.not_before = loop.time() + pause_s
        self._put(wait, 0.0) if pause_s == 0 and self._missed(wait) else self._plan(wait)
        try:
            ended = await wait.ended
        finally:
            self._waiting.pop(request_id, None)
            self._probed(wait, queued=None)
        if not times.count:  # another one is polled for all instead
            self.reschedule()
        return ended

    def poll_count(self, request_id: str) -> int:
        """Give how many status calls were made for a request since this was last asked, answered or not."""
        return self._poll_counts.pop(request_id, 0)

    def queued_s(self, request_id: str) -> float:
        """Give the age at which a request was last seen to queue since this was last asked, in seconds; 0: never."""
        return self._queued.pop(request_id, 0.0)

    def queues(self, request_id: str) -> bool:
        """Return whether its last status check found a request still in the service's queue."""
        wait = self._waiting.get(request_id)
        return wait is not None and wait.queued

    async def run(self) -> None:
        """Poll what is due until cancelled."""
        async with asyncio.TaskGroup() as polls:
            while True:
                wait = await self._next_due()
                # A probe that waits behind all that is due would show too late whether there is room for more.
                before = -math.inf if wait.probe else wait.submitted_at
                heapq.heappush(self._due, (before, next(self._numbers), wait))
                polls.create_task(self._turn(self._kind_of_call(wait)))

    def reschedule(self) -> None:
        """Plan all polls to come again: an end has changed what is known of run times. What is due stays due."""
        now = asyncio.get_running_loop().time()
        for wait in list(self._waiting.values()):
            if now < wait.due < math.inf and not wait.faults and wait.completed is None:
                self._plan(wait)

    # --- when -----------------------------------------------------------------------------------------------

    def _plan(self, wait: Wait) -> None:
        """Put the next poll on the heap; an older entry of the same wait no longer counts."""
        age = max(0.0, self._wall() - wait.submitted_at)
        pause = wait.not_before - asyncio.get_running_loop().time()
        self._put(wait, max(pause, min(self.next_age(wait, age), self._deadline_s) - age))

    def next_age(self, wait: Wait, age: float) -> float:
        """Give the age at which to poll next: all policy is here (seconds since the submission)."""
        at = next_poll(age, wait.times, polls=self._budget.polls, older=self._older(wait))
        if wait.queued_s:
            at = max(at, wait.queued_s + wait.times.quickest)
        return min(at, age + min(PROBE_S, PROBE_PART * wait.times.typical)) if wait.probe else at

    def _update_budget(self) -> None:
        """Plan all polls again when another number of them can be afforded."""
        times = next((wait.times for wait in self._waiting.values()), None)
        pace = self._pacer.snapshot()
        spare_per_s, most_per_s = pace.spare_polls / 60.0, pace.polls_per_s
        now = asyncio.get_running_loop().time()
        if times and self._budget.update(now, times, len(self._waiting), spare_per_s, most_per_s):
            self.reschedule()

    def _missed(self, wait: Wait) -> bool:
        """Return whether nobody polled when it was time, or may have been: the run before had ended."""
        age = self._wall() - wait.submitted_at
        return age >= YOUNG_S and (not wait.times.count or self.next_age(wait, 0.0) <= age)

    def _older(self, wait: Wait) -> int:
        """Count those of its class that went before it, up to `SCOUTS`, while it matters."""
        if wait.times.count >= SCOUTS:
            return SCOUTS
        alike = (each for each in self._waiting.values() if each.times is wait.times)
        return next((n for n, each in enumerate(islice(alike, SCOUTS)) if each is wait), SCOUTS)

    def _put(self, wait: Wait, seconds: float) -> None:
        wait.due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._heap, (wait.due, next(self._numbers), wait))
        self._changed.set()

    async def _next_due(self) -> Wait:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            while self._heap and (self._heap[0][2].due != self._heap[0][0] or self._heap[0][2].ended.done()):
                heapq.heappop(self._heap)
            self._update_budget()
            left = self._heap[0][0] - loop.time() if self._heap else None
            if left is not None and left <= 0:
                wait = heapq.heappop(self._heap)[2]
                wait.due = math.inf  # being polled
                return wait
            try:
                async with asyncio.timeout(left if left is None else min(left, UPDATE_S)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    # --- a poll ---------------------------------------------------------------------------------------------

    async def _turn(self, call: Call) -> None:
        """Poll one of those that are due: not the one that waits longest, but the one whose record ends first."""
        async with self._at_once:
            asked_at = asyncio.get_running_loop().time()
            permit = await self._pacer.acquire(call)
            while self._due:
                wait = heapq.heappop(self._due)[2]
                if not wait.ended.done():
                    wait.asked_at = asked_at
                    await self._poll(wait, permit)
                    return

    def _kind_of_call(self, wait: Wait) -> Call:
        """Name the call to ask for: before submissions, if this one has completed or its record soon ends."""
        if wait.completed is not None:
            return Call.COLLECT
        return Call.HURRY if self._wall() - wait.submitted_at >= HURRY_PART * self._record_s else Call.POLL

    async def _poll(self, wait: Wait, permit: Permit) -> None:
        try:
            outcome = await self._ask(wait, permit)
        except AccountError as error:
            wait.end(error)
        except CallError as error:
            self._fault(wait, error)
        else:
            wait.faults = 0
            self._digest(wait, outcome)

    async def _ask(self, wait: Wait, permit: Permit) -> Outcome:
        """Ask for the status, and at once for the result of what has completed.

        The result is asked for as if it had waited as long as its poll: no other poll comes in between.
        """
        if wait.completed is None:
            self._poll_counts[wait.request_id] += 1
            async with permit:
                outcome = await self._provider.status(wait.request_id)
            if not isinstance(outcome, Completed):
                return outcome
            wait.completed, wait.seen = outcome, True
            permit = await self._pacer.acquire(Call.COLLECT, since=wait.asked_at)
        async with permit:
            outcome = await self._provider.result(wait.request_id)
        return merge(wait.completed, outcome) if isinstance(outcome, Completed) else outcome

    def _digest(self, wait: Wait, outcome: Outcome) -> None:
        age = self._wall() - wait.submitted_at
        wait.gone = wait.gone + 1 if isinstance(outcome, Gone) else 0
        # One 404 may be a replica that lags; whether two are an end is for the one who waits to find out.
        gone = wait.gone >= 2 or (wait.gone and (age >= YOUNG_S or wait.seen))
        last_try = wait.result_tries + 1 >= RESULT_TRIES
        linked = isinstance(outcome, Completed) and (outcome.url or last_try)
        if isinstance(outcome, Refused) or gone or linked:
            self._budget.ended(asyncio.get_running_loop().time())
            wait.end(outcome)
        elif wait.completed is not None:  # COMPLETED, and the result does not agree yet
            wait.result_tries += 1
            if wait.result_tries >= RESULT_TRIES:
                wait.end(wait.completed)
            else:
                self._put(wait, delay(wait.result_tries))
        elif age >= self._deadline_s:
            wait.end(Overdue(word_of(outcome)))
        else:
            self._still_running(wait, outcome)

    def _still_running(self, wait: Wait, outcome: Outcome) -> None:
        word = word_of(outcome)
        if isinstance(outcome, Running) and outcome.known:
            self._probed(wait, queued=outcome.queued)
            wait.queued = outcome.queued
            if outcome.queued:
                self._queued[wait.request_id] = wait.queued_s = self._wall() - wait.submitted_at
        wait.seen = wait.seen or isinstance(outcome, Running)
        if isinstance(outcome, Running) and not outcome.known and word != wait.last:
            log.warning("request %s is in the unknown state %r: waiting on", wait.request_id, word)
        wait.last = word
        self._plan(wait)

    def _probed(self, wait: Wait, *, queued: bool | None) -> None:
        if wait.probe and self._probes is not None:
            wait.probe = False
            self._probes.probed(queued=queued)

    def _fault(self, wait: Wait, error: CallError) -> None:
        """Ask again later: what went wrong is about now, not about the job."""
        wait.faults += 1
        hint = error.retry_after if isinstance(error, TryAgain) else None
        log.debug("request %s: %s", wait.request_id, error)
        if self._is_last(wait, error):
            wait.end(wait.completed or Overdue(f"no answer ({error})"))
        else:
            self._put(wait, delay(wait.faults, hint=hint, dice=random.random()))

    def _is_last(self, wait: Wait, error: CallError) -> bool:
        """Return whether a fault ends the wait: not before the deadline, nor while the API can't be reached.

        Past the deadline the record has minutes left, and what has completed is paid for: a few faults end neither,
        and a refusal as too many says nothing of the job.
        """
        age = self._wall() - wait.submitted_at
        lives = age < self._record_s
        if age < self._deadline_s or isinstance(error, Unreachable) or (isinstance(error, RateLimited) and lives):
            return False
        wait.late_faults += 1
        return wait.late_faults >= RESULT_TRIES or not (lives or wait.completed)
