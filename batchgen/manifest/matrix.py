"""A matrix → its cells: product first, then exclude, then include, with GitHub Actions' meaning. Pure.

A module of its own because it is a borrowed standard, which is tested by itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Axes in the order written (the first is the slowest), and the corrections to their product."""

    axes: Mapping[str, Sequence[Any]]
    exclude: Sequence[Mapping[str, Any]] = ()
    include: Sequence[Mapping[str, Any]] = ()

    @property
    def size(self) -> int:
        """How many cells the product has, before exclude and include."""
        return math.prod(len(values) for values in self.axes.values()) if self.axes else 0

    def cells(self) -> list[Cell]:
        """Return all cells; a matrix with neither axes nor include is one empty cell."""
        if not self.axes and not self.include:
            return [{}]
        kept = [cell for cell in self._product() if not any(_matches(cell, drop) for drop in self.exclude)]
        return _include(kept, self.include, frozenset(self.axes))

    def _product(self) -> list[Cell]:
        if not self.axes:
            return []
        return [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]


def _matches(cell: Cell, pattern: Mapping[str, Any]) -> bool:
    """Say whether every pair of the pattern is in the cell."""
    return all(name in cell and same(cell[name], value) for name, value in pattern.items())


def same(left: object, right: object) -> bool:
    """Say whether two values are equal and of one kind, so that `true` is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _include(cells: list[Cell], include: Sequence[Mapping[str, Any]], axes: frozenset[str]) -> list[Cell]:
    """Add each entry to every cell whose original values it does not change; one that fits none is a cell of its own.

    A later entry may overwrite what an earlier one added, and never extends a cell that one added.
    """
    extended = [dict(cell) for cell in cells]
    added: list[Cell] = []
    for entry in include:
        original = {name: value for name, value in entry.items() if name in axes}
        hosts = [cell for cell in extended if _matches(cell, original)]
        for cell in hosts:
            cell.update(entry)
        if not hosts:
            added.append(dict(entry))
    return extended + added
