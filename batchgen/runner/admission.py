"""Whether a clip may be submitted now: the gates in order, then a submit slot and the pacer's permit.

What a gate holds up must not hold a slot, and what waits for a slot or a permit may find a gate closed afterwards. So
the gates are asked again after each wait, the last time with no await before the intent is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

from batchgen.clip import Clip, submission_order
from batchgen.errors import Exit
from batchgen.ratelimit.base import Call, Permit
from batchgen.runner.context import RunContext
from batchgen.runner.gates import AgeGate, BudgetGate, Candidate, Gate, PauseGate, ShutdownGate, no_price
from batchgen.runner.trouble_gates import AccountGate, AlikeRefusals, ServiceGate


@dataclass(frozen=True, slots=True)
class Admitted:
    """The right to submit one clip, now."""

    permit: Permit
    at: float  #: when all gates were open, in epoch seconds: the day of the reservation
    price: int  #: to reserve, in micro-dollars


class Admission:
    """Lets clips through to their submission, one by one.

    Args:
        context: the tools of the run.
        gates: further ones, of other steps: no more is submitted than can be fetched.

    Attributes:
        budget, account, service, alike: they learn from what became of submissions.
    """

    def __init__(self, context: RunContext, *gates: Gate) -> None:
        self._context = context
        self._candidates: dict[int, Candidate] = {}
        self.budget = BudgetGate(context, self._candidates)
        self.account = AccountGate(context)
        self.alike = AlikeRefusals(context)
        self.service = ServiceGate(context)
        self._gates: tuple[Gate, ...] = (
            ShutdownGate(context), PauseGate(context), self.budget, self.account, self.service, *gates,
            AgeGate(context),
        )  # fmt: skip
        self._slots = asyncio.Semaphore(context.submit_concurrency)
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        """Say how many want to be submitted, for logs."""
        return f"<Admission of {len(self._candidates)} candidates>"

    @contextmanager
    def candidate(self, clip: Clip) -> Iterator[Candidate]:
        """Keep a clip in the order of submission for as long as it is to be submitted."""
        wanted = clip.wanted
        candidate = Candidate(clip.row, submission_order(wanted, clip.row), wanted, wanted.price_class)
        self._candidates[clip.row] = candidate
        try:
            yield candidate
        finally:
            del self._candidates[clip.row]
            self._context.news.notify()

    @asynccontextmanager
    async def admit(self, candidate: Candidate) -> AsyncIterator[Admitted]:
        """Wait until no gate is closed for it; it holds a submit slot until this is left.

        Raises:
            SubmissionStoppedError: it can't be submitted in this run.
        """
        try:
            while True:
                while (gate := self._closed(candidate, self._context.ledger.now())) is not None:
                    await gate.wait(candidate)
                # While the service or the account is in trouble, one submission goes first to see.
                careful = self.service.careful or self.account.careful
                async with self._slots, self._one_at_a_time if careful else nullcontext():
                    if self._closed(candidate, self._context.ledger.now()) is not None:
                        continue
                    permit = await self._context.pacer.acquire(Call.SUBMIT)
                    at = self._context.ledger.now()
                    if self._closed(candidate, at) is None:
                        yield Admitted(permit, at, self._context.price(candidate.wanted) or 0)
                        return
                    permit.unused()
        finally:
            self.account.leave(candidate)

    async def refuses(self, rows: Iterable[int]) -> bool:
        """Stop the run before it submits anything, if the price of some of these clips is unknown under a cap."""
        budget, ledger = self._context.ledger.money, self._context.ledger
        if not budget.caps.priced or budget.caps.unknown_ok:
            return False
        examples = [await ledger.read(row) for row, _ in await ledger.count_by_price_class()]
        if all(self._context.price(clip.wanted) is not None for clip in examples):
            return False
        for row in rows:
            wanted = (await ledger.read(row)).wanted
            if self._context.price(wanted) is None:
                self._context.shutdown.request(f"budget: {no_price(wanted)}", Exit.STOPPED, needs_edit=True)
                return True
        return False

    def _closed(self, candidate: Candidate, at: float) -> Gate | None:
        return next((gate for gate in self._gates if gate.closed_for(candidate, at) is not None), None)
