"""Gates that close when submissions are refused: trouble with the account, and trouble of the service.

Each holds a circuit breaker (how long it waits between tries: `breaker`), and decides itself what no breaker can know:
what ends the trouble, and whether the service or the clip is to blame.
"""

from __future__ import annotations

import asyncio
import logging
import math

from batchgen.breaker import ACCOUNT, SERVICE, SILENCE, CircuitBreaker
from batchgen.errors import AccountError, EndedBy, Exit
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import RunContext
from batchgen.runner.gates import Candidate, Rank

log = logging.getLogger("batchgen.runner.trouble_gates")

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
            self._context.news.notify()

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
            log.warning("%s; submissions wait, clips in flight are collected", error.explained)
        if self._trouble is None or self._probe == candidate.row:  # those that had left with it say nothing new
            self._breaker.failed(now)
            self._closed_at = now
            self._in_flight = frozenset(self._context.in_flight) - {candidate.row}
        self._trouble, self._probe, self._careful = error, None, CAREFUL
        self._context.waits = error.explained

    def _left(self) -> float:
        """Seconds until the next one may go to see; infinite while it can't help."""
        now = self._now()
        if self._trouble is None or self._trouble.problem.ended_by is EndedBy.TIME:
            return self._breaker.until - now
        if not self._context.in_flight:
            return self._closed_at + LAST_S - now
        return math.inf if self._in_flight <= self._context.in_flight.keys() else self._breaker.until - now

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
        return "the service has problems" if self._left() > 0 or self._hopeless() else None

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
            return "outage: the service answers every submission with an internal error; check the parameters"
        return None

    def _left(self) -> float:
        return max(self.refusals.until, self.silence.until) - self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
