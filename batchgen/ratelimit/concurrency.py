"""How many requests may be in flight at the provider at once.

The limit follows how long requests queue, as TCP Vegas follows the delay of its packets (Brakmo and Peterson, 1995).
While they hardly queue because of us there is room for more. When they queue longer than a good part of their run time,
the service is full: more would only wait there, with the hour of their record running. The limit starts small and
doubles, as in the slow start of Vegas, but a run time earlier: an early poll of the newest request (a probe) shows
whether it was begun at once while all slots were taken.

A service may be loaded by others, or take its time to begin. Such a queue is there whatever we do, and no reason for
fewer requests. So queues are judged above a base, the smallest queue that was met, without the noise (as in LEDBAT,
RFC 6817, whose base rises with time: it takes its own long queue for others'). Here the base rises only when what was
met can't be ours: the request was alone in flight, or the limit had just been narrowed.

Full, the limit is narrowed to what is at work by Little's law ("A proof for the queuing formula L = λW", 1961): of n in
flight, n × run / (run + queue). That is also the test of whose queue it is. Ours is gone then, and nothing is lost,
since all slots of the service are still at work. If most of the queue is left, it is others': the narrowing is undone.

A service that reports no queue time is judged by the whole time from submission to end: what it takes above the
shortest counts as a queue, and so does the age at which a poll still found the request queued.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median_low

START = 4
#: Evidence of room widens the limit by this factor once something has queued, and doubles it before.
STEP = 1.25
#: Under others' load no probe can find room; before anything queued because of us, this factor makes up for it.
LEAP = 3.0
#: A queue of which more than this part is left after the limit was narrowed is not ours.
LEFT = 0.5
#: Half of the time in which a record can be collected (seconds).
SAFE_S = 1800.0
#: A queue of ours below `ROOM` of what a request takes alone (or `ROOM_S` seconds) is room; above `FULL` it is full.
ROOM, ROOM_S, FULL = 0.1, 2.0, 0.5
#: Medians are taken over so many of the latest queues. Fewer than the first few never say that the service is full.
LATEST, FEW = 5, 3
#: The same for run times, and for whole times from submission to end, which vary more.
RUNS, TOTALS = 25, 15
#: The present generation, whichever it is.
NOW = sys.maxsize


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What the latest few requests met, by their medians (seconds)."""

    queue_s: float
    run_s: float
    others: bool  #: there is a queue that is not ours
    room: bool  #: hardly any queue is ours, by the newest; others' queue varies, so there the median counts
    short: bool  #: the newest one did not queue for a good part of the time
    full: bool  #: a good part of the time is a queue of ours
    at_work: float  #: how many of those in flight were, by Little's law, not in a queue
    fitting: float  #: how many in flight would just not be full, by Little's law, were the queue above the base ours


@dataclass(slots=True)
class QueueTracker:
    """Remembers the latest queues, and which part of them is not ours. Pure."""

    base_s: float = 0.0  #: the part of a queue that is not ours, in seconds
    _shortest_s: float = math.inf  #: from submission to end
    _totals: deque[float] = field(default_factory=lambda: deque(maxlen=TOTALS))
    _runs: deque[float] = field(default_factory=lambda: deque(maxlen=RUNS))
    _queues: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=LATEST))  #: with those in flight

    def add(self, queue_s: float | None, run_s: float, taken: int, seen_s: float) -> QueueReport:
        """Take in one request that has ended, and judge the latest few; arguments as in `ConcurrencyLimit.learn`."""
        total = run_s + (queue_s or 0.0)
        if run_s:
            self._totals.append(total)
        if len(self._totals) >= LATEST:
            self._shortest_s = min(self._shortest_s, median_low(self._totals))
        if queue_s is None:
            queue_s = min(total, max(seen_s, total - self._shortest_s))
        elif taken == 1:
            self.base_s = queue_s  # nothing of ours was before it
        self._queues.append((queue_s, taken))
        if run_s:
            self._runs.append(total - queue_s)
        usual, run = median_low(queue for queue, _ in self._queues), median_low(self._runs or (0.0,))
        self.base_s = min(self.base_s, usual)
        others, alone_s = self.base_s > ROOM_S, run + self.base_s  # what one takes while nothing queues because of us
        enough = run > 0 and len(self._queues) >= min(FEW, taken)
        at_work = median_low(n * run / max(run + queue, 1e-3) for queue, n in self._queues)
        return QueueReport(
            queue_s=usual,
            run_s=run,
            others=others,
            room=(usual if others else queue_s) - self.base_s <= max(ROOM_S, ROOM * alone_s),
            short=queue_s <= FULL * alone_s,
            full=enough and min(usual, queue_s) - self.base_s > FULL * alone_s,
            at_work=at_work,
            fitting=at_work * (1.0 + FULL) * alone_s / max(run, 1e-3),
        )

    def forget_queues(self) -> None:
        """Judge what comes from now on by itself: it is met by another number in flight."""
        self._queues.clear()


