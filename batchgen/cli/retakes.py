"""New takes for `retry` and `reroll`: their names by the manifest's template, and what they may cost.

Short because it is only what the two commands share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batchgen.billing.prices import MEMORY, ChargeHistory, PriceBook
from batchgen.clip import Wanted
from batchgen.errors import UsageError
from batchgen.ledger import SqliteLedger
from batchgen.locate import find_manifest
from batchgen.manifest import Prices, load, rerolls
from batchgen.money import micro_of, usd
from batchgen.views.text import dollars, plural


def under_names(ledger: SqliteLedger, arg: str, takes: list[Wanted]) -> tuple[list[Wanted], PriceBook]:
    """Give the takes under the names of the manifest's template, and what clips are likely to cost.

    A manifest that is gone or can't be read is no reason to refuse: names and prices are then plain ones.
    """
    try:
        path = _manifest_of(ledger, arg)
        takes, prices = rerolls.named(path, takes) if takes else [], load(path).prices
    except UsageError:
        prices = Prices()
    return takes, PriceBook(prices, ChargeHistory.of(ledger.charges(MEMORY)))


def _manifest_of(ledger: SqliteLedger, arg: str) -> Path:
    bound = ledger.folder / (ledger.meta("manifest") or "")
    return bound if bound.is_file() else find_manifest(arg)


def cost_of(takes: Iterable[Wanted], tariff: PriceBook) -> dict[str, Any]:
    """Give what clips are likely to cost as JSON: the sum of the known ones, and how many have no known price."""
    each = [tariff.estimate(take) for take in takes]
    known = [price for price in each if price is not None]
    total = sum(known) if known or not each else None
    return {"estimated_usd": dollars(total), "unpriced": len(each) - len(known)}


def cost_text(cost: Mapping[str, Any]) -> str:
    """Say a `cost_of` in words: "about $1.25 (estimated)"."""
    if cost["estimated_usd"] is None:
        return "at an unknown price"
    more = f" and {plural(cost['unpriced'], 'clip')} of unknown price" if cost["unpriced"] else ""
    return f"about {usd(micro_of(cost['estimated_usd']))} (estimated){more}"
