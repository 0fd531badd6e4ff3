"""The price tables that come with the program (`prices.toml`): dated estimates, their source named."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Table:
    """One model's prices: micro-dollars a clip by `price_cell`, and where they come from, in words."""

    prices: Mapping[str, int]
    note: str


def table(model: str) -> Table:
    """Read the table of one model.

    Raises:
        KeyError: the file has none of it: a fault of batchgen.
    """
    text = files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")
    entry = tomllib.loads(text, parse_float=Decimal)[model]
    prices = {cell: int(amount * 1_000_000) for cell, amount in entry["usd"].items()}
    return Table(MappingProxyType(prices), f"estimate of {entry['as_of']}: {entry['source']}")
