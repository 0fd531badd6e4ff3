"""What may be asked of every built-in model, by its file: the sandbox's part of "a model is data". Pure.

As there, a value outside a fixed set and a missing parameter are refused at submission. Where the file has no price for
a clip, the sandbox takes the mean that others paid, and where that is not known half a dollar: play money, so that the
books, the budget and the bill can be rehearsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from batchgen.providers.models import Model, find, whole_number
from batchgen.sandbox import protocol
from batchgen.sandbox.protocol import Order, Refusal

_NO_PRICE: Final = 500_000
_LINES, _SECONDS = 720, 5
_MOST_LINES, _MOST_SECONDS = 1080, 30


def order_of(slug: str, params: object) -> Order:
    """Understand a submission for any model on offer.

    Raises:
        Refusal: 404 unknown model, or one that makes pictures; 400 a parameter is missing; 406 a value outside a fixed
            set.
    """
    if slug in protocol.MODELS:
        return protocol.read_order(slug, params)
    model = find(slug)
    if model is None or model.kind != "video":
        raise Refusal(404, "Model not found")
    if not isinstance(params, dict):
        raise Refusal(400, "Bad request: the body must be a JSON object")
    _check(model, params)
    width, height = shape(params)
    seed = params.get("seed", 42)
    return Order(
        prompt=str(params["prompt"]),
        width=width,
        height=height,
        duration=_seconds(model, params),
        seed=seed if type(seed) is int else 42,
        price=_price(model, params),
    )


def shape(params: Mapping[str, Any]) -> tuple[int, int]:
    """Give width and height in pixels, by `size`, or by `resolution` and `aspect_ratio`; else 1280 and 720."""
    if match := re.fullmatch(r"(\d{2,4})\*(\d{2,4})", str(params.get("size", ""))):
        return _even(int(match[1])), _even(int(match[2]))
    said = re.search(r"\d{3,4}", str(params.get("resolution", "")))
    lines = min(int(said[0]) if said else _LINES, _MOST_LINES)
    ratio = re.fullmatch(r"(\d{1,2}):(\d{1,2})", str(params.get("aspect_ratio", "")))
    wide, high = (int(ratio[1]) or 16, int(ratio[2]) or 9) if ratio else (16, 9)
    short, long = _even(lines), _even(lines * max(wide, high) // min(wide, high))
    return (long, short) if wide >= high else (short, long)


def _check(model: Model, params: Mapping[str, Any]) -> None:
    for name, each in model.parameters.items():
        if each.required and not params.get(name):
            raise Refusal(400, f"Bad request: {name!r} is required")
        if each.values is not None and name in params and params[name] not in each.values:
            allowed = ", ".join(map(str, each.values))
            raise Refusal(406, f"Invalid value for {name}: {params[name]!r}. Allowed: {allowed}")


def _seconds(model: Model, params: Mapping[str, Any]) -> int:
    known = model.parameters.get("duration")
    usual = whole_number(known.values[0]) if known and known.values else None
    asked = whole_number(params.get("duration"))
    return min(max(asked or usual or _SECONDS, 1), _MOST_SECONDS)


def _price(model: Model, params: Mapping[str, Any]) -> int:
    low = model.price_range[0] if model.price_range else None
    return model.price(params) or low or model.mean_price or _NO_PRICE


def _even(number: int) -> int:
    """Chroma has half the resolution."""
    return max(number // 2 * 2, 16)
