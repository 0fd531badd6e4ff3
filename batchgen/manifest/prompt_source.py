"""An entry of `prompts:` in one cell of its matrix: its values in layers, the later ones above the earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from batchgen.manifest.faults import Position
from batchgen.manifest.naming import slug
from batchgen.manifest.schema import Cell, ManifestShape


class Layer(NamedTuple):
    """Values that were written together."""

    values: Mapping[str, Any]
    path: tuple[str | int, ...] = ()  #: of the mapping that they are in
    place: Position | None = None  #: of all of them, where none has a place of its own: a text, a row


class PromptSource(NamedTuple):
    """An entry of the manifest in one cell of its matrix: what its rows have in common."""

    layers: tuple[Layer, ...]
    values: dict[str, Any]
    variables: dict[str, Any]
    place: Position
    cell_id: str
    label: str
    cell: Mapping[str, Any]


def source_of(
    shape: ManifestShape,
    model: str,
    cell: Cell,
    in_cell: Layer,
    written: Layer,
    place: Position,
    variables: Mapping[str, Any],
) -> PromptSource:
    """Give an entry in one cell.

    Args:
        shape: of the manifest.
        model: of the clips.
        cell: all of its axes; each is a variable, too.
        in_cell: those of them that are parameters.
        written: the entry's own values.
        place: of the entry.
        variables: the entry's own.
    """
    layers = (
        Layer({"model": model}),
        Layer(shape.defaults, ("defaults",)),
        Layer(shape.by_model.get(model, {}), ("by_model", model)),
        in_cell,
        written,
    )
    merged = {name: value for layer in layers for name, value in layer.values.items()}
    known = {**shape.vars, **cell, **variables}
    cell_id = "-".join(filter(None, (slug(str(value)) for value in cell.values())))
    label = ", ".join(f"{name}={value}" for name, value in cell.items())
    return PromptSource(layers, {**merged, "model": model}, known, place, cell_id, label, cell)
