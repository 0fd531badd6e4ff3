"""The budget: caps, what each request reserves of them, and what keeps the next one from being submitted. Pure.

Amounts are whole micro-dollars (1e-6 USD); one that is not known is None, and never added up as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from batchgen.clip import Request

#: Before a charge was seen, the table's estimate may be wrong by this factor; the budget reserves for it.
UNSEEN_FACTOR = 2
#: The least that a clip of unknown price may cost: it is never taken for nothing.
UNKNOWN = 1
#: A cap is tight when it has left less than so many times what is reserved in flight ...
TIGHT = 4
#: ... then so many of a price class may be in flight until a charge of this run has confirmed its price.
TRIALS = 2

# --- days ---------------------------------------------------------------------------------------------


def day_of(at: float, tz: tzinfo | None = None) -> str:
    """Name the calendar day of a time in epoch seconds: "2026-11-24", by the local clock (or another zone's)."""
    return datetime.fromtimestamp(at, tz).date().isoformat()


def next_day(at: float, tz: tzinfo | None = None, *, days: int = 1) -> datetime:
    """Give the moment at which the calendar day after that of `at` begins, whatever is done to the clocks.

    `days` 0 gives that at which the day of `at` itself began.
    """
    here = datetime.fromtimestamp(at, tz)
    midnight = datetime.combine(here.date() + timedelta(days=days), time(), tz)
    # Where the clocks jump over midnight, the day begins at what the zone calls that moment.
    return midnight.astimezone(UTC).astimezone(tz)


# --- the budget ---------------------------------------------------------------------------------------


class BudgetChange(NamedTuple):
    """What one request adds to the sums (micro-dollars, or numbers of requests)."""

    price_class: str
    day: str  #: of its submission
    spent: int
    clips: int  #: 1 when it was charged, or may be: it neither was refused nor failed
    reserved: int
    opened: int  #: 1 while what it costs is not known
    unpriced: int  #: 1 while that is so, and nothing is reserved for it
    charge: int | None  #: what it cost, as far as is known

    @property
    def reversed(self) -> BudgetChange:
        """Give the change that takes this one back; a charge that was seen stays seen."""
        return self._replace(
            spent=-self.spent,
            clips=-self.clips,
            reserved=-self.reserved,
            opened=-self.opened,
            unpriced=-self.unpriced,
            charge=None,
        )


def share_of(price_class: str, request: Request) -> BudgetChange:
    """Give what a request adds to the sums as it is now."""
    is_open = not request.free and request.cost is None
    return BudgetChange(
        price_class,
        day_of(request.intent_at),
        spent=request.cost or 0,
        clips=int(not request.free),
        reserved=request.reserved,
        opened=int(is_open),
        unpriced=int(is_open and not request.reserved),
        charge=request.cost,
    )


def changes_of(price_class: str, old: Request | None, new: Request | None) -> tuple[BudgetChange, ...]:
    """Give what an event changes in the sums, by a clip's last request before and after it.

    A request is taken out as it was, and put in as it is. The one before a new request stays in.
    """
    if new is None or new is old:
        return ()
    after = share_of(price_class, new)
    if old is None or old.n != new.n:
        return (after,)
    before = share_of(price_class, old)
    return () if before == after else (before.reversed, after)


@dataclass(slots=True)
class Sums:
    """What a number of requests add up to. Amounts in micro-dollars, by price class where that matters."""

    spent: int = 0
    clips: int = 0  #: submissions that were charged, or may be
    unpriced: int = 0  #: of these, those whose cost is not known, and for which nothing is reserved
    reserved_by_class: dict[str, int] = field(default_factory=dict)  #: what is reserved
    open: dict[str, int] = field(default_factory=dict)  #: requests whose cost is not known

    @property
    def reserved(self) -> int:
        """The sum of all reservations as they are on disk."""
        return sum(self.reserved_by_class.values())

    def exposure(self, seen: Mapping[str, int]) -> int:
        """What open requests may cost: their reservations, or the highest charge seen if that is more."""
        return sum(
            max(self.reserved_by_class.get(price_class, 0), self.open.get(price_class, 0) * seen.get(price_class, 0))
            for price_class in self.reserved_by_class.keys() | self.open.keys()
        )

    def add(self, price_class: str, *, spent: int, clips: int, reserved: int, opened: int, unpriced: int) -> None:
        """Take amounts and numbers in, or out again where they are negative."""
        self.spent += spent
        self.clips += clips
        self.unpriced += unpriced
        for by_price_class, more in ((self.reserved_by_class, reserved), (self.open, opened)):
            if more:
                by_price_class[price_class] = by_price_class.get(price_class, 0) + more
                if not by_price_class[price_class]:  # what comes to nothing is left out
                    del by_price_class[price_class]


@dataclass(frozen=True, slots=True)
class Caps:
    """What a batch may spend; None: no such cap."""

    usd: int | None = None  #: over all runs
    usd_per_day: int | None = None  #: on what is submitted on one calendar day, local time
    clips: int | None = None  #: submissions that are charged, or may be, over all runs
    unknown_ok: bool = False  #: --allow-unknown-price: submit also what has no known price
    usd_by: str = field(default="max_usd", compare=False)  #: what set `usd`, as the user wrote it

    @property
    def priced(self) -> bool:
        """True when a cap in USD is set, so that prices matter."""
        return self.usd is not None or self.usd_per_day is not None


NO_CAPS = Caps()


class Cap(StrEnum):
    """What keeps a request from being submitted."""

    PRICE = "price"  #: a cap is set, and nobody knows what it may cost
    CLIPS = "clips"
    TOTAL = "total"
    DAY = "day"
    TRIAL = "trial"  #: the cap is tight, and a first charge has yet to confirm the price
    IN_FLIGHT = "in flight"  #: the batch has as many requests in flight as it may have


@dataclass(frozen=True, slots=True)
class SetAside:
    """What is set aside for the clips that come before: their worst prices, and their number."""

    usd: int = 0
    clips: int = 0


NOTHING_SET_ASIDE = SetAside()


@dataclass(slots=True)
class Budget(Sums):
    """The budget: spent + reserved never passes a cap, whatever the concurrency.

    It keeps sums per price class, so that a charge above its reservation re-prices what is open at once. Only
    such a charge can make spent + reserved pass a cap, by no more than it was above what was reserved for it;
    then nothing is submitted until all fits again. So a price that rises can pass a cap by what was in flight at the
    first higher charge, each by what it was above its reservation, and by `TRIALS` requests of a price class where
    the cap was tight before a charge of this run had confirmed its price.
    """

    caps: Caps = NO_CAPS
    seen: dict[str, int] = field(default_factory=dict)  #: highest charge per price class
    days: dict[str, Sums] = field(default_factory=dict)  #: by the day of submission
    #: Price classes of which this process has seen a charge.
    confirmed: set[str] = field(default_factory=set, compare=False)

    def on(self, day: str) -> Sums:
        """Give the sums of a day and of all later ones: a clock that is set back gives no new day to spend on."""
        later = [sums for other, sums in self.days.items() if other >= day]
        if len(later) == 1:
            return later[0]
        total = Sums()
        for sums in later:
            total.add("", spent=sums.spent, clips=sums.clips, reserved=0, opened=0, unpriced=sums.unpriced)
            for each in sums.reserved_by_class.keys() | sums.open.keys():
                reserved, opened = sums.reserved_by_class.get(each, 0), sums.open.get(each, 0)
                total.add(each, spent=0, clips=0, reserved=reserved, opened=opened, unpriced=0)
        return total

    def worst(self, price_class: str, estimate: int | None, manifest_price: int | None = None) -> int | None:
        """Give the worst price that a request of this class must be reserved with; None: unknown."""
        if price_class in self.seen:
            return self.seen[price_class]
        if manifest_price is not None:
            return manifest_price
        return None if estimate is None else estimate * UNSEEN_FACTOR

    def barrier(self, price: int | None, day: str, ahead: SetAside = NOTHING_SET_ASIDE) -> Cap | None:
        """Say what keeps one more request at this worst price from being submitted on a day; None: nothing does."""
        caps = self.caps
        if caps.priced and price is None and not caps.unknown_ok:
            return Cap.PRICE
        if caps.clips is not None and self.clips + ahead.clips + 1 > caps.clips:
            return Cap.CLIPS
        more = ahead.usd + (UNKNOWN if price is None else price)
        if caps.usd is not None and self.spent + self.exposure(self.seen) + more > caps.usd:
            return Cap.TOTAL
        if caps.usd_per_day is not None:
            today = self.on(day)
            if today.spent + today.exposure(self.seen) + more > caps.usd_per_day:
                return Cap.DAY
        return None

    def tight(self, price_class: str, price: int | None, day: str) -> bool:
        """Return whether a cap leaves little after what is in flight, this request included, at a price to confirm."""
        if price_class in self.confirmed or not self.caps.priced:
            return False
        for cap, sums in ((self.caps.usd, self), (self.caps.usd_per_day, self.on(day))):
            if cap is not None:
                flying = sums.exposure(self.seen) + (price or UNKNOWN)
                if cap - sums.spent - flying < TIGHT * flying:
                    return True
        return False

    def book(self, change: BudgetChange) -> None:
        """Book a change of the sums."""
        price_class, day, spent, clips, reserved, opened, unpriced, charge = change
        for sums in (self, self.days.setdefault(day, Sums())):
            sums.add(price_class, spent=spent, clips=clips, reserved=reserved, opened=opened, unpriced=unpriced)
        if charge:  # a free one says nothing of what the next may cost
            self.seen[price_class] = max(charge, self.seen.get(price_class, 0))
            self.confirmed.add(price_class)
