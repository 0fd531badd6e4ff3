"""Gates that close when submissions are refused: trouble with the account, and trouble of the service.

Each holds a circuit breaker (how long it waits between tries: `breaker`), and decides itself what no breaker can know:
what ends the trouble, and whether the service or the clip is to blame.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from dataclasses import dataclass, field

from batchgen.breaker import ACCOUNT, ALIKE, SERVICE, SILENCE, TRIAL, CircuitBreaker
from batchgen.clip import Clip, State
from batchgen.errors import (
    AccountError,
    AccountProblem,
    CallError,
    ClipError,
    EndedBy,
    Exit,
)
from batchgen.events import Retried
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import Candidate, Rank, RunContext
from batchgen.wording import cause, duration

log = logging.getLogger("batchgen.runner.trouble_gates")

#: With nothing in flight any more there is nothing to wait for but the service's books (seconds).
LAST_S = 1.0
#: After trouble with the account, submissions go one at a time until so many were accepted.
CAREFUL = 8
#: So many different clips refused alike, and none accepted: it is the service or the account, not the clips.
REFUSED_CLIPS = 4
#: How long refusals are waited out that time may end: seconds while the run had nothing accepted yet, and later. A
#: wrong address or network does not get better by waiting; one that worked may be back in a while.
PATIENCE_S = {
    AccountProblem.NETWORK: (0.0, math.inf),
    AccountProblem.REDIRECT: (0.0, math.inf),
    AccountProblem.ALIKE: (120.0, 600.0),
}
#: So many POSTs in a row without a clear answer: no further one before a free GET was answered.
UNSURE_FEW = 4
#: So many may be in doubt, or on their way, in such a streak before that.
UNSURE_MOST = 8
#: A GET is answered, and POSTs still are not: stop at this many in a row, before half a night's money is in doubt.
UNSURE_STOP = 16
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
        self._ever = False  #: this run had a submission accepted
        self._now = asyncio.get_running_loop().time

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
        self._ever = True
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
        patience_s = min(self._context.give_up_s, PATIENCE_S.get(error.problem, (math.inf, math.inf))[self._ever])
        over |= ended_by is EndedBy.TIME and self._breaker.lasted_s(now) >= patience_s
        if ended_by is EndedBy.USER or over:
            self._context.account_trouble(error)
            return
        if self._trouble is None:
            backoff = ALIKE if error.problem is AccountProblem.ALIKE else ACCOUNT
            self._breaker = CircuitBreaker(backoff, self._context.dice)
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


@dataclass(slots=True)
class _Refusal:
    """A clip that was refused: when first (by the ledger's clock), in which words last, and the clip as stored."""

    at: float
    words: str = ""
    clip: Clip | None = None


@dataclass(slots=True)
class AlikeRefusals:
    """Refusals in the same words of different clips, with none accepted: of these clips, none is to blame.

    Each is put back to pending and goes last in this run. One that is refused again although another that was sent
    after its first refusal was accepted is to blame itself.
    """

    _context: RunContext
    _refusals: dict[int, _Refusal] = field(default_factory=dict)
    _accepted_at: float = -math.inf  #: when the latest of all that were accepted was sent

    def accepted(self, sent_at: float) -> None:
        """A submission that was sent at this time (epoch seconds) was accepted."""
        self._accepted_at = max(self._accepted_at, sent_at)

    def trouble(self, row: int, error: ClipError) -> AccountError | None:
        """A clip was refused; gives what is wrong with the account or the network, None: the clip is to blame."""
        refusal = self._refusals.setdefault(row, _Refusal(self._context.ledger.now()))
        refusal.words = f"{error.status} " + re.sub(r"\d+", "#", cause(str(error)))
        if len(self._alike(row)) < REFUSED_CLIPS:
            return None
        return AccountError(str(error), AccountProblem.ALIKE, status=error.status)

    async def recorded(self, clip: Clip) -> Clip:
        """What became of a submission is on disk; puts back all clips that were refused alike, and gives this one."""
        refusal = self._refusals.get(clip.row)
        if refusal is None:
            return clip
        refusal.clip = clip
        alike = self._alike(clip.row)
        if len(alike) < REFUSED_CLIPS:
            return clip
        self._context.aside[clip.row] = None
        for other in alike:
            if other.clip is not None and other.clip.state in (State.FAILED, State.BLOCKED):
                failed, other.clip = other.clip, None
                self._context.aside[failed.row] = None
                again = Retried("refused in the same words as other clips, so this clip is not to blame")
                other.clip = await self._context.ledger.record(failed, again)
        return clip if refusal.clip is None else refusal.clip

    def _alike(self, row: int) -> list[_Refusal]:
        """Give the refusals that a clip's own one is one of, while none was accepted; none if it is to blame."""
        words = self._refusals[row].words if self._refusals[row].at >= self._accepted_at else None
        return [each for each in self._refusals.values() if each.words == words and each.at >= self._accepted_at]


class ServiceGate:
    """The service's own trouble, as against a clip's: streaks of submissions of which none was accepted.

    Its own 500s say that nothing was accepted: one submission tries again, further and further apart. A POST without a
    clear answer may have been paid for: after a few in a row no POST is the probe, but a free GET; so it is after one
    that never left this machine. When the GET is answered, one POST goes first.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self.refusals = CircuitBreaker(SERVICE, context.dice)
        self.silence = CircuitBreaker(SILENCE, context.dice)
        self.why = ""  #: the latest answer, while it is in trouble
        self._trials = CircuitBreaker(TRIAL, context.dice)  #: POSTs that had no clear answer although a GET had
        self._refused: set[int] = set()
        self._acceptances = 0
        self._first: dict[int, int] = {}  #: clip → how many were accepted before its first refusal
        self._unsure = 0  #: in a row
        self._answers = False  #: a GET was answered after the latest POST that was not
        self._asking = False
        self._now = asyncio.get_running_loop().time

    @property
    def careful(self) -> bool:
        """True while the service, not a clip, is to blame: submissions go one at a time."""
        return not (self.refusals.closed and self.silence.closed)

    @property
    def lasted_s(self) -> float:
        """Give for how long the service has been in trouble, in seconds; 0: it is not."""
        now = self._now()
        return max(self.refusals.lasted_s(now), self.silence.lasted_s(now))

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all, at any time
        """Say that it is not time to try again, or that one more POST may put too much in doubt."""
        if not (self.careful or self._unsure):
            return None
        if self._left() > 0 or self._hopeless() or not (self.silence.closed or self._answers):
            return "the service has problems"
        most = UNSURE_MOST - self._unsure if self.silence.closed else 1
        return "submissions had no clear answer" if self._unsure and self._context.posts_out >= most else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for the next try, unless the trouble has lasted too long; one of those who wait asks with a GET."""
        if why := self._hopeless():
            self._context.shutdown.request(why, Exit.STOPPED)
            raise SubmissionStoppedError
        if (left := self._left()) > 0:
            await self._context.pause(left)
        elif self._asking or self.silence.closed or self._answers:
            await self._context.news.wait()
        else:
            self._asking = True
            try:
                self._answers = await self._is_there()
            finally:
                self._asking = False
                self._context.news.notify()

    async def _is_there(self) -> bool:
        """Ask for something that costs nothing; any answer but a gateway's says that the service is there."""
        try:
            await self._context.provider.balance()
        except CallError as error:
            if error.status is None or error.status >= 500:
                self.why = str(error)
                self.silence.failed(self._now(), hint=error.retry_after)
                return False
        return True

    def accepted(self) -> None:
        """A submission was accepted: the service works."""
        self._acceptances += 1
        self._refused.clear()
        self._unsure, self._answers, self.why = 0, False, ""
        for breaker in (self.refusals, self.silence, self._trials):
            breaker.succeeded()

    def refused(self, row: int, why: str, retry_after: float | None = None) -> bool:
        """A clip was refused by the API's own 500; True when that does not count against it.

        It does count when others were accepted since its first refusal: then the clip is to blame.
        """
        self._refused.add(row)
        if len(self._refused) >= REFUSED_CLIPS:
            self.why = why
            self.refusals.failed(self._now(), hint=retry_after)
        return self.careful and self._acceptances == self._first.setdefault(row, self._acceptances)

    def unsure(self, why: str, retry_after: float | None = None) -> None:
        """A POST had no clear answer; `why`, and how many seconds the service asks us to wait."""
        self._unsure += 1
        if self._unsure < UNSURE_FEW:
            return
        self.why = why
        if self._answers:
            self._trials.failed(self._now())
        self._answers = False
        self.silence.failed(self._now(), hint=retry_after)

    def unreachable(self, why: str) -> None:
        """A POST never left this machine: the next call that goes to see is a GET, which leaves no trace."""
        self.why, self._answers = why, False
        self.silence.failed(self._now())

    def _hopeless(self) -> str | None:
        """Say why the run should stop trying, if it should."""
        if self.lasted_s >= self._context.give_up_s and self.refusals.closed and not self._unsure:
            return f"outage: the API could not be reached for {duration(self.lasted_s)}: {self.why}"
        if self.lasted_s >= self._context.give_up_s:
            return (
                f"outage: the service has accepted nothing for {duration(self.lasted_s)}; the last answer: {self.why}"
            )
        if self._unsure >= UNSURE_STOP:
            return f"outage: {self._unsure} submissions in a row had no clear answer; the last: {self.why}"
        if self._acceptances == 0 and self._unsure == 0 and self.refusals.tries >= NEVER_STOP:
            return "outage: the service answers every submission with an internal error; check the parameters"
        return None

    def _left(self) -> float:
        return max(self.refusals.until, self.silence.until, self._trials.until) - self._now()
