"""Amounts and prices. Pure; inside the program every amount is whole micro-dollars (1e-6 USD).

This is the only place where USD become micro-dollars, or micro-dollars USD. An unknown amount is `None`, is shown
as "unknown", and is never added up as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

MICRO = 1_000_000
#: No clip and no balance is a million dollars: a larger number is a mistake in an answer.
_LIMIT = Decimal(MICRO)
_HALF_A_CENT = Decimal("0.005")


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


def usd(micro: int | None, places: int = 2) -> str:
    """Give an amount for people: "$12.30", halves up; None is "unknown". What is not nothing never reads "$0.00"."""
    if micro is None:
        return "unknown"
    amount = decimal_usd(abs(micro))
    if 0 < amount < _HALF_A_CENT:
        places = max(places, places_for([micro]))
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{'-' if micro < 0 else ''}${rounded:,}"


def exact(micro: int | None) -> str:
    """Give an amount to the last digit, for a bill and for comparisons: "$1,002.50", "$0.3125", "$0.000001"."""
    return usd(micro, 2 if micro is None else places_for([micro]))


def places_for(amounts: Iterable[int]) -> int:
    """Give how many decimals show all of these amounts to the last digit, for a column: 2 to 6."""
    every = list(amounts)
    return next(places for places in range(2, 7) if all(each % 10 ** (6 - places) == 0 for each in every))


def to_usd(micro: int) -> float:
    """Give micro-dollars as a JSON number, rounded half up to 4 decimals."""
    return float(decimal_usd(micro).quantize(Decimal("0.0001"), ROUND_HALF_UP))


def exact_usd(micro: int) -> float:
    """Give micro-dollars as a JSON number, exact to the last digit."""
    return float(decimal_usd(micro))


def decimal_usd(micro: int) -> Decimal:
    """Give micro-dollars as USD, exactly and without trailing zeros."""
    return Decimal(micro) / MICRO


#: The parameters, over all models, that a price can depend on.
PRICE_AXES = ("size", "resolution", "duration", "generate_audio")
#: What the name of a class has only where a clip has it: models with these came later.
_LATER_AXES = ("resolution", "generate_audio")


def price_class_of(model: str, params: Mapping[str, object]) -> str:
    """Name what the price depends on, as far as is known: model, size, duration, and the later axes that it has."""
    later = "".join(f" {axis}={params[axis]}" for axis in _LATER_AXES if axis in params)
    return f"{model} {params.get('size', '')} {params.get('duration', '')}".strip() + later
