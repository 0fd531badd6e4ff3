"""A manifest with faults of structure → one without, so that the faults of the rest are found in the same pass.

Nothing is ever run from it: its faults are noted already. A single value where a list belongs becomes a list of one, a
misspelt key is read as the one that it means, and what makes no sense is left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchgen.manifest.schema import DEFAULT_MODEL, ENTRY_WORDS, ManifestShape
from batchgen.manifest.tables import KINDS
from batchgen.manifest.yaml_loader import Document
from batchgen.providers.models import find

#: In place of a model's name that can't be read: its parameters are not checked.
UNREADABLE_MODEL = "?"
#: In place of a prompt that can't be read: the parameters written with it are checked all the same.
PLACEHOLDER = "-"
#: How near a misspelt key has to be.
NEAR = 0.75
#: What people call a key when they do not know its name.
LIKE = {"prompt": ("text", "description", "caption", "scene", "shot"), "file": ("csv", "table", "path")}
#: A text that names a table, alone or after one word: "shots.csv", "file shots.csv", "@shots.csv".
_TABLE = re.compile(rf"(?:\S+\s+)?(?:[\w-]*[:=@])?(?P<file>\S+(?:{'|'.join(map(re.escape, KINDS))}))", re.IGNORECASE)


def table_in(value: object) -> str:
    """Return the name of a table that was written where a prompt belongs, or within it; empty: there is none."""
    if isinstance(value, str):
        found = _TABLE.fullmatch(value.strip())
        return found["file"] if found else ""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(table_in, parts)), "")


def table_key(entry: Mapping[str, Any], unknown: Iterable[str]) -> str | None:
    """Return the unknown key of a prompt that stands for `file`, by its value."""
    return next((key for key in unknown if table_in(entry[key])), None)


def near_key(word: str, unknown: Iterable[str]) -> str | None:
    """Return the unknown key of a prompt that stands for `prompt` or `file`, if one does."""
    words = list(unknown)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.7) or [key for key in words if key in LIKE[word]]
    return near[0] if near else None


def is_mapped_text(entry: Mapping[str, Any]) -> bool:
    """Say whether a text with a colon in it, not quoted, became this mapping."""
    [key, *more] = entry or [""]
    return bool(key) and not more and key not in ENTRY_WORDS and not is_parameter(key)


def is_parameter(word: str) -> bool:
    """Say whether the default model has a parameter of this name."""
    model = find(DEFAULT_MODEL)
    return model is not None and word in model.parameters


class Repair:
    """Repairs a document's data in place, one fault after the other."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._data: dict[str, Any] = document.data

    def unknown_key(self, word: str) -> None:
        """Read a top-level key as the one that it is nearest to, or leave it out."""
        value = self._data.pop(word)
        absent = [name for name in ManifestShape.model_fields if name not in self._data]
        for meant in difflib.get_close_matches(word, absent, n=1, cutoff=NEAR):
            if meant == "model" and (not isinstance(value, str) or find(value) is None):
                return  # of an unknown model nothing could be checked
            self._data[meant] = value
            self._document.rename((), word, meant)

    def part(self, path: Sequence[str | int]) -> None:
        """Repair what stands at a path, or leave it out."""
        match path:
            case ["prompts"]:
                self._data["prompts"] = _listed(self._data.get("prompts") or PLACEHOLDER)
            case ["prompts", int(index)]:
                self._data["prompts"][index] = None
            case ["prompts", int(index), str(word), *inner]:
                self._entry(index, word, inner)
            case [str(word), *inner]:
                self._shared(self._data, word, inner)

    def _entry(self, index: int, word: str, inner: Sequence[str | int]) -> None:
        entry: dict[str, Any] | None = self._data["prompts"][index]
        if entry is None:
            return
        if word == "prompt":
            self._without_prompt(index, entry)
        elif word == "file":
            del entry["file"]
            entry.setdefault("prompt", PLACEHOLDER)
            self._document.variables_known = False
        else:
            self._shared(entry, word, inner)

    def _without_prompt(self, index: int, entry: dict[str, Any]) -> None:
        unknown = [key for key in entry if key not in ENTRY_WORDS]
        if (table := table_key(entry, unknown)) is not None:
            entry["file"] = table_in(entry.pop(table))
            self._document.rename(("prompts", index), table, "file")
            return
        for word in () if "prompt" in entry else LIKE:
            if (near := near_key(word, unknown)) is not None:
                entry[word] = entry.pop(near)
                self._document.rename(("prompts", index), near, word)
                return
        if is_mapped_text(entry) or not entry:
            self._data["prompts"][index] = None
        else:
            entry["prompt"] = PLACEHOLDER

    def _shared(self, holder: dict[str, Any], word: str, inner: Sequence[str | int]) -> None:
        """Repair what the manifest and a prompt both may have."""
        if word == "model":
            holder["model"] = UNREADABLE_MODEL
        elif word == "matrix" and inner:
            self._axis(holder.get("matrix") or {}, str(inner[0]))
        else:
            holder.pop(word, None)
            if word in ("vars", "matrix"):
                self._document.variables_known = False

    def _axis(self, matrix: dict[str, Any], name: str) -> None:
        value = matrix.pop(name, None)
        matrix.pop("exclude", None)  # its lines name values that an axis may have lost
        if isinstance(value, str | int | float):
            matrix[name] = [value]
        elif name != "exclude":
            self._document.variables_known = False


def _listed(value: object) -> list[Any]:
    if isinstance(value, list):  # found under a misspelt key
        return value
    if isinstance(value, str) or (isinstance(value, dict) and value.keys() & {"prompt", "file"}):
        return [value]
    return [PLACEHOLDER]
