"""What a model is to us, and what its own table says that a clip costs. Pure.

Money is whole micro-dollars (1e-6 USD). An unknown price is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any

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
    """Return the row of a price table that these parameters fall in: "1280*720/5"."""
    return "/".join(axis_text(params.get(axis, defaults.get(axis))) for axis in axes)


def axis_text(value: object) -> str:
    """Spell a value as price tables do: true and false as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
