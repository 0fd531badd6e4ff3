"""Models as `batchgen models` shows them: one object for programs, text for people. What is not known is null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from batchgen.money import to_micro, usd
from batchgen.providers.models import Model, Parameter
from batchgen.views.text import columns, dollars, fit, one_line, plural, under, wrap

BUILT_IN = "built in"


def model_object(model: Model, origin: str, today: date) -> dict[str, Any]:
    """Give all facts of a model; `origin` is the file that they come from, or `BUILT_IN`."""
    return {
        **brief_object(model, origin, today),
        "sources": list(model.sources),
        "complete": model.complete,
        "parameters": [_parameter(each) for each in model.parameters.values()],
        "prices": None if model.table is None else _prices(model),
    }


def brief_object(model: Model, origin: str, today: date) -> dict[str, Any]:
    """Give what the list has of a model."""
    low, high = price_range(model) or (None, None)
    return {
        "slug": model.slug,
        "kind": model.kind,
        "inputs": inputs(model),
        "has_seed": model.has_seed,
        "usd_low": dollars(low),
        "usd_high": dollars(high),
        "mean_usd": dollars(model.mean_price),
        "mean_run_s": model.mean_latency_s,
        "as_of": model.as_of.isoformat(),
        "age_days": (today - model.as_of).days,
        "from": origin,
    }


def inputs(model: Model) -> list[str]:
    """Name what a model takes besides its settings: text, and kinds of media."""
    kinds = ["text"] if "prompt" in model.parameters else []
    return list(dict.fromkeys([*kinds, *(each.media.kind for each in model.parameters.values() if each.media)]))


def price_range(model: Model) -> tuple[int, int] | None:
    """Give the lowest and the highest price of a clip; None: no price is known."""
    if model.table is None:
        return model.price_range
    return min(model.table.prices.values()), max(model.table.prices.values())


def list_text(rows: Iterable[Mapping[str, Any]], faults: Mapping[str, str], width: int) -> str:
    """Write a line for each model."""
    head = ("Model", "Makes", "Price", "Run", "Facts of", "From")
    cells = [head, *(_cells(row) for row in rows)]
    lines = _aligned(cells, width)
    lines += [line for fault in faults.values() for line in wrap(f"Can't be used: {one_line(fault)}", width)]
    more = ["", *wrap("Prices with ~ are means of what others paid. One model: batchgen models SLUG", width)]
    return "\n".join([*lines, *more])


def model_text(found: Mapping[str, Any], model: Model, width: int) -> str:
    """Write all facts of a model; `found` is its object."""
    _, makes, price, run, *_ = _cells(found)
    age = plural(found["age_days"], "day")
    facts = [
        ("Makes", makes),
        ("From", ", ".join(found["inputs"]) or "not known"),
        ("Seed", {True: "yes", False: "none", None: "not known"}[found["has_seed"]]),
        ("Price", price),
        ("Run time", run),
        ("Facts", f"of {found['as_of']} ({age} old), {found['from']}"),
        *(("", f"- {source}") for source in found["sources"]),
    ]
    lines = [model.slug, *(line for label, text in facts for line in under(f"  {label:<9}", one_line(text), width))]
    whole = "Parameters" if model.complete else "Parameters (others may exist)"
    lines += ["", whole]
    room = max(map(len, model.parameters), default=0)
    for each in model.parameters.values():
        needed = ", required" if each.required else ""
        default = "" if each.default is None else f", default {_word(each.default)}"
        allowed = each.allowed or "not checked"
        lines += under(f"  {each.name:<{room}}  ", one_line(f"({allowed}{needed}{default}) {each.description}"), width)
    if model.table:
        lines += ["", f"Price of a clip by {', '.join(model.table.axes)}"]
        lines += [f"  {cell:<24} {usd(amount, 4)}" for cell, amount in model.table.prices.items()]
    return "\n".join(lines)


def _aligned(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    widths = [max(columns(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        fit("  ".join(cell.ljust(room) for cell, room in zip(row, widths, strict=True)).rstrip(), width) for row in rows
    ]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    run = "not known" if row["mean_run_s"] is None else f"{row['mean_run_s']:.0f} s"
    makes = "video" if row["kind"] == "video" else "picture"
    return row["slug"], makes, _price(row), run, row["as_of"], " ".join(row["inputs"])


def _price(row: Mapping[str, Any]) -> str:
    low, high, mean = row["usd_low"], row["usd_high"], row["mean_usd"]
    if low is not None:
        return _usd(low) if low == high else f"{_usd(low)}-{_usd(high)[1:]}"
    return "not known" if mean is None else f"~{_usd(mean)}"


def _usd(amount: float) -> str:
    return usd(to_micro(amount))


def _prices(model: Model) -> dict[str, Any]:
    table_ = model.table
    if table_ is None:
        return {}
    return {
        "axes": list(table_.axes),
        "source": table_.note,
        "usd": {cell: dollars(amount) for cell, amount in table_.prices.items()},
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    return {
        "name": each.name,
        "type": each.type,
        "required": each.required,
        "values": None if each.values is None else [_plain(value) for value in each.values],
        "range": None if each.low is None else [each.low, each.high],
        "default": each.default,
        "max_chars": each.max_chars,
        "media": each.media.kind if each.media else None,
        "list": each.many,
        "description": each.description,
    }


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


def _word(value: object) -> str:
    return '""' if value == "" else str(value).lower() if isinstance(value, bool) else str(value)
