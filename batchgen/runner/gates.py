"""The gates that a submission passes, in this order, and what opens each of them again.

A gate says why it is closed for a candidate at a time, at once and without an await; and it waits for a change. Where
no change can come in this run, waiting stops the run.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from batchgen.billing.budget import NOTHING_SET_ASIDE, UNKNOWN, Cap, SetAside, day_of, next_day
from batchgen.breaker import ACCOUNT, SERVICE, SILENCE, CircuitBreaker
from batchgen.clip import Wanted
from batchgen.errors import AccountError, EndedBy, Exit
from batchgen.money import usd
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.gates")

#: As `submission_order` gives it.
Rank: TypeAlias = tuple[int, int, int, int]

#: With nothing in flight any more there is nothing to wait for but the service's books (seconds).
LAST_S = 1.0
#: After trouble with the account, submissions go one at a time until so many were accepted.
CAREFUL = 8
#: So many different clips refused by the API's own 500, and none accepted: it is the service, not the clips.
REFUSED_CLIPS = 4
#: So many POSTs in a row without a clear answer: send them one at a time, further and further apart ...
UNSURE_SLOW = 8
#: ... and stop at this many, before half a night's money is in doubt.
UNSURE_STOP = 25
#: Tries, up to a minute apart, after which a run that never had a submission accepted stops.
NEVER_STOP = 20
#: No submission while what is in flight is older than this part of the time that its record lives.
NEAR_THE_END = 0.75
#: So many old requests may simply be stuck; more of them mean that the queue is too long.
STUCK = 2
#: How often the ages of what is in flight are looked at (seconds).
AGES_EVERY_S = 5.0


@dataclass(slots=True)
class Candidate:
    """One clip that is to be submitted."""

    row: int
    rank: Rank
    wanted: Wanted
    price_class: str
    reserved: bool = False  #: its own reservation stands for it


class Gate(Protocol):
    """One reason not to submit now."""

    def closed_for(self, candidate: Candidate, at: float) -> str | None:
        """Say why a candidate may not go at that time (epoch seconds); None: it may."""
        ...

    async def wait(self, candidate: Candidate) -> None:
        """Wait until it may be open.

        Raises:
            SubmissionStoppedError: it never will in this run, which stops for it; or the run stops anyway.
        """
        ...


class ShutdownGate:
    """Closed for all once the run is to end."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all
        """Say why the run ends."""
        return self._context.shutdown.why if self._context.shutdown.requested else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Give up: it does not open again."""
        raise SubmissionStoppedError


class BudgetGate:
    """Open while a candidate fits under the caps. What may be wanted earlier is set aside for it.

    A cheap clip must not eat the cap while a dearer one before it waits for room, or for another try: so the
    worst prices of all that come before, and have no reservation yet, count as if they were reserved.
    """

    def __init__(self, context: RunContext, candidates: Mapping[int, Candidate]) -> None:
        self._context = context
        self._candidates = candidates

    def closed_for(self, candidate: Candidate, at: float) -> str | None:
        """Say which cap it does not fit under."""
        cap = self._cap(candidate, at)
        return None if cap is None else f"budget: {self._explained(candidate, cap, at)}"

    async def wait(self, candidate: Candidate) -> None:
        """Wait for what is in flight, which may cost less than was reserved for it."""
        now = self._context.ledger.now()
        why = self.closed_for(candidate, now)
        if why and not self._context.at_work and self._is_first(candidate):
            self._context.shutdown.request(why, Exit.STOPPED)
            raise SubmissionStoppedError
        if why:
            await self._context.news.wait()

    def _cap(self, candidate: Candidate, at: float) -> Cap | None:
        budget = self._context.ledger.money
        if not budget.caps.any:
            return None
        return budget.barrier(self._context.price(candidate.wanted), day_of(at), self.set_aside(candidate))

    def _is_first(self, candidate: Candidate) -> bool:
        return all(candidate.rank <= other.rank for other in self._candidates.values())

    def set_aside(self, candidate: Candidate) -> SetAside:
        """Give what must stay free for the candidates that come before this one."""
        before = [other for other in self._candidates.values() if other.rank < candidate.rank and not other.reserved]
        if not before:
            return NOTHING_SET_ASIDE
        price = {
            other.price_class: self._context.price(other.wanted)
            for other in {each.price_class: each for each in before}.values()
        }
        return SetAside(sum(price[other.price_class] or UNKNOWN for other in before), len(before))

    def _explained(self, candidate: Candidate, cap: Cap, now: float) -> str:
        budget, caps = self._context.ledger.money, self._context.ledger.money.caps
        price = usd(self._context.price(candidate.wanted))
        if cap is Cap.PRICE:
            return no_price(candidate.wanted)
        if cap is Cap.CLIPS:
            used = f"{budget.clips:,} of {caps.clips:,} clips were submitted, as the cap says"
            return f"{used}; to go on, raise max_clips"
        if cap is Cap.TOTAL:
            used = f"{usd(budget.spent)} spent and {usd(budget.reserved)} reserved of {usd(caps.usd)}"
            return f"{used}; the next clip may cost {price}; to go on, raise max_usd"
        today = budget.on(day_of(now))
        used = f"{usd(today.spent)} spent and {usd(today.reserved)} reserved of {usd(caps.usd_per_day)} for today"
        again = next_day(now)
        return f"{used}; the next clip may cost {price}; run again after midnight, from {again:%Y-%m-%d %H:%M %Z} on"


def no_price(wanted: Wanted) -> str:
    """Say that a clip's price is unknown under a cap, and what to do."""
    return (
        f"the price of {wanted.model} is not known, and there is a cap: "
        "write it under prices: in the manifest, or pass --allow-unknown-price"
    )


