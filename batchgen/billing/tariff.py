"""What a clip is likely to cost: what was really charged, the manifest's word, the model's table; in this order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from batchgen.billing.prices import ChargeHistory, Quote, drift_text
from batchgen.clip import Clip, Wanted
from batchgen.events import Event, Generated, Lost
from batchgen.money import price_class_of
from batchgen.providers.models import Prices, estimate

log = logging.getLogger("batchgen.prices")


class PriceBook:
    """Quotes clips, and learns from every charge of a run (as an observer of its ledger).

    Args:
        prices: what the manifest says.
        charges: what was charged before.
    """

    def __init__(self, prices: Prices, charges: ChargeHistory) -> None:
        self._prices = prices
        self._charges = charges
        self._told_of: set[str] = set()
        self._listed: dict[str, tuple[int | None, int | None]] = {}

    def quote(self, model: str, params: Mapping[str, Any]) -> Quote:
        """Estimate one clip with these parameters."""
        manifest, table = self.listed(model, params)
        return self._charges.quote(price_class_of(model, params), manifest=manifest, table=table)

    def listed(self, model: str, params: Mapping[str, Any]) -> tuple[int | None, int | None]:
        """Give what the manifest says and what the model's table does; looked up once for each price class."""
        price_class = price_class_of(model, params)
        if price_class not in self._listed:
            self._listed[price_class] = self._prices.of(model, params), estimate(model, params)
        return self._listed[price_class]

    def drifts(self, kinds: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Quote]:
        """Give the quotes, by price class, that are not what was told, of one clip (model, parameters) of each kind."""
        quotes = {price_class_of(model, params): self.quote(model, params) for model, params in kinds}
        return {price_class: quote for price_class, quote in quotes.items() if quote.drift_percent is not None}

    def estimate(self, wanted: Wanted) -> int | None:
        """Give the likely price of one clip, in micro-dollars; None: unknown."""
        return self.quote(wanted.model, wanted.values).each

    def learn(self, clip: Clip, event: Event) -> None:
        """Learn from a charge that is on disk; tell once for each class when it is not what was told."""
        if not isinstance(event, Generated | Lost) or event.cost is None or _renewed(clip, event):
            return
        price_class = clip.wanted.price_class
        self._charges.learn(price_class, event.cost)
        text = drift_text(price_class, self.quote(clip.wanted.model, clip.wanted.values))
        if text and price_class not in self._told_of:
            self._told_of.add(price_class)
            log.warning("prices: %s; estimates follow what is charged", text)


def _renewed(clip: Clip, event: Generated | Lost) -> bool:
    """A link that was asked for again comes with the same charge."""
    return isinstance(event, Generated) and clip.request is not None and clip.request.completed_at != event.at
