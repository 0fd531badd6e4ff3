"""The known models by their names, and what a clip is likely to cost: the manifest's price, else the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from batchgen.providers.models.base import SIZE_AND_DURATION, Model, price_cell
from batchgen.providers.models.model_file import read_model

#: What the manifest says of one model: one price for every clip, or one for each "1280*720/5".
Price: TypeAlias = int | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Prices:
    """The manifest's own prices, in micro-dollars a clip."""

    by_model: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str, params: Mapping[str, Any]) -> int | None:
        """Return what the manifest says that such a clip costs; None: it says nothing."""
        price = self.by_model.get(model)
        if price is None or isinstance(price, int):
            return price
        known = find(model)
        axes = known.table.axes if known and known.table else SIZE_AND_DURATION
        return price.get(price_cell(params, known.defaults if known else {}, axes))


@cache
def known_names() -> tuple[str, ...]:
    """Return the names of all known models: one file each."""
    names = (each.name for each in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def _built_in(model: str) -> Model:
    text = files(__package__).joinpath(f"{model}.json").read_text(encoding="utf-8")
    return read_model(text, f"{model}.json")


def find(model: str) -> Model | None:
    """Return the model of this name; None: unknown, its parameters pass unchecked."""
    return _built_in(model) if model in known_names() else None


def estimate(model: str, params: Mapping[str, Any], prices: Prices | None = None) -> int | None:
    """Return the likely price of one clip in micro-dollars: the manifest's, else the table's; None: unknown."""
    listed = prices.of(model, params) if prices is not None else None
    known = find(model)
    if listed is not None or known is None:
        return listed
    return known.price(params)
