"""Amounts and prices. Pure; inside the program every amount is whole micro-dollars (1e-6 USD).

This is the only place where USD become micro-dollars, or micro-dollars USD. An unknown amount is `None`, is shown
as "unknown", and is never added up as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

MICRO = 1_000_000
#: No clip and no balance is a million dollars: a larger number is a mistake in an answer.
_LIMIT = Decimal(MICRO)


# --- USD → micro-dollars --------------------------------------------------------------------------------


def to_micro(value: object, *, debt: bool = False) -> int | None:
    """Read an amount of USD that somebody else wrote: a number or a text.

    Floats go through their shortest text, so 0.1 is 100,000 and not a little more.

    Args:
        value: as JSON, YAML or a command line has it.
        debt: an amount below zero is one, too.

    Returns:
        Micro-dollars, to the nearest; None for what is no sane amount (NaN, text, negative, above a million).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, int) and abs(value) > _LIMIT:
        return None  # it may be too long to be written as text
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount.copy_abs() > _LIMIT or (amount < 0 and not debt):
        return None
    return micro_of(amount)


def micro_of(usd: float | Decimal, rounding: str = ROUND_HALF_EVEN) -> int:
    """Give a known, sane amount of USD in micro-dollars; `rounding` as in the module `decimal`."""
    return int((Decimal(str(usd)) * MICRO).to_integral_value(rounding))


# --- micro-dollars → USD --------------------------------------------------------------------------------


def usd(micro: int | None, places: int = 4) -> str:
    """Give an amount for people: "$12.30", "$0.625"; two decimals or more, up to `places`; None is "unknown"."""
    if micro is None:
        return "unknown"
    whole, _, part = f"{decimal_usd(abs(micro)):,.{places}f}".partition(".")
    return f"{'-' if micro < 0 else ''}${whole}.{part.rstrip('0').ljust(2, '0')}"


def to_usd(micro: int) -> float:
    """Give micro-dollars as a JSON number, rounded half up to 4 decimals."""
    return float(decimal_usd(micro).quantize(Decimal("0.0001"), ROUND_HALF_UP))


def exact_usd(micro: int) -> float:
    """Give micro-dollars as a JSON number, exact to the last digit."""
    return float(decimal_usd(micro))


def decimal_usd(micro: int) -> Decimal:
    """Give micro-dollars as USD, exactly and without trailing zeros."""
    return Decimal(micro) / MICRO


def price_class_of(model: str, params: Mapping[str, object]) -> str:
    """Name what the price depends on, as far as is known: model, size, duration."""
    return f"{model} {params.get('size', '')} {params.get('duration', '')}".strip()
