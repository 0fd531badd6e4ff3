"""What a model is to us, and what its own table says that a clip costs. Pure.

Money is whole micro-dollars (1e-6 USD). An unknown price is None, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from types import MappingProxyType
from typing import Any

from batchgen.money import PRICE_AXES
from batchgen.providers.models.parameter import Parameter

#: The axes of a manifest's prices where the model's own are not known.
SIZE_AND_DURATION = ("size", "duration")


@dataclass(frozen=True, slots=True)
class PriceTable:
    """One model's prices: micro-dollars a clip by the values of `axes`, joined with "/"; and where they come from."""

    axes: tuple[str, ...]
    prices: Mapping[str, int]
    note: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model of which facts are known. What is None is not known."""

    slug: str
    kind: str  #: what it makes: "video" or "image"
    as_of: date  #: when the facts were collected
    sources: tuple[str, ...]  #: where they come from
    complete: bool  #: whether `parameters` are all that the API names
    parameters: Mapping[str, Parameter]
    table: PriceTable | None
    mean_price: int | None  #: micro-dollars that others were charged a clip, on average over all of its prices
    price_range: tuple[int, int] | None  #: the lowest and the highest list price of a clip, micro-dollars
    mean_latency_s: float | None  #: published mean of one run
    #: Left out of keys, sent all the same.
    defaults: Mapping[str, Any] = field(init=False)
    #: Characters, above which the service cuts silently.
    text_limits: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Derive what is asked for with every clip."""
        every = self.parameters.values()
        sent = {each.name: each.default for each in every if each.default is not None}
        limits = {each.name: each.max_chars for each in every if each.max_chars is not None}
        object.__setattr__(self, "defaults", MappingProxyType(sent))
        object.__setattr__(self, "text_limits", MappingProxyType(limits))

    @property
    def has_seed(self) -> bool | None:
        """Say whether it takes a seed; None: not known."""
        return True if "seed" in self.parameters else False if self.complete else None

    @property
    def price_note(self) -> str:
        """Say where the prices come from, and of when; "" without a table."""
        return self.table.note if self.table else ""

    def price(self, params: Mapping[str, Any]) -> int | None:
        """Return the table's price of one clip in micro-dollars; None: it has none."""
        return self.table.prices.get(price_cell(params, self.defaults, self.table.axes)) if self.table else None


def price_cell(
    params: Mapping[str, Any], defaults: Mapping[str, Any], axes: tuple[str, ...] = SIZE_AND_DURATION
) -> str:
    """Return the row of a price table that these parameters fall in: "1280*720/5".

    An axis that the clip has no value of is no part of it.
    """
    values = (params.get(axis, defaults.get(axis)) for axis in axes)
    return "/".join(axis_text(value) for value in values if value is not None)


def price_axes(model: Model | None) -> tuple[str, ...]:
    """Return what the price of a clip can depend on: the axes of the model's table, else those that it has."""
    if model is None:
        return SIZE_AND_DURATION
    return model.table.axes if model.table else tuple(axis for axis in PRICE_AXES if axis in model.parameters)


def can_have(model: Model | None, row: str) -> bool:
    """Say whether a clip of a model can fall in a row of prices: each part is a value of one of its axes, in order."""
    parts = row.split("/")
    if model is None:
        return re.fullmatch(r"\d+\*\d+/\d+", row) is not None
    every = combinations(price_axes(model), len(parts))
    return any(
        all(_takes(model.parameters[axis], part) for axis, part in zip(axes, parts, strict=True)) for axes in every
    )


def _takes(parameter: Parameter, part: str) -> bool:
    if parameter.type == "switch":
        return part in ("true", "false")
    if parameter.values is not None:
        return part in map(axis_text, parameter.values)
    return part.isdecimal() if parameter.type in ("whole", "digits") else "*" not in part


def axis_text(value: object) -> str:
    """Spell a value as price tables do: true and false as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
