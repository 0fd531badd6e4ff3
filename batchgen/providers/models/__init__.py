"""The models that are known: one dated file each, `SLUG.json`, read when it is first asked for.

Reading order: `parameter` (what a value may be), `base` (what a model is), `model_file` (how a file becomes one),
`catalogue` (the known ones, and prices), `pulled` (an entry of the service's list as a file).
"""

from __future__ import annotations

from batchgen.providers.models.base import Model, PriceTable, can_have, price_axes, price_cell
from batchgen.providers.models.catalogue import BUILT_IN, FOLDER, Catalogue, Price, Prices, estimate, find, known_names
from batchgen.providers.models.parameter import Media, Parameter, ParameterError, whole_number

__all__ = [
    "BUILT_IN",
    "FOLDER",
    "Catalogue",
    "Media",
    "Model",
    "Parameter",
    "ParameterError",
    "Price",
    "PriceTable",
    "Prices",
    "can_have",
    "estimate",
    "find",
    "known_names",
    "price_axes",
    "price_cell",
    "whole_number",
]
