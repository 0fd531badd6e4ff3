"""The account's gate: one breaker for trouble that no clip is to blame for.

Where waiting can't help (a bad key, a retired model) it stops the run at once. Where it can, submissions wait
and what is in flight is collected; then one goes first to see, with growing pauses between such trials.
"""

from __future__ import annotations

import asyncio
import logging
import math

from batchgen.errors import AccountError, EndedBy
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.retry import delay
from batchgen.runner.budget_gate import Candidate, Rank
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.account")

#: The pause before the first trial, and the longest between two (seconds).
FIRST_S = 30.0
LONGEST_S = 600.0
#: With nothing in flight any more there is nothing to wait for but the service's books (seconds).
LAST_S = 1.0
#: After trouble, submissions go one at a time until so many were accepted.
CAREFUL = 8


class AccountGate:
    """Open as a rule; shut by a refusal; a submission that was let through as a trial opens it again."""

    def __init__(self, tools: RunContext) -> None:
        self._tools = tools
        self._trouble: AccountError | None = None
        self._since = 0.0
        self._shut_at = 0.0
        self._next_at = 0.0
        self._tries = 0
        self._in_flight: frozenset[int] = frozenset()  #: rows at work at the last refusal
        self._waiting: dict[int, Rank] = {}
        self._trial: int | None = None
        self._careful = 0

    @property
    def careful(self) -> bool:
        """True while submissions go one at a time."""
        return self._trouble is not None or self._careful > 0

    def lets(self, want: Candidate) -> bool:
        """True when this clip may be submitted now."""
        return self._trouble is None or self._trial == want.row

    async def turn(self, want: Candidate) -> None:
        """Wait while the gate is shut; of those who wait, the first in order goes to see whether it opens.

        Raises:
            SubmissionStoppedError: the run stops.
        """
        if self._trouble is None:
            return
        self._waiting[want.row] = want.rank
        try:
            while not self.lets(want):
                if self._tools.shutdown.requested:
                    raise SubmissionStoppedError
                left = self._left()
                if self._trial is None and want.rank == min(self._waiting.values()):
                    if left <= 0:
                        self._trial = want.row
                        return
                    await self._tools.news.wait(None if math.isinf(left) else left)
                else:
                    await self._tools.news.wait()
        finally:
            del self._waiting[want.row]

    def leave(self, want: Candidate) -> None:
        """Let another one try, if this one was to and did not get that far."""
        if self._trial == want.row:
            self._trial = None
            self._tools.news.tell()

    def accepted(self, want: Candidate) -> None:
        """A submission was accepted: if it was the trial, the trouble is over."""
        if self._trouble is not None and self._trial != want.row:
            return  # it had left before the refusal, and says nothing of what comes after
        self._careful = max(0, self._careful - 1)
        if self._trial == want.row:
            log.info("the service accepts submissions again")
            self._trouble, self._trial, self._tries, self._tools.waits = None, None, 0, ""

    def refused(self, want: Candidate, error: AccountError, *, alone: bool) -> None:
        """A submission was refused for the account's sake; `alone`: nothing was in flight when it left."""
        ended_by, now = error.problem.ended_by, self._now()
        over = ended_by is EndedBy.IN_FLIGHT and alone
        over |= ended_by is EndedBy.TIME and self._trouble is not None and now - self._since >= self._tools.give_up_s
        if ended_by is EndedBy.USER or over:
            self._tools.account_trouble(error)
            return
        if self._trouble is None:
            self._since = now
            log.warning("%s; submissions wait, what is in flight is collected", error.explained)
        if self._trouble is None or self._trial == want.row:  # those that had left with it say nothing new
            self._tries += 1
            self._shut_at = now
            self._next_at = now + delay(self._tries, dice=0.5 + self._tools.dice() / 2, base=FIRST_S, cap=LONGEST_S)
            self._in_flight = frozenset(self._tools.at_work) - {want.row}
        self._trouble, self._trial, self._careful, self._tools.waits = error, None, CAREFUL, error.explained

    # --- inside -------------------------------------------------------------------------------------------

    def _left(self) -> float:
        """Seconds until the next trial; infinite while it can't help."""
        if self._trouble is None or self._trouble.problem.ended_by is EndedBy.TIME:
            return self._next_at - self._now()
        if not self._tools.at_work:
            return self._shut_at + LAST_S - self._now()
        return math.inf if self._in_flight <= self._tools.at_work else self._next_at - self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
