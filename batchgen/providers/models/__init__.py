"""The models that are known: their parameters, prices and run times. Nothing heavy is imported until asked for.

Reading order: `base` (what a model is, the registry), then `wan_2_5_t2v` and its parameters `wan_2_5_t2v_schema`.
"""

from __future__ import annotations

from batchgen.providers.models.base import Model, Price, Prices, estimate, find, known_names, price_cell, whole_number

__all__ = ["Model", "Price", "Prices", "estimate", "find", "known_names", "price_cell", "whole_number"]
