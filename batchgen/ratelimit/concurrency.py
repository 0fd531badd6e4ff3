"""How many requests may be at work at the provider at once.

The bound follows how long requests queue, as TCP Vegas follows the delay of its packets (Brakmo and Peterson,
"TCP Vegas: end to end congestion avoidance on a global internet", 1995): while they hardly queue because of us there
is room for more, when they queue longer than a good part of their run time the service is full, and more would only
wait there, with the record's hour running.

It starts small, and doubles as in Vegas' slow start, but on better evidence than a whole run time later: an
early look at the newest request (a probe) tells whether it was begun at once while all places were taken.

Full, it narrows to what Little's law says is at work (Little, "A proof for the queuing formula L = λW", 1961): of n
in flight, n × run / (run + queue). That is the test of whose queue it is, too: ours is gone then, and nothing lost by
it, since all slots are at work. What those meet who come in then is not ours, but the load of others. It is the base
that queues are judged above from then on, as in `queueing`, and if it is most of the queue, the narrowing is undone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from batchgen.ratelimit.queueing import FEW, FULL, Queued, Queueing

START = 4
#: Evidence of room widens the bound by this factor once something has queued, and doubles it before.
STEP = 1.25
#: Under others' load no probe can find room; before anything queued because of us, this factor makes up for it.
LEAP = 3.0
#: A queue of which more than this part is left when the bound was narrowed is not ours.
LEFT = 0.5
#: Half of the time that a record can be collected in (seconds).
SAFE_S = 1800.0


@dataclass(slots=True)
class Trial:
    """The bound was narrowed: was the queue ours?"""

    bound: float  #: before that
    queue_s: float
    counts_from: int  #: the era from which answers counted before that
    dip: bool = False  #: to what was at work, and no more
    fresh: int = 0  #: how many of those that came in since have ended

    @property
    def open(self) -> bool:
        """What went in before the narrowing may still say that it was too little."""
        return not self.dip and not self.fresh


class ConcurrencyLimit:
    """Places in flight, handed out in the order of asking.

    Args:
        ceiling: never more than this many at once.
        start: the bound before anything was learned by this run.
        full: an earlier run saw that more than it have to queue.
        safe_s: where others' load hides whether more would queue, never so many that they could take longer than this.
        learned: called with the bound, and whether more were seen to queue, each time that it was learned anew.
    """

    def __init__(
        self,
        ceiling: int,
        *,
        start: int = START,
        full: bool = False,
        safe_s: float = SAFE_S,
        learned: Callable[[float, bool], None] = lambda _bound, _full: None,
    ) -> None:
        self.ceiling = max(1, ceiling)
        self.bound = float(min(start, self.ceiling))
        self.taken = 0
        self.era = 0  #: how often the bound was narrowed
        self._counts_from = 0  #: answers to what went in during an earlier era are late
        self.queue_s: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._probe_out = False
        self._says_queued = False  # some look found one queued
        self._blind = False  # looks say nothing of a queue
        self._room = True  # nothing has queued since room was last seen
        self._queued = False  # something has, at some time: the bound is near where it belongs
        self._full = full
        self._safe_s = safe_s
        self._queueing = Queueing()
        self._doubt: Trial | None = None
        self._learned = learned

    def __repr__(self) -> str:
        """Say how many are taken, for logs and tests."""
        return f"<Places {self.taken} of {int(self.bound)} taken>"

    @property
    def expected(self) -> int:
        """How many to reckon with: the bound if more have to queue, else the ceiling, since it grows within minutes."""
        return int(self.bound) if self._full or self._queued else self.ceiling

    async def take(self) -> None:
        """Wait for a place and take it."""
        if self.taken < int(self.bound) and not self._waiting:
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def take_at_once(self) -> None:
        """Take a place for a request that is in flight already, even over the bound."""
        self.taken += 1

    def give_back(self) -> None:
        """Give a place back; who waits longest gets it."""
        self.taken -= 1
        self._hand_out()

    def learn(
        self, queue_s: float | None, run_s: float | None, taken: int, *, seen_s: float = 0.0, era: int | None = None
    ) -> None:
        """Adapt the bound to how long a request that just ended had queued.

        `taken` is how many places were taken when it went in: what it met says nothing of any other number, so
        that late news neither widens nor narrows twice.

        Args:
            queue_s: None: the service did not say, and `run_s` is all the time from the submission on.
            run_s: None: not known; a queue proves nothing then.
            taken: see above; the request itself is one of them.
            seen_s: the age at which it was last seen to queue.
            era: that of the places when it went in; None: the present one.
        """
        self.queue_s = queue_s
        late, doubt = era is not None and era < self._counts_from, self._doubt
        if late and not (doubt and doubt.open):
            return
        if doubt and not late and not doubt.fresh:
            self._queueing.forget()
        met = self._queueing.met(queue_s, run_s or 0.0, taken, seen_s)
        self._says_queued = self._says_queued or seen_s > 0
        self._blind = queue_s is None and not self._says_queued
        if taken == 1 and met.others:
            self._undo(met, taken)  # it went in alone: what has queued so far is not ours
            doubt = None
        if doubt and not late:
            self._settle(doubt, met, taken)
        elif met.full:
            self._room, self._queued = False, True
            before, counts_from = (doubt.bound, doubt.counts_from) if doubt else (self.bound, self._counts_from)
            self._narrow(Trial(before, met.queue_s, counts_from), min(before, taken - 1.0, met.fitting), met)
        elif not late:
            self._find_room(met, taken, told=queue_s is not None)

    def _find_room(self, met: Queued, taken: int, *, told: bool) -> None:
        """Widen by one, since probes find more; by a leap where others' load keeps them from telling."""
        if not told and not self._queued and met.newest_s <= FULL * met.alone_s:
            self._widen(self.bound + 1.0)
        if met.room:
            self._room = self._room or taken >= self.bound
            leap = taken * (STEP if self._queued else LEAP)
            self._widen(min(leap, self._safe(met, taken)) if met.others else taken + 1.0)

    def _narrow(self, doubt: Trial, bound: float, met: Queued) -> None:
        """Narrow to a bound, and doubt; late news may show that it was too much, but never widens beyond before."""
        least = min(self.bound, START, self._safe_s // met.run_s) if met.others else 1.0
        bound = max(1.0, least, round(bound))
        if bound < doubt.bound:
            self.era += bound < self.bound
            self._counts_from = self.era
            self.bound, self._doubt = bound, doubt
        self._learned(self.bound, True)
        self._hand_out()

    def _settle(self, doubt: Trial, met: Queued, taken: int) -> None:
        """One that came in after the bound was narrowed has ended; a few of them tell whose queue it is."""
        doubt.fresh += 1
        if doubt.fresh < min(FEW, int(self.bound)):
            return
        self._doubt = None
        if doubt.dip:
            self._queueing.base_s = met.queue_s
            if met.queue_s > LEFT * doubt.queue_s:
                self._doubt = doubt
                self._undo(met, taken)
        elif met.full:
            self._narrow(Trial(doubt.bound, met.queue_s, doubt.counts_from, dip=True), met.at_work, met)

    def _undo(self, met: Queued, taken: int) -> None:
        """The queue is others': undo the narrowing that is in doubt; what went in before it counts again.

        Which answer comes first is chance: two that ended before the one that went in alone must not cost the night
        a generation of one at a time.
        """
        self._queued = self._full = False
        if self._doubt:
            doubt, self._doubt = self._doubt, None
            self._counts_from = doubt.counts_from
            self._widen(min(doubt.bound, self._safe(met, taken)))

    def _safe(self, met: Queued, taken: int) -> float:
        """So many could be collected in time even if none of them were taken up sooner for being more."""
        return taken * self._safe_s / max(met.run_s + met.queue_s, 1e-3)

    def wants_probe(self, accepted: int) -> bool:
        """Tell whether an early look at the newest of so many accepted requests could widen the bound.

        It can when all places are taken by accepted requests, and somebody waits for one more.
        """
        full = bool(self._waiting) and accepted >= self.taken >= int(self.bound)
        in_vain = self._queueing.others or (self._queued and self._blind)
        can_tell = (self._room or self._doubt is not None) and not in_vain
        wants = full and can_tell and not self._probe_out and self.bound < self.ceiling
        self._probe_out = self._probe_out or wants
        return wants

    def probed(self, *, queued: bool | None) -> None:
        """Double the bound if a new request was begun at once; leave it at what ends if it has to queue."""
        self._probe_out = False
        if queued:
            self._room, self._queued, self._says_queued = False, True, True
            self._learned(self.bound, True)
        elif queued is False and (self._room or self._doubt):
            self._room, self._doubt = True, None
            self._widen(self.bound * (STEP if self._queued else 2.0))

    def refused(self) -> None:
        """A submission was answered 429: perhaps too many at once."""
        self.bound = max(1.0, self.bound - 1.0)

    def _widen(self, bound: float) -> None:
        self.bound = max(self.bound, min(float(self.ceiling), bound))
        self._learned(self.bound, self._queued)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.taken < int(self.bound):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
