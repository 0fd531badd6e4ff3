"""The budget's gate: submissions pass it in the order in which they are wanted, as far as the caps bear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from batchgen.billing.budget import NOTHING_SET_ASIDE, UNKNOWN, Cap, SetAside, day_of, next_day
from batchgen.clip import Clip, Wanted, submission_order
from batchgen.errors import Exit
from batchgen.money import usd
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import RunContext

#: As `submission_order` gives it.
Rank: TypeAlias = tuple[int, int, int, int]


@dataclass(slots=True)
class Candidate:
    """One clip that is to be submitted."""

    row: int
    rank: Rank
    wanted: Wanted
    price_class: str
    holds: bool = False  #: its own reservation stands for it


class BudgetGate:
    """Lets submissions through while they fit. What may be wanted earlier is set aside for it.

    A cheap clip must not eat the cap while a dearer one before it waits for room, or for another try: so the
    worst prices of all that come before, and have no reservation yet, count as if they were reserved.
    """

    def __init__(self, tools: RunContext) -> None:
        self._tools = tools
        self._wants: dict[int, Candidate] = {}

    @contextmanager
    def wanting(self, clip: Clip) -> Iterator[Candidate]:
        """Keep a clip's turn for as long as it is to be submitted."""
        wanted = clip.wanted
        rank = submission_order(wanted, clip.row)
        want = self._wants[clip.row] = Candidate(clip.row, rank, wanted, wanted.price_class)
        try:
            yield want
        finally:
            del self._wants[clip.row]
            self._tools.news.tell()

    def barrier(self, want: Candidate, at: float) -> Cap | None:
        """Say what keeps it from being submitted at a time (epoch seconds); None: nothing does."""
        wall = self._tools.ledger.money
        if not wall.caps.any:
            return None
        return wall.barrier(self._tools.price(want.wanted), day_of(at), self.set_aside(want))

    async def room(self, want: Candidate) -> None:
        """Wait until it fits; what is in flight may cost less than it was reserved for.

        Raises:
            SubmissionStoppedError: it never will in this run, which stops for it; or the run stops anyway.
        """
        while True:
            if self._tools.shutdown.requested:
                raise SubmissionStoppedError
            now = self._tools.ledger.now()
            barrier = self.barrier(want, now)
            if barrier is None:
                return
            if not self._tools.at_work and self._is_first(want):
                self._tools.shutdown.request(f"budget: {self._why(want, barrier, now)}", Exit.STOPPED)
                raise SubmissionStoppedError
            await self._tools.news.wait()

    async def refuses(self, rows: Iterable[int]) -> bool:
        """Stop the run before it submits anything, if the price of some of these clips is unknown under a cap."""
        wall, ledger = self._tools.ledger.money, self._tools.ledger
        if not wall.caps.priced or wall.caps.unknown_ok:
            return False
        examples = [await ledger.read(row) for row, _ in await ledger.count_by_price_class()]
        if all(self._tools.price(clip.wanted) is not None for clip in examples):
            return False
        for row in rows:
            wanted = (await ledger.read(row)).wanted
            if self._tools.price(wanted) is None:
                self._tools.shutdown.request(f"budget: {_no_price(wanted)}", Exit.STOPPED)
                return True
        return False

    # --- inside -------------------------------------------------------------------------------------------

    def _is_first(self, want: Candidate) -> bool:
        return all(want.rank <= other.rank for other in self._wants.values())

    def set_aside(self, want: Candidate) -> SetAside:
        """Give what must stay free for the clips that come before this one."""
        before = [other for other in self._wants.values() if other.rank < want.rank and not other.holds]
        if not before:
            return NOTHING_SET_ASIDE
        price = {
            other.price_class: self._tools.price(other.wanted)
            for other in {each.price_class: each for each in before}.values()
        }
        return SetAside(sum(price[other.price_class] or UNKNOWN for other in before), len(before))

    def _why(self, want: Candidate, barrier: Cap, now: float) -> str:
        wall, caps = self._tools.ledger.money, self._tools.ledger.money.caps
        price = usd(self._tools.price(want.wanted))
        if barrier is Cap.PRICE:
            return _no_price(want.wanted)
        if barrier is Cap.CLIPS:
            return f"{wall.clips:,} of {caps.clips:,} clips were submitted, as the cap says; to go on, raise max_clips"
        if barrier is Cap.TOTAL:
            told = f"{usd(wall.spent)} spent and {usd(wall.reserved)} reserved of {usd(caps.usd)}"
            return f"{told}; the next clip may cost {price}; to go on, raise max_usd"
        today = wall.on(day_of(now))
        told = f"{usd(today.spent)} spent and {usd(today.reserved)} reserved of {usd(caps.usd_per_day)} for today"
        again = next_day(now)
        return f"{told}; the next clip may cost {price}; run again after midnight, from {again:%Y-%m-%d %H:%M %Z} on"


def _no_price(wanted: Wanted) -> str:
    return (
        f"the price of {wanted.model} is not known, and there is a cap: "
        "write it under prices: in the manifest, or say --allow-unknown-price"
    )
