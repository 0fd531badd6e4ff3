"""The one poller: a single task over a heap of due times for all requests in flight; workers await it.

A fault while polling is never the job's failure: it is asked again, until the deadline ends the wait, and a few
times more while the record still lives or the job is known to have completed.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol, TypeAlias

from batchgen.errors import AccountError, CallError, RateLimited, TryAgain, Unreachable
from batchgen.polling.allowance import FOLLOW_EVERY_S, Allowance
from batchgen.polling.schedule import SCOUTS, RunTimes, next_look
from batchgen.providers.base import Completed, Gone, Outcome, Provider, Refused, Running
from batchgen.ratelimit.base import Call, Pacer, Permit
from batchgen.retry import delay

log = logging.getLogger("batchgen.polling.poller")

#: A new request may not be known everywhere at once: 404s this young are no news (seconds).
YOUNG_S = 60.0
#: Looks at once; more would only wait for each other.
LOOKS = 64
#: Status answers that say COMPLETED, and results that do not agree, are asked again this often; so are looks that
#: meet a fault past the deadline.
RESULT_TRIES = 5
#: A record that has lived this part of its time is asked for before anything is submitted.
HURRY_PART = 0.75
#: A probe looks so long after the submission, or at this part of the typical run time if that is sooner (seconds).
PROBE_S, PROBE_PART = 8.0, 0.05


@dataclass(frozen=True, slots=True)
class Overdue:
    """The deadline came before the end: stuck, or in a state that we do not know."""

    last: str


class Probes(Protocol):
    """Who wants to know soon whether a new request was begun at once or has to queue."""

    def wants_probe(self, accepted: int) -> bool:
        """Tell whether to look early at the newest of so many accepted requests; the probe is out until `probed`."""
        ...

    def probed(self, *, queued: bool | None) -> None:
        """Say what was seen; None: nothing that counts."""
        ...


Ended: TypeAlias = Completed | Refused | Gone | Overdue


@dataclass(slots=True)
class Wait:
    """One request in flight, and what was seen of it."""

    request_id: str
    submitted_at: float  #: by the wall
    times: RunTimes
    ended: asyncio.Future[Ended]
    due: float = 0.0  #: by the loop's clock
    not_before: float = 0.0  #: by the loop's clock
    asked: float = 0.0  #: when its turn was asked for, by the loop's clock
    faults: int = 0
    late_faults: int = 0  #: past the deadline
    gone: int = 0  #: 404s in a row
    seen: bool = False  #: the service knew it at some look
    last: str = "nothing"
    completed: Completed | None = None
    result_tries: int = 0
    probe: bool = False
    queued_s: float = 0.0  #: the age at which it was last seen to queue


class Poller:
    """Asks how far requests are, at the times that `schedule` gives, and wakes who waits.

    Args:
        provider: whom to ask.
        pacer: whom to ask first.
        deadline_s: seconds after submission, by the wall, at which a wait ends.
        wall_clock: epoch seconds.
        probes: who learns from early looks.
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
        self._ages: list[tuple[float, str]] = []
        self._looks = asyncio.Semaphore(LOOKS)
        self._allowance = Allowance(pacer)
        self._due: list[tuple[float, int, Wait]] = []  #: due, and not asked about yet; the oldest first
        self._made: Counter[str] = Counter()  #: status calls by request id
        self._queued: dict[str, float] = {}  #: the age at which each was last seen to queue

    def __repr__(self) -> str:
        """Say how many wait, for logs and tests."""
        return f"<Poller of {len(self._waiting)} requests>"

    def older_than(self, seconds: float) -> tuple[int, int]:
        """Count the requests in flight that are older than this, and all of them."""
        born_before = self._wall() - seconds
        while self._ages and self._ages[0][1] not in self._waiting:
            heapq.heappop(self._ages)
        if not self._ages or self._ages[0][0] >= born_before:
            return 0, len(self._waiting)
        old = sum(1 for wait in self._waiting.values() if wait.submitted_at < born_before)
        return old, len(self._waiting)

    def submitted(self) -> list[float]:
        """Give when the requests in flight were submitted."""
        return [wait.submitted_at for wait in self._waiting.values()]

    async def wait(self, request_id: str, submitted_at: float, times: RunTimes, *, pause_s: float = 0.0) -> Ended:
        """Wait for the end of a request; the first look comes `pause_s` from now at the earliest.

        Raises:
            AccountError: nothing can be asked any more.
        """
        loop = asyncio.get_running_loop()
        wait = Wait(request_id, submitted_at, times, loop.create_future())
        self._waiting[request_id] = wait
        heapq.heappush(self._ages, (submitted_at, request_id))
        wait.probe = self._probes is not None and self._probes.wants_probe(len(self._waiting))
        wait.not_before = loop.time() + pause_s
        if pause_s == 0 and self._missed(wait):
            self._put(wait, 0.0)
        else:
            self._plan(wait)
        try:
            ended = await wait.ended
        finally:
            self._waiting.pop(request_id, None)
            self._probed(wait, queued=None)
        if not times.count:  # another one looks for all in its place
            self.reschedule()
        return ended

    def looked(self, request_id: str) -> int:
        """Give how many status calls were made for a request since this was last asked, answered or not."""
        return self._made.pop(request_id, 0)

    def queued_s(self, request_id: str) -> float:
        """Give the age at which a request was last seen to queue since this was last asked, in seconds; 0: never."""
        return self._queued.pop(request_id, 0.0)

    async def run(self) -> None:
        """Look at what is due until cancelled."""
        async with asyncio.TaskGroup() as looks:
            while True:
                wait = await self._next_due()
                # A probe that waits behind all that is due would tell too late whether there is room for more.
                before = -math.inf if wait.probe else wait.submitted_at
                heapq.heappush(self._due, (before, next(self._numbers), wait))
                looks.create_task(self._turn(self._call(wait)))

    def reschedule(self) -> None:
        """Plan all looks to come anew: a completion has taught us a lot about run times. What is due stays due."""
        now = asyncio.get_running_loop().time()
        for wait in list(self._waiting.values()):
            if now < wait.due < math.inf and not wait.faults and wait.completed is None:
                self._plan(wait)

    # --- when -----------------------------------------------------------------------------------------------

    def _plan(self, wait: Wait) -> None:
        """Put the next look on the heap; an older entry of the same wait no longer counts."""
        age = max(0.0, self._wall() - wait.submitted_at)
        pause = wait.not_before - asyncio.get_running_loop().time()
        self._put(wait, max(pause, min(self.next_age(wait, age), self._deadline_s) - age))

    def next_age(self, wait: Wait, age: float) -> float:
        """Give the age at which to look next: all policy is here (seconds since the submission)."""
        look = next_look(age, wait.times, calls=self._allowance.looks, older=self._older(wait))
        look = max(look, wait.queued_s + wait.times.quickest)
        if wait.probe:
            look = min(look, age + min(PROBE_S, PROBE_PART * wait.times.typical))
        return look

    def _follow(self) -> None:
        """Plan all looks anew when another number of them can be afforded."""
        times = next((wait.times for wait in self._waiting.values()), None)
        now = asyncio.get_running_loop().time()
        if times is not None and self._allowance.follow(now, times, len(self._waiting)):
            self.reschedule()

    def _missed(self, wait: Wait) -> bool:
        """Tell whether nobody looked when it was time, or may have been: the run before had ended."""
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
            self._follow()
            left = self._heap[0][0] - loop.time() if self._heap else None
            if left is not None and left <= 0:
                wait = heapq.heappop(self._heap)[2]
                wait.due = math.inf  # being looked at
                return wait
            try:
                async with asyncio.timeout(left if left is None else min(left, FOLLOW_EVERY_S)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    # --- a look ---------------------------------------------------------------------------------------------

    async def _turn(self, call: Call) -> None:
        """Look at one of those that are due: not the one that waits longest, but the one whose record ends first.

        A result is asked for as if it had waited as long as its look: no other look comes in between.
        """
        async with self._looks:
            asked = asyncio.get_running_loop().time()
            permit = await self._pacer.acquire(call)
            while self._due:
                wait = heapq.heappop(self._due)[2]
                if not wait.ended.done():
                    wait.asked = asked
                    await self._look(wait, permit)
                    return

    def _call(self, wait: Wait) -> Call:
        """What one more turn is asked for: before submissions, if this one has ended or its record soon will."""
        if wait.completed is not None:
            return Call.COLLECT
        return Call.HURRY if self._wall() - wait.submitted_at >= HURRY_PART * self._record_s else Call.POLL

    async def _look(self, wait: Wait, permit: Permit) -> None:
        try:
            outcome = await self._ask(wait, permit)
        except AccountError as error:
            _end(wait, error)
        except CallError as error:
            self._fault(wait, error)
        else:
            wait.faults = 0
            self._digest(wait, outcome)

    async def _ask(self, wait: Wait, permit: Permit) -> Outcome:
        """Ask for the status, and in the same breath for the result of what has completed."""
        if wait.completed is None:
            self._made[wait.request_id] += 1
            async with permit:
                outcome = await self._provider.status(wait.request_id)
            if not isinstance(outcome, Completed):
                return outcome
            wait.completed, wait.seen = outcome, True
            permit = await self._pacer.acquire(Call.COLLECT, since=wait.asked)
        async with permit:
            outcome = await self._provider.result(wait.request_id)
        return _merge(wait.completed, outcome) if isinstance(outcome, Completed) else outcome

    def _digest(self, wait: Wait, outcome: Outcome) -> None:
        age = self._wall() - wait.submitted_at
        wait.gone = wait.gone + 1 if isinstance(outcome, Gone) else 0
        # One 404 may be a replica that lags; whether two are an end is for the one who waits to find out.
        gone = wait.gone >= 2 or (wait.gone and (age >= YOUNG_S or wait.seen))
        last_try = wait.result_tries + 1 >= RESULT_TRIES
        linked = isinstance(outcome, Completed) and (outcome.url or last_try)
        if isinstance(outcome, Refused) or gone or linked:
            self._allowance.ended(asyncio.get_running_loop().time())
            _end(wait, outcome)
        elif wait.completed is not None:  # COMPLETED, and the result does not agree yet
            wait.result_tries += 1
            if wait.result_tries >= RESULT_TRIES:
                _end(wait, wait.completed)
            else:
                self._put(wait, delay(wait.result_tries))
        elif age >= self._deadline_s:
            _end(wait, Overdue(_word(outcome)))
        else:
            self._still_running(wait, outcome)

    def _still_running(self, wait: Wait, outcome: Outcome) -> None:
        word = _word(outcome)
        if isinstance(outcome, Running) and outcome.known:
            self._probed(wait, queued=outcome.queued)
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
            _end(wait, wait.completed or Overdue(f"no answer ({error})"))
        else:
            self._put(wait, delay(wait.faults, hint=hint, dice=random.random()))

    def _is_last(self, wait: Wait, error: CallError) -> bool:
        """Tell whether a fault ends the wait: not before the deadline, nor while the API can't be reached.

        Past the deadline the record has minutes left, and what has completed is paid for: a few faults end neither,
        and a refusal as too many says nothing of the job.
        """
        age = self._wall() - wait.submitted_at
        lives = age < self._record_s
        if age < self._deadline_s or isinstance(error, Unreachable) or (isinstance(error, RateLimited) and lives):
            return False
        wait.late_faults += 1
        return wait.late_faults >= RESULT_TRIES or not (lives or wait.completed)


def _word(outcome: Outcome) -> str:
    return outcome.word if isinstance(outcome, Running) else "not found yet"


def _end(wait: Wait, news: Outcome | Overdue | AccountError) -> None:
    if wait.ended.done() or isinstance(news, Running):
        return
    if isinstance(news, AccountError):
        wait.ended.set_exception(news)
    else:
        wait.ended.set_result(news)


def _merge(status: Completed, result: Completed) -> Completed:
    """Join what the two answers say; the result's own words win."""
    return Completed(
        url=result.url or status.url,
        cost=result.cost if result.cost is not None else status.cost,
        file_size=result.file_size if result.file_size is not None else status.file_size,
        queue_s=result.queue_s if result.queue_s is not None else status.queue_s,
        run_s=result.run_s if result.run_s is not None else status.run_s,
        remaining_credits=result.remaining_credits,
        body=result.body or status.body,
    )
