"""The models that are known: one dated file each, `SLUG.json`, read when it is first asked for.

Reading order: `parameter` (what a value may be), `base` (what a model is), `model_file` (how a file becomes one),
`catalogue` (the known ones, and prices).
"""

from __future__ import annotations

from batchgen.providers.models.base import Model, PriceTable, price_cell
from batchgen.providers.models.catalogue import Price, Prices, estimate, find, known_names
from batchgen.providers.models.parameter import Media, Parameter, ParameterError, whole_number

__all__ = [
    "Media",
    "Model",
    "Parameter",
    "ParameterError",
    "Price",
    "PriceTable",
    "Prices",
    "estimate",
    "find",
    "known_names",
    "price_cell",
    "whole_number",
]
