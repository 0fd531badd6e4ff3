"""What a model is to us, the registry of known ones, and what a clip is likely to cost.

Money is whole micro-dollars (1e-6 USD). An unknown price is None, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from batchgen.money import micro_of

if TYPE_CHECKING:
    from pydantic import BaseModel


import tomllib
from decimal import Decimal
from importlib.resources import files
from types import MappingProxyType

_MODULES = {"wan-2.5-t2v": "wan_2_5_t2v"}

#: What the manifest says of one model: one price for every clip, or one for each "1280*720/5".
Price: TypeAlias = int | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose parameters and prices are known.

    `schema_module` names the module whose `SCHEMA` is the pydantic schema; it is imported on first use.
    """

    slug: str
    schema_module: str
    parameters: tuple[str, ...]  #: every parameter that the API names
    defaults: Mapping[str, Any]  #: left out of keys, sent all the same
    text_limits: Mapping[str, int]  #: characters, above which the service cuts silently
    mean_latency_s: float  #: published mean of one run
    prices: Mapping[str, int]  #: micro-dollars by `price_cell`
    mean_price: int  #: micro-dollars that others were charged a clip, on average over all of its prices
    price_note: str  #: where the prices come from, and of when

    @property
    def schema(self) -> type[BaseModel]:
        """The pydantic schema of its parameters (imports pydantic)."""
        params: type[BaseModel] = import_module(self.schema_module).SCHEMA
        return params


@dataclass(frozen=True, slots=True)
class Prices:
    """The manifest's own prices, in micro-dollars a clip."""

    by_model: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str, params: Mapping[str, Any]) -> int | None:
        """Return what the manifest says that such a clip costs; None: it says nothing."""
        price = self.by_model.get(model)
        if price is None or isinstance(price, int):
            return price
        return price.get(price_cell(params, _defaults(model)))


def known_names() -> list[str]:
    """Return the names of all known models."""
    return sorted(_MODULES)


def find(model: str) -> Model | None:
    """Return the model of this name; None: unknown, its parameters pass unchecked."""
    name = _MODULES.get(model)
    if name is None:
        return None
    found: Model = import_module(f"batchgen.providers.models.{name}").MODEL
    return found


def estimate(model: str, params: Mapping[str, Any], prices: Prices | None = None) -> int | None:
    """Return the likely price of one clip in micro-dollars: the manifest's, else the table's; None: unknown."""
    listed = prices.of(model, params) if prices is not None else None
    known = find(model)
    if listed is not None or known is None:
        return listed
    return known.prices.get(price_cell(params, known.defaults))


def whole_number(value: object) -> int | None:
    """Read a whole number as people and tables write it: 5, 5.0, "5", "5.0" (pandas writes these); None: it is none.

    The one rule for every whole number of a manifest: parameters, takes, seeds, priorities, limits and caps.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+]?[0-9]{1,18})(?:\.0*)?\s*", value, re.ASCII)
        return int(match[1]) if match else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def price_cell(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the row of a price table that these parameters fall in: "1280*720/5"."""
    size, duration = (params.get(name, defaults.get(name)) for name in ("size", "duration"))
    return f"{size}/{duration}"


def _defaults(model: str) -> Mapping[str, Any]:
    known = find(model)
    return known.defaults if known else {}


@dataclass(frozen=True, slots=True)
class Table:
    """One model's prices: micro-dollars a clip by `price_cell`, their mean, and where they come from, in words."""

    prices: Mapping[str, int]
    mean: int
    note: str


def table(model: str) -> Table:
    """Read the table of one model.

    Raises:
        KeyError: the file has none of it: a fault of batchgen.
    """
    text = files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")
    entry = tomllib.loads(text, parse_float=Decimal)[model]
    prices = {cell: micro_of(amount) for cell, amount in entry["usd"].items()}
    return Table(
        MappingProxyType(prices), micro_of(entry["mean_usd"]), f"estimate of {entry['as_of']}: {entry['source']}"
    )
