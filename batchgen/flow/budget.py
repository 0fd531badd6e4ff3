"""The budget's gate: submissions pass it in the order in which they are wanted, as far as the caps bear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from batchgen.clip import Clip, Wanted
from batchgen.errors import Exit
from batchgen.flow.tools import Tools
from batchgen.money import usd
from batchgen.pacing.pacer import SubmissionStoppedError
from batchgen.spending.wall import NOBODY, UNKNOWN, Ahead, Barrier, day_of, next_day

#: First takes of all prompts, then by priority, then in the manifest's order; the row tells equals apart.
Rank: TypeAlias = tuple[int, int, int, int]


@dataclass(slots=True)
class Want:
    """One clip that is to be submitted."""

    row: int
    rank: Rank
    wanted: Wanted
    grade: str
    holds: bool = False  #: its own reservation stands for it


class Budget:
    """Lets submissions through while they fit. What may be wanted earlier is set aside for it.

    A cheap clip must not eat the cap while a dearer one before it waits for room, or for another try: so the
    worst prices of all that come before, and have no reservation yet, count as if they were reserved.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._wants: dict[int, Want] = {}

    @contextmanager
    def wanting(self, clip: Clip) -> Iterator[Want]:
        """Keep a clip's turn for as long as it is to be submitted."""
        wanted = clip.wanted
        rank = (wanted.take, -wanted.priority, wanted.order, clip.row)
        want = self._wants[clip.row] = Want(clip.row, rank, wanted, wanted.grade)
        try:
            yield want
        finally:
            del self._wants[clip.row]
            self._tools.news.tell()

    def barrier(self, want: Want, at: float) -> Barrier | None:
        """Say what keeps it from being submitted at a time (epoch seconds); None: nothing does."""
        wall = self._tools.ledger.money
        if not wall.caps.any:
            return None
        return wall.barrier(self._tools.price(want.wanted), day_of(at), self._ahead(want))

    async def room(self, want: Want) -> None:
        """Wait until it fits; what is in flight may cost less than it was reserved for.

        Raises:
            SubmissionStoppedError: it never will in this run, which stops for it; or the run stops anyway.
        """
        while True:
            if self._tools.brake.pulled:
                raise SubmissionStoppedError
            now = self._tools.ledger.now()
            barrier = self.barrier(want, now)
            if barrier is None:
                return
            if not self._tools.at_work and self._is_first(want):
                self._tools.brake.pull(f"budget: {self._why(want, barrier, now)}", Exit.STOPPED)
                raise SubmissionStoppedError
            await self._tools.news.wait()

    def refuses(self, rows: Iterable[int]) -> bool:
        """Stop the run before it submits anything, if the price of some of these clips is unknown under a cap."""
        wall, ledger = self._tools.ledger.money, self._tools.ledger
        if not wall.caps.priced or wall.caps.unknown_ok:
            return False
        kinds = [ledger.on_disk(row) for row, _ in ledger.kinds()]
        if all(self._tools.price(clip.wanted) is not None for clip in kinds):
            return False
        unknown = next((clip for row in rows if self._tools.price((clip := ledger.on_disk(row)).wanted) is None), None)
        if unknown is not None:
            self._tools.brake.pull(f"budget: {_no_price(unknown.wanted)}", Exit.STOPPED)
        return unknown is not None

    # --- inside -------------------------------------------------------------------------------------------

    def _is_first(self, want: Want) -> bool:
        return all(want.rank <= other.rank for other in self._wants.values())

    def _ahead(self, want: Want) -> Ahead:
        before = [other for other in self._wants.values() if other.rank < want.rank and not other.holds]
        if not before:
            return NOBODY
        price = {
            other.grade: self._tools.price(other.wanted) for other in {each.grade: each for each in before}.values()
        }
        return Ahead(sum(price[other.grade] or UNKNOWN for other in before), len(before))

    def _why(self, want: Want, barrier: Barrier, now: float) -> str:
        wall, caps = self._tools.ledger.money, self._tools.ledger.money.caps
        price = usd(self._tools.price(want.wanted))
        if barrier is Barrier.PRICE:
            return _no_price(want.wanted)
        if barrier is Barrier.CLIPS:
            return f"{wall.clips:,} of {caps.clips:,} clips were submitted, as the cap says; to go on, raise max_clips"
        if barrier is Barrier.TOTAL:
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
