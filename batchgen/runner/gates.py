"""The gates of a submission, in order: shutdown, pause, budget, age of what is in flight; and what opens each again.

A gate says why it is closed for a candidate at a time, at once and without an await; and it waits for a change. Where
no change can come in this run, waiting stops the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from batchgen.billing.budget import NOTHING_SET_ASIDE, TRIALS, UNKNOWN, Cap, SetAside, day_of, next_day
from batchgen.clip import Wanted
from batchgen.errors import Exit
from batchgen.money import usd
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.runner.gates")

#: As `submission_order` gives it.
Rank: TypeAlias = tuple[int, int, int, int]

#: No submission while what is in flight is older than this part of the time that its record lives.
NEAR_THE_END = 0.75
#: So many old requests may simply be stuck; more of them mean that the queue is too long.
STUCK = 2
#: How often the ages of what is in flight are checked (seconds).
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


class PauseGate:
    """Closed for all while the user has submissions paused."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all
        """Say so."""
        return "submissions are paused" if self._context.paused else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for news: they are resumed, or the run ends."""
        await self._context.news.wait()


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
        if why and not (self._context.in_flight or self._context.settling) and self._is_first(candidate):
            tomorrow = self._cap(candidate, now) is Cap.DAY  # which needs no edit, only another day
            self._context.shutdown.request(why, Exit.STOPPED, needs_edit=not tomorrow)
            raise SubmissionStoppedError
        if why:
            await self._context.news.wait()

    def _cap(self, candidate: Candidate, at: float) -> Cap | None:
        budget, price, day = self._context.ledger.money, self._context.price(candidate.wanted), day_of(at)
        if (cap := budget.barrier(price, day, self.set_aside(candidate))) is not None:
            return cap
        if not budget.tight(candidate.price_class, price, day):
            return None
        trials = sum(price_class == candidate.price_class for price_class in self._context.in_flight.values())
        return Cap.TRIAL if trials >= TRIALS else None

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
        if cap is Cap.TRIAL:
            return f"a first charge of {candidate.price_class} is to confirm {price} before more are submitted"
        if cap is Cap.CLIPS:
            used = f"{budget.clips:,} of {caps.clips:,} clips were submitted, the most allowed"
            return f"{used}; to continue, raise max_clips"
        if cap is Cap.TOTAL:
            used = f"{usd(budget.spent)} spent and {usd(budget.reserved)} reserved of {usd(caps.usd)}"
            return f"{used}; the next clip may cost {price}; to continue, raise max_usd"
        today = budget.on(day_of(now))
        used = f"{usd(today.spent)} spent and {usd(today.reserved)} reserved of {usd(caps.usd_per_day)} for today"
        again = next_day(now)
        return f"{used}; the next clip may cost {price}; run again after midnight ({again:%Y-%m-%d %H:%M %Z})"


def no_price(wanted: Wanted) -> str:
    """Say that a clip's price is unknown under a cap, and what to do."""
    return (
        f"the price of {wanted.model} is not known, and there is a budget: "
        "write it under prices: in the manifest, or pass --allow-unknown-price"
    )


class AgeGate:
    """Closed while what is in flight comes near the end of its record: no more is submitted than can be collected."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all, now
        """Say so: one stuck job is no queue, many are."""
        record_s, submitted = self._context.provider.capabilities.record_s, self._context.poller.submitted()
        old_before = self._context.ledger.now() - NEAR_THE_END * record_s
        old = sum(submitted_at < old_before for submitted_at in submitted)
        return "records of clips in flight are about to expire" if old > STUCK and old * 4 >= len(submitted) else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for news, or for some seconds."""
        await self._context.news.wait(AGES_EVERY_S)