@dataclass(slots=True)
class Trial:
    """The limit was narrowed to find out whether the queue is ours."""

    limit: float  #: before the narrowing
    counts_from: int  #: the generation from which answers counted before it
    queue_s: float
    at_work_only: bool = False  #: the second step: narrowed to what was at work, and no more
    fresh: int = 0  #: how many of those submitted since have ended

    @property
    def open(self) -> bool:
        """True while requests from before the narrowing may still show that it was too little."""
        return not self.at_work_only and not self.fresh


class ConcurrencyLimit:
    """Slots in flight, handed out in the order of asking.

    Args:
        ceiling: never more than this many at once.
        start: the limit before anything was learned by this run.
        full: an earlier run saw that more than it have to queue.
        safe_s: where others' load hides whether more would queue, never so many that they could take longer than this.
        learned: called with the limit, and whether more were seen to queue, each time that it changes.

    Attributes:
        limit: how many may be in flight now; not an integer while it grows by a factor.
        taken: how many are in flight.
        generation: how often the limit was narrowed.
        queue_s: what the request that ended last had queued, in seconds; None: not known.
    """

    def __init__(
        self,
        ceiling: int,
        *,
        start: int = START,
        full: bool = False,
        safe_s: float = SAFE_S,
        learned: Callable[[float, bool], None] = lambda _limit, _full: None,
    ) -> None:
        self.ceiling = max(1, ceiling)
        self.limit = float(min(start, self.ceiling))
        self.taken = 0
        self.generation = 0
        self.queue_s: float | None = None
        self._counts_from = 0  # answers to what was submitted in an earlier generation are late
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._probe_out = False
        self._reports_queued = False  # some poll found a request queued
        self._blind = False  # polls say nothing of a queue
        self._room = True  # nothing has queued since room was last seen
        self._queued = False  # something has, at some time: the limit is near where it belongs
        self._full = full
        self._safe_s = safe_s
        self._queues = QueueTracker()
        self._trial: Trial | None = None
        self._learned = learned

    def __repr__(self) -> str:
        """Show how many are taken, for logs and tests."""
        return f"<ConcurrencyLimit {self.taken} of {int(self.limit)} taken>"

    @property
    def expected(self) -> int:
        """How many to plan with: the limit if more have to queue, else the ceiling, since it grows within minutes."""
        return int(self.limit) if self._full or self._queued else self.ceiling

    # --- slots ----------------------------------------------------------------------------------------------

    async def acquire(self) -> None:
        """Wait for a slot and take it."""
        if self.taken < int(self.limit) and not self._waiting:
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def acquire_at_once(self) -> None:
        """Take a slot for a request that is in flight already, even over the limit."""
        self.taken += 1

    def release(self) -> None:
        """Free a slot; the one that waits longest gets it."""
        self.taken -= 1
        self._hand_out()

    def retune(self, ceiling: int) -> None:
        """Allow never more than so many from now on; what is in flight beyond that ends first."""
        self.ceiling = max(1, ceiling)
        self.limit = min(self.limit, float(self.ceiling))

    def _hand_out(self) -> None:
        while self._waiting and self.taken < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)

    # --- what ended requests show ---------------------------------------------------------------------------

    def learn(
        self, queue_s: float | None, run_s: float | None, taken: int, *, seen_s: float = 0.0, generation: int = NOW
    ) -> None:
        """Adapt the limit to how long a request that just ended had queued.

        What it met says nothing of any other number than `taken`: late answers neither widen nor narrow twice.

        Args:
            queue_s: seconds in the queue; None: not reported, and `run_s` is the whole time from the submission.
            run_s: seconds at work; None: not known, a queue proves nothing then.
            taken: how many slots were taken when it was submitted, its own included.
            seen_s: the age in seconds at which a poll last saw it queue; 0: never.
            generation: `generation` when it was submitted.
        """
        self.queue_s = queue_s
        late, trial = generation < self._counts_from, self._trial
        if late and not (trial and trial.open):
            return
        if trial and not late and not trial.fresh:
            self._queues.forget_queues()
        report = self._queues.add(queue_s, run_s or 0.0, taken, seen_s)
        self._reports_queued = self._reports_queued or seen_s > 0
        self._blind = queue_s is None and not self._reports_queued
        if taken == 1 and report.others:
            self._undo(report, taken)  # it went in alone: what has queued so far is not ours
        if (trial := self._trial) and not late:
            self._judge(trial, report, taken)
        elif report.full:
            self._begin_trial(report, taken)
        elif not late:
            self._find_room(report, taken, reported=queue_s is not None)

    def _find_room(self, report: QueueReport, taken: int, *, reported: bool) -> None:
        """Widen by one, since probes find more; by a factor where others' load hides it from them."""
        if not reported and not self._queued and report.short:
            self._widen(self.limit + 1.0)
        if report.room:
            self._room = self._room or taken >= self.limit
            leap = taken * (STEP if self._queued else LEAP)
            self._widen(min(leap, self._safe(report, taken)) if report.others else taken + 1.0)

    def _begin_trial(self, report: QueueReport, taken: int) -> None:
        """Narrow the limit: the service is full, or loaded by others."""
        self._room, self._queued = False, True
        before = (self._trial.limit, self._trial.counts_from) if self._trial else (self.limit, self._counts_from)
        self._narrow(Trial(*before, report.queue_s), min(before[0], taken - 1.0, report.fitting), report)

    def _narrow(self, trial: Trial, limit: float, report: QueueReport) -> None:
        """Narrow to a limit; a late answer may show that it was too much, but never widens beyond what was before."""
        least = min(self.limit, START, self._safe_s // report.run_s) if report.others else 1.0
        limit = max(1.0, least, round(limit))
        if limit < trial.limit:
            self.generation += limit < self.limit
            self._counts_from = self.generation
            self.limit, self._trial = limit, trial
        self._learned(self.limit, True)
        self._hand_out()

    def _judge(self, trial: Trial, report: QueueReport, taken: int) -> None:
        """One that was submitted after the narrowing has ended; a few of them show whose queue it is."""
        trial.fresh += 1
        if trial.fresh < min(FEW, int(self.limit)):
            return
        if trial.at_work_only:
            self._queues.base_s = report.queue_s
            if report.queue_s > LEFT * trial.queue_s:
                self._undo(report, taken)
        self._trial = None
        if report.full and not trial.at_work_only:
            second = Trial(trial.limit, trial.counts_from, report.queue_s, at_work_only=True)
            self._narrow(second, report.at_work, report)

    def _undo(self, report: QueueReport, taken: int) -> None:
        """The queue is others': end the trial, and let count again what was submitted before it."""
        self._queued = self._full = False
        if trial := self._trial:
            self._trial, self._counts_from = None, trial.counts_from
            self._widen(min(trial.limit, self._safe(report, taken)))

    def _safe(self, report: QueueReport, taken: int) -> float:
        """So many could be collected in time even if none of them were taken up sooner for being more."""
        return taken * self._safe_s / max(report.run_s + report.queue_s, 1e-3)

    # --- what polls and refusals show -----------------------------------------------------------------------

    def wants_probe(self, accepted: int) -> bool:
        """Return whether an early poll of the newest of so many accepted requests could widen the limit.

        It can when all slots are taken by accepted requests, and somebody waits for one more.
        """
        full = bool(self._waiting) and accepted >= self.taken >= int(self.limit)
        in_vain = self._queues.base_s > ROOM_S or (self._queued and self._blind)
        can_show = (self._room or self._trial is not None) and not in_vain
        wants = full and can_show and not self._probe_out and self.limit < self.ceiling
        self._probe_out |= wants
        return wants

    def probed(self, *, queued: bool | None) -> None:
        """Double the limit if a new request was begun at once; if it has to queue, leave it to what ends."""
        self._probe_out = False
        if queued:
            self._room, self._queued, self._reports_queued = False, True, True
            self._learned(self.limit, True)
        elif queued is False and (self._room or self._trial):
            self._room, self._trial = True, None
            self._widen(self.limit * (STEP if self._queued else 2.0))

    def refused(self) -> None:
        """A submission was answered 429: perhaps too many at once."""
        self.limit = max(1.0, self.limit - 1.0)

    def _widen(self, limit: float) -> None:
        self.limit = max(self.limit, min(float(self.ceiling), limit))
        self._learned(self.limit, self._queued)
        self._hand_out()
