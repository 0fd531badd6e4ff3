"""Whether a clip may be submitted now: the gates in order, then a submit slot and the pacer's permit.

What a gate holds up must not hold a slot, and what waits for a slot or a permit may find a gate closed afterwards. So
the gates are asked again after each wait, the last time with no await before the intent is written.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

from batchgen.billing.budget import NOTHING_SET_ASIDE, TRIALS, UNKNOWN, Cap, SetAside, day_of, next_day
from batchgen.clip import Clip, Wanted, submission_order
from batchgen.errors import Exit
from batchgen.money import usd
from batchgen.ratelimit.base import Call, Permit, SubmissionStoppedError
from batchgen.runner.context import Candidate, Gate, RunContext
from batchgen.runner.trouble_gates import AccountGate, AlikeRefusals, ServiceGate
from batchgen.window import Night, Window

log = logging.getLogger("batchgen.runner.admission")

#: No submission while what is in flight is older than this part of the time that its record lives.
NEAR_THE_END = 0.75
#: So many old requests may simply be stuck; more of them mean that the queue is too long.
STUCK = 2
#: How often the ages of what is in flight are checked (seconds).
AGES_EVERY_S = 5.0
#: How often the wall's clock is read while the window is closed (seconds).
WINDOW_EVERY_S = 60.0


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
        window: closes when the hours of submission end.
        budget, account, service, alike: they learn from what became of submissions.
    """

    def __init__(self, context: RunContext, *gates: Gate) -> None:
        self._context = context
        self._candidates: dict[int, Candidate] = {}
        self.window = WindowGate(context, self._candidates)
        self.budget = BudgetGate(context, self._candidates)
        self.account = AccountGate(context)
        self.alike = AlikeRefusals(context)
        self.service = ServiceGate(context)
        self._gates: tuple[Gate, ...] = (
            ShutdownGate(context), PauseGate(context), self.window, self.budget, self.account, self.service, *gates,
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
                self._context.shutdown.request(
                    f"budget: {no_price(wanted)}", Exit.STOPPED, needs_edit=True, by_budget=True
                )
                return True
        return False

    def _closed(self, candidate: Candidate, at: float) -> Gate | None:
        return next((gate for gate in self._gates if gate.closed_for(candidate, at) is not None), None)


# --- the gates of a run without trouble, in order -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShutdownGate:
    """Closed for all once the run is to end."""

    _context: RunContext

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all
        """Say why the run ends."""
        return self._context.shutdown.why if self._context.shutdown.requested else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Give up: it does not open again."""
        raise SubmissionStoppedError


@dataclass(frozen=True, slots=True)
class PauseGate:
    """Closed for all while the user has submissions paused."""

    _context: RunContext

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all
        """Say so."""
        return "submissions are paused" if self._context.paused else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for news: they are resumed, or the run ends."""
        await self._context.news.wait()


@dataclass(slots=True)
class WindowGate:
    """Open in the hours of submission, and until `--until`; a run submits in one night, and ends when that has closed.

    The wall's clock decides, and it is read again each minute: timers stand still while a machine sleeps.
    """

    _context: RunContext
    _candidates: Mapping[int, Candidate]
    _night: Night | None = None  #: in which this run submits; None: it has not opened yet
    _waited: bool = False

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all
        """Say when it opens, or that it has closed."""
        window, until = self._context.window, self._context.until
        if until is not None and at >= until:
            return f"until: submissions ended {Window().when(until)}, as --until said; run again to go on"
        if window is None:
            return None
        if self._night is None and (night := window.night_at(at)) is not None:
            self._open(night)
        if self._night is not None and at < self._night.closes:
            return None
        opens = window.when(window.next_night(at).opens)
        if self._night is None:
            return f"window: submissions start {opens}"
        return f"window: submissions ended {window.when(self._night.closes)}; run again, the next start is {opens}"

    async def wait(self, candidate: Candidate) -> None:
        """Wait until it opens, a minute at most; a night that is over, and `--no-wait`, end the run."""
        context, now = self._context, self._context.ledger.now()
        why = self.closed_for(candidate, now)
        if why is None:
            return
        if context.window is None or self._over(now) or not context.wait:
            context.shutdown.request(why, Exit.STOPPED)
            raise SubmissionStoppedError
        context.waits = why
        if not self._waited:
            self._waited = True
            log.info("%s; the run waits", why)
        ends = math.inf if context.until is None else context.until
        await context.news.wait(min(WINDOW_EVERY_S, context.window.next_night(now).opens - now, ends - now))

    def check(self) -> None:
        """End the run if its night is over and clips wait to be submitted, at whichever gate."""
        waiting = next((each for each in self._candidates.values() if not each.reserved), None)
        if waiting is None or self._context.shutdown.requested or not self._over(self._context.ledger.now()):
            return
        if (why := self.closed_for(waiting, self._context.ledger.now())) is not None:
            self._context.shutdown.request(why, Exit.STOPPED)

    def _over(self, at: float) -> bool:
        until = self._context.until
        return (self._night is not None and at >= self._night.closes) or (until is not None and at >= until)

    def _open(self, night: Night) -> None:
        self._night = night
        if self._waited:
            self._context.waits = ""
            log.info("submissions begin")


@dataclass(frozen=True, slots=True)
class BudgetGate:
    """Open while a candidate fits under the caps. What may be wanted earlier is set aside for it.

    A cheap clip must not eat the cap while a dearer one before it waits for room, or for another try: so the
    worst prices of all that come before, and have no reservation yet, count as if they were reserved.
    """

    _context: RunContext
    _candidates: Mapping[int, Candidate]

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
            self._context.shutdown.request(why, Exit.STOPPED, needs_edit=not tomorrow, by_budget=True)
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
            return f"{used}; the next clip may cost {price}; to continue, raise {caps.usd_by}"
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


@dataclass(frozen=True, slots=True)
class AgeGate:
    """Closed while what is in flight comes near the end of its record: no more is submitted than can be collected."""

    _context: RunContext

    def closed_for(self, candidate: Candidate, at: float) -> str | None:  # noqa: ARG002 - the same for all, now
        """Say so: one stuck job is no queue, many are."""
        record_s, submitted = self._context.provider.capabilities.record_s, self._context.poller.submitted()
        old_before = self._context.ledger.now() - NEAR_THE_END * record_s
        old = sum(submitted_at < old_before for submitted_at in submitted)
        return "records of clips in flight are about to expire" if old > STUCK and old * 4 >= len(submitted) else None

    async def wait(self, candidate: Candidate) -> None:  # noqa: ARG002 - the same for all
        """Wait for news, or for some seconds."""
        await self._context.news.wait(AGES_EVERY_S)
