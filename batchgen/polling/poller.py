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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Protocol, TypeAlias

from batchgen.errors import AccountError, CallError, RateLimited, TryAgain, Unreachable
from batchgen.polling.schedule import SCOUTS, UPDATE_S, PollBudget, RunTimes, next_poll
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


@dataclass(frozen=True, slots=True)
class Overdue:
    """The deadline came before the end: stuck, or in a state that we do not know."""

    last: str


Ended: TypeAlias = Completed | Refused | Gone | Overdue


class Probes(Protocol):
    """Wants to know soon whether a new request was begun at once or has to queue."""

    def wants_probe(self, accepted: int) -> bool:
        """Return whether to poll the newest of so many accepted requests early; the probe is out until `probed`."""
        ...

    def probed(self, *, queued: bool | None) -> None:
        """Report what was seen; None: nothing that counts."""
        ...


@dataclass(slots=True, eq=False)
class Wait:
    """One request in flight, and what was seen of it; `Poller.wait` gives it back once it has `ended`."""

    request_id: str
    submitted_at: float  #: by the wall
    times: RunTimes
    ending: asyncio.Future[Ended]
    not_before: float  #: by the loop's clock
    due: float = 0.0  #: by the loop's clock; infinite while it is polled
    polls: int = 0  #: status calls that were made, answered or not
    faults: int = 0
    late_faults: int = 0  #: past the deadline
    gone: int = 0  #: 404s in a row
    seen: bool = False  #: the service knew it at some poll
    word: str = ""  #: its state as the service last named it
    completed: Completed | None = None
    result_tries: int = 0
    probe: bool = False
    queued: bool = False  #: at the last poll that was answered
    queued_s: float = 0.0  #: the age at which it was last seen to queue, in seconds; 0: never

    @property
    def ended(self) -> Ended:
        """What ended the wait."""
        return self.ending.result()

    def end(self, news: Ended | AccountError) -> None:
        """Wake who waits for it, unless it has ended before."""
        if self.ending.done():
            return
        if isinstance(news, AccountError):
            self.ending.set_exception(news)
        else:
            self.ending.set_result(news)


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
        self._waiting: dict[str, Wait] = {}  # by request id, the oldest first
        self._heap: list[tuple[float, int, Wait]] = []  # by due time
        self._due: list[tuple[float, int, Wait]] = []  # due, and not polled yet; the oldest record first
        self._numbers = count()
        self._changed = asyncio.Event()  # the heap has
        self._at_once = asyncio.Semaphore(POLLS_AT_ONCE)
        self._budget = PollBudget()

    def __repr__(self) -> str:
        """Show how many wait, for logs and tests."""
        return f"<Poller of {len(self._waiting)} requests>"

    def submitted(self) -> list[float]:
        """Give when the requests in flight were submitted."""
        return [wait.submitted_at for wait in self._waiting.values()]

    def queues(self, request_id: str) -> bool:
        """Return whether its last status check found a request still in the service's queue."""
        wait = self._waiting.get(request_id)
        return wait is not None and wait.queued

    async def wait(self, request_id: str, submitted_at: float, times: RunTimes, *, pause_s: float = 0.0) -> Wait:
        """Wait for the end of a request; the first poll comes `pause_s` from now at the earliest.

        Raises:
            AccountError: nothing can be asked any more.
        """
        loop = asyncio.get_running_loop()
        wait = Wait(request_id, submitted_at, times, loop.create_future(), loop.time() + pause_s)
        self._waiting[request_id] = wait
        wait.probe = self._probes is not None and self._probes.wants_probe(len(self._waiting))
        self._plan(wait, polled_age=0.0)  # so what an earlier run should have polled long since is due at once
        try:
            await wait.ending
        finally:
            self._waiting.pop(request_id, None)
            self._probed(wait, queued=None)
        if not times.count:  # another one is polled for all instead
            self.reschedule()
        return wait

    async def run(self) -> None:
        """Poll what is due until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as polls:
            while True:
                self._changed.clear()
                if self._waiting and loop.time() - self._budget.updated_at >= UPDATE_S:
                    times, pace = next(iter(self._waiting.values())).times, self._pacer.snapshot()
                    spare_per_s, waiting = pace.spare_polls / 60.0, len(self._waiting)
                    if self._budget.update(loop.time(), times, waiting, spare_per_s, pace.polls_per_s):
                        self.reschedule()
                while self._heap and self._heap[0][0] <= loop.time():
                    due, _, wait = heapq.heappop(self._heap)
                    if wait.due == due and not wait.ending.done():
                        wait.due = math.inf
                        # A probe that waits behind all that is due would show too late whether there is room for more.
                        record_from = -math.inf if wait.probe else wait.submitted_at
                        heapq.heappush(self._due, (record_from, next(self._numbers), wait))
                        hurries = self._wall() - wait.submitted_at >= HURRY_PART * self._record_s
                        call = Call.COLLECT if wait.completed else Call.HURRY if hurries else Call.POLL
                        polls.create_task(self._turn(call))
                left = min(UPDATE_S, self._heap[0][0] - loop.time()) if self._heap else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._changed.wait()

    # --- when -----------------------------------------------------------------------------------------------

    def reschedule(self) -> None:
        """Plan all polls to come again: an end has changed what is known of run times. What is due stays due."""
        now = asyncio.get_running_loop().time()
        for wait in list(self._waiting.values()):
            if now < wait.due < math.inf and not wait.faults and wait.completed is None:
                self._plan(wait)

    def next_age(self, wait: Wait, age: float) -> float:
        """Give the age at which to poll next: all policy is here (seconds since the submission)."""
        older = SCOUTS
        if wait.times.count < SCOUTS:  # it matters how many of its class went before it
            alike = (each for each in self._waiting.values() if each.times is wait.times)
            older = next((n for n, each in enumerate(islice(alike, SCOUTS)) if each is wait), SCOUTS)
        at = next_poll(age, wait.times, polls=self._budget.polls, older=older)
        if wait.queued_s:
            at = max(at, wait.queued_s + wait.times.quickest)
        return min(at, age + min(PROBE_S, PROBE_PART * wait.times.typical)) if wait.probe else at

    def _plan(self, wait: Wait, polled_age: float | None = None) -> None:
        """Plan the next poll after that age, or after now."""
        age = max(0.0, self._wall() - wait.submitted_at)
        at = min(self.next_age(wait, age if polled_age is None else polled_age), self._deadline_s)
        self._put(wait, max(at - age, wait.not_before - asyncio.get_running_loop().time()))

    def _put(self, wait: Wait, seconds: float) -> None:
        """Put the next poll on the heap; an older entry of the same wait no longer counts."""
        wait.due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._heap, (wait.due, next(self._numbers), wait))
        self._changed.set()

    # --- a poll ---------------------------------------------------------------------------------------------

    async def _turn(self, call: Call) -> None:
        """Poll one of those that are due: not the one that waits longest, but the one whose record ends first."""
        async with self._at_once:
            asked_at = asyncio.get_running_loop().time()
            permit = await self._pacer.acquire(call)
            while self._due and self._due[0][2].ending.done():
                heapq.heappop(self._due)
            if not self._due:
                permit.unused()
                return
            wait = heapq.heappop(self._due)[2]
            try:
                outcome = await self._ask(wait, permit, asked_at)
            except AccountError as error:
                wait.end(error)
            except CallError as error:
                self._fault(wait, error)
            else:
                wait.faults = 0
                self._digest(wait, outcome)

    async def _ask(self, wait: Wait, permit: Permit, asked_at: float) -> Outcome:
        """Ask for the status, and at once for the result of what has completed.

        The result is asked for as if it had waited as long as its poll: no other poll comes in between.
        """
        if wait.completed is None:
            wait.polls += 1
            async with permit:
                outcome = await self._provider.status(wait.request_id)
            if not isinstance(outcome, Completed):
                return outcome
            wait.completed, wait.seen = outcome, True
            permit = await self._pacer.acquire(Call.COLLECT, since=asked_at)
        async with permit:
            outcome = await self._provider.result(wait.request_id)
        return merge(wait.completed, outcome) if isinstance(outcome, Completed) else outcome

    def _digest(self, wait: Wait, outcome: Outcome) -> None:
        """End the wait by an answer, or plan the next poll."""
        now, age = asyncio.get_running_loop().time(), self._wall() - wait.submitted_at
        wait.gone = wait.gone + 1 if isinstance(outcome, Gone) else 0
        wait.result_tries += wait.completed is not None
        last_try = wait.result_tries >= RESULT_TRIES
        # One 404 may be a replica that lags; whether two are an end is for the one who waits to find out.
        gone = isinstance(outcome, Gone) and (wait.gone >= 2 or age >= YOUNG_S or wait.seen)
        linked = isinstance(outcome, Completed) and (outcome.url or last_try)
        if not isinstance(outcome, Running) and (isinstance(outcome, Refused) or gone or linked):
            self._budget.ends.append(now)
            wait.end(outcome)
        elif wait.completed is not None:  # the result does not agree with it yet
            wait.end(wait.completed) if last_try else self._put(wait, delay(wait.result_tries))
        elif age >= self._deadline_s:
            wait.end(Overdue(outcome.word if isinstance(outcome, Running) else "not found yet"))
        else:
            if isinstance(outcome, Running):
                if outcome.known:
                    self._probed(wait, queued=outcome.queued)
                    wait.queued = outcome.queued
                    wait.queued_s = age if outcome.queued else wait.queued_s
                elif outcome.word != wait.word:
                    log.warning("request %s is in the unknown state %r: waiting on", wait.request_id, outcome.word)
                wait.seen, wait.word = True, outcome.word
            self._plan(wait)

    def _probed(self, wait: Wait, *, queued: bool | None) -> None:
        if wait.probe and self._probes is not None:
            wait.probe = False
            self._probes.probed(queued=queued)

    def _fault(self, wait: Wait, error: CallError) -> None:
        """Ask again later: what went wrong is about now, not about the job.

        No fault ends a wait before the deadline, nor while the API can't be reached. Past it the record has minutes
        left, and what has completed is paid for: a few faults end neither, and a refusal as too many says nothing of
        the job.
        """
        log.debug("request %s: %s", wait.request_id, error)
        age = self._wall() - wait.submitted_at
        lives = age < self._record_s
        excused = isinstance(error, Unreachable) or (isinstance(error, RateLimited) and lives)
        late = age >= self._deadline_s and not excused
        wait.faults += 1
        wait.late_faults += late
        if late and (wait.late_faults >= RESULT_TRIES or not (lives or wait.completed)):
            wait.end(wait.completed or Overdue(f"no answer ({error})"))
        else:
            hint = error.retry_after if isinstance(error, TryAgain) else None
            self._put(wait, delay(wait.faults, hint=hint, dice=random.random()))


def merge(status: Completed, result: Completed) -> Completed:
    """Join what the two answers say; the result's own words win."""
    names = ("url", "cost", "file_size", "queue_s", "run_s", "body")
    return replace(result, **{name: getattr(status, name) for name in names if getattr(result, name) in {None, ""}})
