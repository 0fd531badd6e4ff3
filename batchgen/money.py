"""Amounts and prices. Pure; every amount is whole micro-dollars (1e-6 USD).

An unknown amount is `None`, is shown as "unknown", and is never added up as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

MICRO = 1_000_000
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


def price_class_of(model: str, params: Mapping[str, object]) -> str:
    """Name what the price depends on, as far as is known: model, size, duration."""
    return f"{model} {params.get('size', '')} {params.get('duration', '')}".strip()
