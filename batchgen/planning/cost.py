"""What a plan costs: prices by class, how many clips the caps allow, and the disk space that they need. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from batchgen.billing.budget import Budget, Cap, Sums
from batchgen.billing.prices import PriceSource, Quote
from batchgen.money import price_class_of
from batchgen.planning.model import Group, sum_known

#: Of video, for each pixel and second: 7 Mbit/s at 720p. Nobody publishes one; this is on the safe side.
BYTES_PER_PIXEL_SECOND = 1.0

#: Estimates one clip: model and parameters.
Quoter: TypeAlias = Callable[[str, Mapping[str, Any]], Quote]
#: Model, size, duration, price of one.
Like: TypeAlias = tuple[str, str, float | None, int | None]
_SIZE = re.compile(r"(\d+)\s*[*x×]\s*(\d+)")


class Pricer:
    """Prices clips, each class once, and counts those that are to be made in groups."""

    def __init__(self, quote: Quoter) -> None:
        self._quote = quote
        self.quotes: dict[str, Quote] = {}
        self.more = 0  #: what all counted together may cost above their estimates (micro-dollars)
        self._alike: Counter[Like] = Counter()

    def price(self, model: str, params: str) -> tuple[str, Quote, Like]:
        """Give a clip's price class, its estimate, and the group that it belongs to."""
        values = json.loads(params)
        price_class = price_class_of(model, values)
        quote = self.quotes.get(price_class)
        if quote is None:
            quote = self.quotes[price_class] = self._quote(model, values)
        duration = values.get("duration")
        length = duration if isinstance(duration, int | float) else None
        return price_class, quote, (model, str(values.get("size") or ""), length, quote.each)

    def count(self, like: Like, quote: Quote) -> None:
        """Count one clip that is to be made in its group."""
        self.more += quote.high - (quote.each or 0) if quote.high else 0
        self._alike[like] += 1

    def groups(self) -> list[Group]:
        """Give the groups, the biggest first."""
        return [_group(*like, count) for like, count in sorted(self._alike.items(), key=_biggest_first)]


def _biggest_first(entry: tuple[Like, int]) -> tuple[int, str]:
    like, count = entry
    return -count, repr(like)


def _group(model: str, size: str, duration: float | None, each: int | None, count: int) -> Group:
    return Group(model, size, duration, count, each, None if each is None else each * count)


def reach(queue: Sequence[tuple[str, Quote]], budget: Budget, day: str) -> tuple[int | None, Cap | None]:
    """Count how many of a queue (price class, estimate) the caps allow when each clip costs its estimate.

    The clips go through a copy of the budget, one by one, so that what is reserved for each counts as it does in a run.

    Returns:
        The count (None: there is no cap), and the cap that stops the next one; None: no cap does.
    """
    if not budget.caps.priced and budget.caps.clips is None:
        return None, None
    if budget.caps.priced and not budget.caps.unknown_ok and any(quote.each is None for _, quote in queue):
        return 0, Cap.PRICE  # such a run submits nothing
    budget = deepcopy(budget)
    today = budget.days.setdefault(day, Sums())
    for count, (price_class, quote) in enumerate(queue):
        manifest = quote.listed if quote.listed_by is PriceSource.MANIFEST else None
        barrier = budget.barrier(budget.worst(price_class, quote.listed, manifest), day)
        if barrier is not None:
            return count, barrier
        cost = quote.each or 0
        for sums in (budget, today):
            sums.add(price_class, spent=cost, clips=1, reserved=0, opened=0, unpriced=quote.each is None)
        if cost:
            budget.seen.setdefault(price_class, cost)
    return len(queue), None


def disk(groups: Iterable[Group]) -> int | None:
    """Estimate the bytes that these clips take; those of unknown size are left out, None when all are."""
    return sum_known([_bytes(group) for group in groups])


def _bytes(group: Group) -> int | None:
    found = _SIZE.fullmatch(group.size)
    if found is None or group.duration is None:
        return None
    pixels = int(found[1]) * int(found[2])
    return round(pixels * group.duration * BYTES_PER_PIXEL_SECOND) * group.count
