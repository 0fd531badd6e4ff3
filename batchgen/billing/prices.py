"""What clips were really charged, and what that makes of the next one's estimate. Pure; whole micro-dollars.

A price that nobody told is a promise of nobody. So an estimate says who told it (the manifest, the model's
table), and gives way to the median of what was charged as soon as a few charges of its class were seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.money import usd

#: What a ledger remembers drifts under: a JSON list of [class, charged, told, by whom, how many charges].
DRIFTS = "price_drifts"
#: From so many charges of a price class on, they are believed over what was told.
ENOUGH = 3
#: How many of the latest charges of a class count: a new price is learned within half of them.
MEMORY = 50
#: A charge this far from what was told is worth telling (percent).
DRIFT_PERCENT = 10


class PriceSource(StrEnum):
    """Where an estimate comes from."""

    MANIFEST = "manifest"
    TABLE = "table"
    LEARNED = "learned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Quote:
    """What one clip is likely to cost, and why that is believed. None is unknown, never 0."""

    each: int | None
    source: PriceSource
    told: int | None = None  #: what the manifest or the table says
    teller: PriceSource = PriceSource.UNKNOWN  #: which of the two
    charges: int = 0  #: how many charges of this class were seen, of the latest `MEMORY`

    @property
    def drift_percent(self) -> int | None:
        """How far what was learned is from what was told, when that is worth telling: 28 is 28 % more."""
        if self.source is not PriceSource.LEARNED or self.each is None or self.told is None:
            return None
        apart = self.each - self.told
        if abs(apart) * 100 <= self.told * DRIFT_PERCENT:
            return None
        return round(apart * 100 / self.told) if self.told else 100


@dataclass(slots=True)
class ChargeHistory:
    """The latest charges of each price class."""

    _latest: dict[str, deque[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, seen: Mapping[str, Iterable[int]]) -> ChargeHistory:
        """Begin with what a ledger has, per price class, the oldest first."""
        return cls({price_class: deque(charges, MEMORY) for price_class, charges in seen.items()})

    def learn(self, price_class: str, charge: int) -> None:
        """Remember one charge; a free one says nothing of what the next may cost."""
        if charge > 0:
            self._latest.setdefault(price_class, deque(maxlen=MEMORY)).append(charge)

    def count(self, price_class: str) -> int:
        """How many charges of this class are remembered."""
        return len(self._latest.get(price_class, ()))

    def quote(self, price_class: str, *, manifest: int | None, table: int | None) -> Quote:
        """Estimate one clip of this class: what was charged (of two middle ones the lower) beats what was told."""
        teller = (
            PriceSource.MANIFEST
            if manifest is not None
            else PriceSource.TABLE
            if table is not None
            else PriceSource.UNKNOWN
        )
        told = table if manifest is None else manifest
        count = self.count(price_class)
        if count >= ENOUGH:
            middle = sorted(self._latest[price_class])[(count - 1) // 2]
            return Quote(middle, PriceSource.LEARNED, told, teller, count)
        return Quote(told, teller, told, teller, count)


def drift_text(price_class: str, quote: Quote) -> str:
    """Tell of a price that is not what was told; empty when it is near enough."""
    percent = quote.drift_percent
    if percent is None:
        return ""
    more = f"{abs(percent)} % {'more' if percent > 0 else 'less'} than the {quote.teller}'s {usd(quote.told)}"
    return f"{price_class} is charged {usd(quote.each)} a clip (median of the last {quote.charges}), {more}"
