"""The known models by their names, and what a clip is likely to cost: the manifest's price, else the model's own.

A batch may have files of its own, `models/SLUG.json` next to its manifest: they count in place of the built-in ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

from batchgen.providers.models.base import Model, price_axes, price_cell
from batchgen.providers.models.model_file import ModelFileError, read_model

#: What the manifest says of one model: one price for every clip, or one for each "1280*720/5".
Price: TypeAlias = int | Mapping[str, int]
#: The folder next to a manifest that has its models.
FOLDER = "models"


@cache
def known_names() -> tuple[str, ...]:
    """Return the names of all built-in models: one file each."""
    names = (each.name for each in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def _built_in(model: str) -> Model:
    text = files(__package__).joinpath(f"{model}.json").read_text(encoding="utf-8")
    return read_model(text, f"{model}.json")


def find(model: str) -> Model | None:
    """Return the built-in model of this name; None: unknown, its parameters pass unchecked.

    Keys of clips are made by these alone, so that a file that is pulled or removed changes no key.
    """
    return _built_in(model) if model in known_names() else None


class Catalogue:
    """The models that a manifest knows: the files of one folder, and the built-in ones. Reads each file once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._own: dict[str, Model | None] = {}
        self.faults: dict[str, str] = {}  #: why a file of the folder can't be used, by the model's name
        for path in sorted(folder.glob("*.json")) if folder else ():
            try:
                self._own[path.stem] = _read(path)
            except (OSError, UnicodeDecodeError, ModelFileError) as error:
                self._own[path.stem] = None
                self.faults[path.stem] = str(error)

    @classmethod
    def of_manifest(cls, manifest: Path) -> Catalogue:
        """Give the models that a manifest knows, by the manifest's path."""
        return cls(manifest.parent / FOLDER)

    def find(self, model: str) -> Model | None:
        """Return the model of this name; None: unknown, or its file can't be used (`faults`)."""
        return self._own[model] if model in self._own else find(model)

    def names(self) -> tuple[str, ...]:
        """Return the names of all models."""
        return tuple(sorted({*known_names(), *self._own}))

    def is_own(self, model: str) -> bool:
        """Say whether the model's facts come from the folder."""
        return model in self._own


BUILT_IN = Catalogue()


@dataclass(frozen=True, slots=True)
class Prices:
    """The manifest's own prices, in micro-dollars a clip, and the models that it knows."""

    by_model: Mapping[str, Price] = field(default_factory=dict)
    models: Catalogue = BUILT_IN

    def of(self, model: str, params: Mapping[str, Any]) -> int | None:
        """Return what the manifest says that such a clip costs; None: it says nothing."""
        price = self.by_model.get(model)
        if price is None or isinstance(price, int):
            return price
        known = self.models.find(model)
        return price.get(price_cell(params, known.defaults if known else {}, price_axes(known)))

    def table(self, model: str, params: Mapping[str, Any]) -> int | None:
        """Return what the model's own table says; None: it has no price for such a clip."""
        known = self.models.find(model)
        return known.price(params) if known else None


def estimate(model: str, params: Mapping[str, Any], prices: Prices | None = None) -> int | None:
    """Return the likely price of one clip in micro-dollars: the manifest's, else the table's; None: unknown."""
    prices = prices or Prices()
    listed = prices.of(model, params)
    return prices.table(model, params) if listed is None else listed


def _read(path: Path) -> Model:
    """Read a file that counts in place of a built-in one.

    Raises:
        ModelFileError, OSError, UnicodeDecodeError: it can't be used.
    """
    model = read_model(path.read_text(encoding="utf-8"), str(path))
    if model.slug != path.stem:
        raise ModelFileError(str(path), "slug", f"this must be the file's name, {path.stem}")
    known = find(model.slug)
    for name, value in model.defaults.items():
        if known is None or known.defaults.get(name) != value:
            what = "only a built-in model has defaults; write this one under defaults: of the manifest"
            raise ModelFileError(str(path), f"parameters.{name}.default", what)
    return model
