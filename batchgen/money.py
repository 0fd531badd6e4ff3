"""Prices, reservations and what they add up to. Pure; every amount is whole micro-dollars (1e-6 USD).

An unknown amount is `None`, is shown as "unknown", and is never added up as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

MICRO = 1_000_000
#: Before a charge was seen, the table's estimate may be wrong by this factor; the wall reserves for it.
UNSEEN_FACTOR = 2
#: No clip costs a million dollars: a larger number is a mistake in an answer, not a price.
_LIMIT = Decimal(MICRO)


def usd(micro: int | None) -> str:
    """Give an amount for people: "$12.30", "$0.625"; as many places as it needs up to four; None is "unknown"."""
    if micro is None:
        return "unknown"
    whole, _, part = f"{Decimal(abs(micro)) / MICRO:,.4f}".partition(".")
    return f"{'-' if micro < 0 else ''}${whole}.{part.rstrip('0').ljust(2, '0')}"


def to_micro(value: object) -> int | None:
    """Read an amount of USD as micro-dollars; None for what is no sane amount (negative, NaN, text).

    Floats go through their shortest text, so 0.1 is 100,000 and not a little more.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount < 0 or amount > _LIMIT:
        return None
    return int((amount * MICRO).to_integral_value())


def to_usd(micro: int) -> float:
    """Give micro-dollars as a JSON number, exact to 4 decimals."""
    return float((Decimal(micro) / MICRO).quantize(Decimal("0.0001"), ROUND_HALF_UP))


def price_class(model: str, params: Mapping[str, object]) -> str:
    """Name what the price depends on, as far as is known: model, size, duration."""
    return f"{model} {params.get('size', '')} {params.get('duration', '')}".strip()


@dataclass(slots=True)
class Wall:
    """The budget: spent + reserved never passes the cap, whatever the concurrency.

    It keeps sums per price class, so that a charge above its reservation re-prices what is open at once.
    """

    cap: int | None = None
    spent: int = 0
    seen: dict[str, int] = field(default_factory=dict)  #: highest charge per price class
    held: dict[str, int] = field(default_factory=dict)  #: what is reserved per price class
    open: dict[str, int] = field(default_factory=dict)  #: number of reserved requests per price class

    @property
    def reserved(self) -> int:
        """The sum of all reservations as they are on disk."""
        return sum(self.held.values())

    def worst(self, grade: str, estimate: int | None, manifest_price: int | None = None) -> int | None:
        """Give the worst price that a request of this class must be reserved with; None: unknown."""
        if grade in self.seen:
            return self.seen[grade]
        if manifest_price is not None:
            return manifest_price
        return None if estimate is None else estimate * UNSEEN_FACTOR

    def fits(self, price: int) -> bool:
        """Tell whether one more request at this worst price stays under the cap."""
        return self.cap is None or self.spent + self._exposure() + price <= self.cap

    def move(self, grade: str, *, held: int, spent: int, charge: int | None = None) -> None:
        """Book changes of one request: of its reservation, of its cost, and a charge that was seen."""
        if held:
            self.held[grade] = self.held.get(grade, 0) + held
            self.open[grade] = self.open.get(grade, 0) + (1 if held > 0 else -1)
        self.spent += spent
        if charge:  # a free one says nothing of what the next may cost
            self.seen[grade] = max(charge, self.seen.get(grade, 0))

    def _exposure(self) -> int:
        """What open requests may cost: their reservations, or the highest charge seen if that is more."""
        return sum(max(held, self.open.get(grade, 0) * self.seen.get(grade, 0)) for grade, held in self.held.items())
