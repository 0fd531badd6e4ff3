"""What the next clip is likely to cost: by what was charged, else by the manifest, else by the model's table. Pure.

Amounts are whole micro-dollars. The manifest and the table list a price; nobody guarantees it. So an estimate says
which of them lists it, and the median of what was charged replaces it as soon as a few charges of its price class
are known.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from batchgen.clip import Clip, Wanted
from batchgen.events import Event, Generated, Lost
from batchgen.money import price_class_of, usd
from batchgen.providers.models import Catalogue, Prices

log = logging.getLogger("batchgen.prices")

#: The ledger's fact of prices that drifted: a JSON list of [class, charged, listed, by whom, how many charges].
DRIFTS = "price_drifts"
#: From so many charges of a price class on, their median replaces the listed price.
ENOUGH = 3
#: How many of the latest charges of a class count: a new price is learned within half of them.
MEMORY = 50
#: A charge this far from the listed price is reported (percent).
DRIFT_PERCENT = 10

NO_CHARGES: Mapping[str, Iterable[int]] = MappingProxyType({})


class PriceSource(StrEnum):
    """Where an estimate comes from."""

    MANIFEST = "manifest"
    TABLE = "table"
    LEARNED = "learned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Quote:
    """What one clip is likely to cost, and on what grounds. None is unknown, never 0."""

    each: int | None
    source: PriceSource
    listed: int | None = None  #: the price that the manifest or the table has
    listed_by: PriceSource = PriceSource.UNKNOWN  #: which of the two
    charges: int = 0  #: how many charges of this class were seen, of the latest `MEMORY`
    high: int | None = None  #: what others were charged on average, where that is more than an unproven table says

    @property
    def drift_percent(self) -> int | None:
        """How far the learned price is from the listed one, when that is worth a report: 28 is 28 % more."""
        if self.source is not PriceSource.LEARNED or self.each is None or self.listed is None:
            return None
        apart = self.each - self.listed
        if abs(apart) * 100 <= self.listed * DRIFT_PERCENT:
            return None
        return round(apart * 100 / self.listed) if self.listed else 100


def quote_of(charges: Sequence[int], *, manifest: int | None, table: int | None) -> Quote:
    """Estimate one clip of a price class by its latest charges; the median is the lower one of two middle charges.

    `manifest` and `table` are the prices that these have for it; the manifest's counts first.
    """
    listed, listed_by = (table, PriceSource.TABLE) if manifest is None else (manifest, PriceSource.MANIFEST)
    listed_by = PriceSource.UNKNOWN if listed is None else listed_by
    if len(charges) < ENOUGH:
        return Quote(listed, listed_by, listed, listed_by, len(charges))
    median = sorted(charges)[(len(charges) - 1) // 2]
    return Quote(median, PriceSource.LEARNED, listed, listed_by, len(charges))


def drift_text(price_class: str, quote: Quote) -> str:
    """Report a price that is not the listed one; empty when it is near enough."""
    percent = quote.drift_percent
    if percent is None:
        return ""
    more = f"{abs(percent)} % {'more' if percent > 0 else 'less'} than the {quote.listed_by}'s {usd(quote.listed)}"
    return f"{price_class} is charged {usd(quote.each)} a clip (median of the last {quote.charges}), {more}"


class PriceBook:
    """Quotes clips, and learns from every charge of a run (as an observer of its ledger).

    Args:
        prices: the manifest's.
        charges: what was charged before, by price class, the oldest first.
    """

    def __init__(self, prices: Prices, charges: Mapping[str, Iterable[int]] = NO_CHARGES) -> None:
        self._prices = prices
        self._charges = {price_class: deque(latest, MEMORY) for price_class, latest in charges.items()}
        self._reported: set[str] = set()
        self._listed: dict[str, tuple[int | None, int | None]] = {}

    @property
    def models(self) -> Catalogue:
        """The models that the manifest knows."""
        return self._prices.models

    def quote(self, model: str, params: Mapping[str, Any]) -> Quote:
        """Estimate one clip with these parameters."""
        manifest, table = self.listed(model, params)
        quote = quote_of(self._charges.get(price_class_of(model, params), ()), manifest=manifest, table=table)
        known = self._prices.models.find(model)
        if quote.source is PriceSource.TABLE and known and (known.mean_price or 0) > (quote.each or 0):
            return replace(quote, high=known.mean_price)
        return quote

    def listed(self, model: str, params: Mapping[str, Any]) -> tuple[int | None, int | None]:
        """Give the manifest's price and that of the model's table; looked up once for each price class."""
        price_class = price_class_of(model, params)
        if price_class not in self._listed:
            self._listed[price_class] = self._prices.of(model, params), self._prices.table(model, params)
        return self._listed[price_class]

    def drifts(self, kinds: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Quote]:
        """Give the quotes that drifted from the listed price, by price class; `kinds` has one clip of each class."""
        quotes = {price_class_of(model, params): self.quote(model, params) for model, params in kinds}
        return {price_class: quote for price_class, quote in quotes.items() if quote.drift_percent is not None}

    def estimate(self, wanted: Wanted) -> int | None:
        """Give the likely price of one clip, in micro-dollars; None: unknown."""
        return self.quote(wanted.model, wanted.values).each

    def learn(self, clip: Clip, event: Event) -> None:
        """Learn from a charge that is on disk; report once for each class when it is not the listed price."""
        if not isinstance(event, Generated | Lost) or not event.cost:
            return  # a free one says nothing of what the next may cost
        if isinstance(event, Generated) and clip.request and clip.request.completed_at != event.at:
            return  # a link that was asked for again comes with the same charge
        price_class = clip.wanted.price_class
        self._charges.setdefault(price_class, deque(maxlen=MEMORY)).append(event.cost)
        text = drift_text(price_class, self.quote(clip.wanted.model, clip.wanted.values))
        if text and price_class not in self._reported:
            self._reported.add(price_class)
            log.warning("prices: %s; estimates follow what is charged", text)