class AccountGate:
    """Trouble with the account, which no clip is to blame for.

    Where waiting can't help (a bad key, a retired model) it stops the run at once. Where it can, submissions wait
    and what is in flight is collected; then the first in order goes to see, with growing pauses between such probes.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._breaker = CircuitBreaker(ACCOUNT, context.dice)
        self._trouble: AccountError | None = None
        self._closed_at = 0.0
        self._in_flight: frozenset[int] = frozenset()  #: rows at work at the last refusal
        self._waiting: dict[int, Rank] = {}
        self._probe: int | None = None
        self._careful = 0

    @property
    def careful(self) -> bool:
        """True while submissions go one at a time."""
        return self._trouble is not None or self._careful > 0

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - at any time
        """Say what the trouble is, but to the one that goes to see."""
        return None if self._trouble is None or self._probe == candidate.row else self._trouble.explained

    async def wait(self, candidate: Candidate) -> None:
        """Wait while the gate is closed; of those who wait, the first in order goes to see whether it opens."""
        self._waiting[candidate.row] = candidate.rank
        try:
            while self.closed_for(candidate, 0.0) is not None:
                if self._context.shutdown.requested:
                    raise SubmissionStoppedError
                if self._probe is not None or candidate.rank != min(self._waiting.values()):
                    await self._context.news.wait()
                elif (left := self._left()) > 0:
                    await self._context.news.wait(None if math.isinf(left) else left)
                else:
                    self._probe = candidate.row
                    self._breaker.probe(self._now())
        finally:
            del self._waiting[candidate.row]

    def leave(self, candidate: Candidate) -> None:
        """Let another one go to see, if this one was to and did not get that far."""
        if self._probe == candidate.row:
            self._probe = None
            self._breaker.release()
            self._context.news.tell()

    def accepted(self, candidate: Candidate) -> None:
        """A submission was accepted: if it went to see, the trouble is over."""
        if self._trouble is not None and self._probe != candidate.row:
            return  # it had left before the refusal, and says nothing of what comes after
        self._careful = max(0, self._careful - 1)
        if self._probe == candidate.row:
            log.info("the service accepts submissions again")
            self._breaker.succeeded()
            self._trouble, self._probe, self._context.waits = None, None, ""

    def refused(self, candidate: Candidate, error: AccountError, *, alone: bool) -> None:
        """A submission was refused for the account's sake; `alone`: nothing was in flight when it left."""
        ended_by, now = error.problem.ended_by, self._now()
        over = ended_by is EndedBy.IN_FLIGHT and alone
        over |= ended_by is EndedBy.TIME and self._breaker.lasted_s(now) >= self._context.give_up_s
        if ended_by is EndedBy.USER or over:
            self._context.account_trouble(error)
            return
        if self._trouble is None:
            log.warning("%s; submissions wait, what is in flight is collected", error.explained)
        if self._trouble is None or self._probe == candidate.row:  # those that had left with it say nothing new
            self._breaker.failed(now)
            self._closed_at = now
            self._in_flight = frozenset(self._context.at_work) - {candidate.row}
        self._trouble, self._probe, self._careful = error, None, CAREFUL
        self._context.waits = error.explained

    def _left(self) -> float:
        """Seconds until the next one may go to see; infinite while it can't help."""
        now = self._now()
        if self._trouble is None or self._trouble.problem.ended_by is EndedBy.TIME:
            return self._breaker.until - now
        if not self._context.at_work:
            return self._closed_at + LAST_S - now
        return math.inf if self._in_flight <= self._context.at_work else self._breaker.until - now

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class ServiceGate:
    """The service's own trouble, as against a clip's: streaks of submissions of which none was accepted."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self.refusals = CircuitBreaker(SERVICE, context.dice)
        self.silence = CircuitBreaker(SILENCE, context.dice)
        self._refused: set[int] = set()
        self._acceptances = 0
        self._first: dict[int, int] = {}  #: clip → how many were accepted before its first refusal
        self._unsure = 0  #: in a row

    @property
    def careful(self) -> bool:
        """True while the service, not a clip, is to blame: submissions go one at a time."""
        return not (self.refusals.closed and self.silence.closed)

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all, at any time
        """Say that it is not time to try again."""
        return "the service is in trouble" if self._left() > 0 or self._hopeless() else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for the next try, unless the trouble has lasted too long."""
        if why := self._hopeless():
            self._context.shutdown.request(why, Exit.STOPPED)
            raise SubmissionStoppedError
        await self._context.pause(self._left())

    def accepted(self) -> None:
        """A submission was accepted: the service works."""
        self._acceptances += 1
        self._refused.clear()
        self._unsure = 0
        self.refusals.succeeded()
        self.silence.succeeded()

    def refused(self, row: int) -> bool:
        """A clip was refused by the API's own 500; True when that does not count against it.

        It does count when others were accepted since its first refusal: then the clip is to blame.
        """
        self._refused.add(row)
        if len(self._refused) >= REFUSED_CLIPS:
            self.refusals.failed(self._now())
        return self.careful and self._acceptances == self._first.setdefault(row, self._acceptances)

    def unsure(self) -> int:
        """A POST had no clear answer; gives how many in a row."""
        self._unsure += 1
        if self._unsure >= UNSURE_SLOW:
            self.silence.failed(self._now())
        return self._unsure

    def _hopeless(self) -> str | None:
        """Say why the run should stop trying, if it should."""
        now = self._now()
        if max(self.refusals.lasted_s(now), self.silence.lasted_s(now)) >= self._context.give_up_s:
            return "outage: the service has accepted nothing for too long"
        if self._acceptances == 0 and self._unsure == 0 and self.refusals.tries >= NEVER_STOP:
            return "outage: the service refuses every submission with an error of its own; is a parameter wrong?"
        return None

    def _left(self) -> float:
        return max(self.refusals.until, self.silence.until) - self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class AgeGate:
    """Closed while what is in flight comes near the end of its record: no more is submitted than can be collected."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all, now
        """Say so: one stuck job is no queue, many are."""
        record_s = self._context.provider.capabilities.record_s
        old, waiting = self._context.poller.older_than(NEAR_THE_END * record_s)
        return "what is in flight nears the end of its record" if old > STUCK and old * 4 >= waiting else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for news, or for some seconds."""
        await self._context.news.wait(AGES_EVERY_S)
