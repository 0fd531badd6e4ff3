"""The models that are known: their parameters, prices and pace. Nothing heavy is imported until asked for."""

from __future__ import annotations

from batchgen.providers.models.base import Model, Price, Prices, estimate, find, price_cell

__all__ = ["Model", "Price", "Prices", "estimate", "find", "price_cell"]
