"""What a plan costs: prices by class, how far a cap reaches, time and disk, and what is to be warned of. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from batchgen.billing.budget import Budget, Cap, Sums
from batchgen.billing.prices import PriceSource, Quote, drift_text
from batchgen.money import price_class_of, usd
from batchgen.planning.model import Group, Plan

#: API calls that one clip takes as a rule: submit, two looks, result.
CALLS_PER_CLIP = 4
#: Of video, for each pixel and second: 7 Mbit/s at 720p. Nobody publishes one; this is on the safe side.
BYTES_PER_PIXEL_SECOND = 1.0

#: Estimates one clip: model and parameters.
Quoter: TypeAlias = Callable[[str, Mapping[str, Any]], Quote]
#: Model, size, duration, price of one.
Like: TypeAlias = tuple[str, str, float | None, int | None]
_SIZE = re.compile(r"(\d+)\s*[*x×]\s*(\d+)")


class Pricer:
    """Prices clips, each class once, and keeps the groups of those that are to be made."""

    def __init__(self, quote: Quoter) -> None:
        self._quote = quote
        self.quotes: dict[str, Quote] = {}
        self._alike: Counter[Like] = Counter()

    def price(self, model: str, params: str) -> tuple[str, Quote, Like]:
        """Give a clip's price class, its estimate, and what it is alike in."""
        values = json.loads(params)
        price_class = price_class_of(model, values)
        quote = self.quotes.get(price_class)
        if quote is None:
            quote = self.quotes[price_class] = self._quote(model, values)
        duration = values.get("duration")
        length = duration if isinstance(duration, int | float) else None
        return price_class, quote, (model, str(values.get("size") or ""), length, quote.each)

    def count(self, like: Like) -> None:
        """Take one clip that is to be made into its group."""
        self._alike[like] += 1

    def groups(self) -> list[Group]:
        """Give the groups, the biggest first."""
        return [_group(*like, count) for like, count in sorted(self._alike.items(), key=_biggest_first)]


def _biggest_first(entry: tuple[Like, int]) -> tuple[int, str]:
    like, count = entry
    return -count, repr(like)


def _group(model: str, size: str, duration: float | None, each: int | None, count: int) -> Group:
    return Group(model, size, duration, count, each, None if each is None else each * count)


def reach(queue: Sequence[tuple[str, Quote]], wall: Budget, day: str) -> tuple[int | None, Cap | None]:
    """Count how many of a queue (price class, estimate) the caps are enough for when each costs its estimate.

    The clips go through a copy of the wall, one by one, so that what is reserved for each counts as it does in a run.

    Returns:
        The count (None: there is no cap), and what stops the next one; None: nothing does.
    """
    if not wall.caps.any:
        return None, None
    if wall.caps.priced and not wall.caps.unknown_ok and any(quote.each is None for _, quote in queue):
        return 0, Cap.PRICE  # such a run submits nothing
    wall = deepcopy(wall)
    today = wall.days.setdefault(day, Sums())
    for count, (price_class, quote) in enumerate(queue):
        manifest = quote.told if quote.teller is PriceSource.MANIFEST else None
        barrier = wall.barrier(wall.worst(price_class, quote.told, manifest), day)
        if barrier is not None:
            return count, barrier
        cost = quote.each or 0
        for sums in (wall, today):
            sums.add(price_class, spent=cost, clips=1, held=0, opened=0, unpriced=quote.each is None)
        if cost:
            wall.seen.setdefault(price_class, cost)
    return len(queue), None


def time_needed(clips: int, *, rpm: float | None, in_flight: int, latency_s: float | None) -> float | None:
    """Estimate the seconds that clips take: bound by the calls or by the places in flight, and the last one.

    None when the latency is unknown; 0 when there is nothing to make. `rpm` None or 0 is no bound.
    """
    if not clips:
        return 0.0
    if latency_s is None:
        return None
    return clips * max(_call_s(rpm), latency_s / max(1, in_flight)) + latency_s


def bound_by_places(*, rpm: float | None, in_flight: int, latency_s: float | None) -> bool:
    """Tell whether the places in flight hold the clips up longer than the calls do."""
    return latency_s is not None and latency_s / max(1, in_flight) > _call_s(rpm)


def _call_s(rpm: float | None) -> float:
    """How long the calls of one clip take, in seconds."""
    return CALLS_PER_CLIP * 60 / rpm if rpm else 0.0


def disk(groups: Iterable[Group]) -> int | None:
    """Estimate the bytes that these clips take; those of unknown size are left out, None when all are."""
    return sum_known([_bytes(group) for group in groups])


def _bytes(group: Group) -> int | None:
    found = _SIZE.fullmatch(group.size)
    if found is None or group.duration is None:
        return None
    pixels = int(found[1]) * int(found[2])
    return round(pixels * group.duration * BYTES_PER_PIXEL_SECOND) * group.count


def sum_known(amounts: Sequence[int | None]) -> int | None:
    """Add up what is known; None when nothing of it is, 0 when there is nothing to add."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known or not amounts else None


# --- warnings -------------------------------------------------------------------------------------------


def warnings(plan: Plan) -> list[str]:
    """Say what a person would want to know before saying yes."""
    return [*_of_budget(plan), *_of_prices(plan), *_of_disk(plan)]


def _of_budget(plan: Plan) -> list[str]:
    if plan.barrier is None or plan.reach is None:
        return []
    far = f"enough for the first {plan.reach:,} of {len(plan.submit):,} clips; the run will stop there"
    left = max(0, (plan.cap or 0) - plan.spent - plan.reserved)
    why = {
        Cap.TOTAL: f"the budget has {usd(left)} left of {usd(plan.cap)}, and the estimate is {usd(plan.estimate)}: "
        f"by that it is {far}",
        Cap.DAY: f"{usd(plan.today)} of the day's {usd(plan.caps.usd_per_day)} are spent or reserved: {far}",
        Cap.CLIPS: f"{plan.paid_clips:,} of {plan.caps.clips or 0:,} clips are submitted already: {far}",
        Cap.PRICE: "the price of some clips is not known, and there is a cap: the run will submit nothing until "
        "prices: in the manifest tells it, or --allow-unknown-price is said",
    }
    return [why[plan.barrier]]


def _of_prices(plan: Plan) -> list[str]:
    told = [f"prices: {text}" for price_class, quote in plan.quotes.items() if (text := drift_text(price_class, quote))]
    if plan.unpriced and plan.barrier is not Cap.PRICE:
        told.append(
            f"{plan.unpriced:,} of the new clips have no known price, so the cost is not known in full: "
            "give their prices in the manifest (prices:)"
        )
    return told


def _of_disk(plan: Plan) -> list[str]:
    if plan.bytes is None or plan.free_bytes is None or plan.bytes <= plan.free_bytes:
        return []
    need, free = (f"{count / 1e9:,.1f} GB" for count in (plan.bytes, plan.free_bytes))
    return [f"the new clips may need {need}, and the disk has {free} left"]
