"""One entry of the service's public catalogue → a model's file. Pure; whatever the catalogue says, never a crash.

The catalogue is on an undocumented host and its shape may change. Known of it are the names of some fields (`slug`,
`type`, `parameters_schema`, `parameters`, `is_depreciated`), not what is in them: where `parameters_schema` reads as a
JSON Schema, its types, values and ranges are taken over; else the names of the parameters alone, unchecked. What a
built-in file knows of the model, and the catalogue does not say, is kept: prices, limits, defaults, kinds of media.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from batchgen.providers.models.catalogue import find
from batchgen.providers.models.model_file import ModelFileError, read_model

_TYPES = {"integer": "whole", "number": "number", "boolean": "switch"}
_NO_MORE = "The catalogue names it, and says no more."
#: Levels of an answer in which the list of models is looked for.
_DEPTH = 3


class CatalogueError(ValueError):
    """The catalogue has nothing that can be used: `what`, and a `tip`."""

    def __init__(self, what: str, tip: str = "") -> None:
        super().__init__(what)
        self.tip = tip


def file_of(answer: object, slug: str, source: str, today: date) -> str:
    """Return the text of a model's file.

    Args:
        answer: of the catalogue, as JSON.
        slug: the model's name.
        source: where the answer came from, in words.
        today: the date of the facts.

    Raises:
        CatalogueError: it has no such model, says that it is retired, or says nothing of it.
    """
    entries = list(_entries(answer))
    if not entries:
        tip = "its shape may have changed; the built-in files still hold (`batchgen models`)"
        raise CatalogueError("the catalogue's answer has no list of models", tip)
    entry = next((each for each in entries if each["slug"] == slug), None)
    if entry is None:
        near = get_close_matches(slug, [each["slug"] for each in entries], n=1)
        raise CatalogueError(f"the catalogue has no model {slug}", f"did you mean {near[0]}?" if near else "")
    if entry.get("is_depreciated") is True:
        raise CatalogueError(f"the catalogue says that {slug} is retired")
    return _file(entry, slug, source, today)


def _entries(answer: object, depth: int = _DEPTH) -> Iterator[Mapping[str, Any]]:
    """Yield all entries with a slug, from a list at any of the first levels: its name is not documented."""
    if isinstance(answer, list):
        yield from (each for each in answer if isinstance(each, dict) and isinstance(each.get("slug"), str))
    elif isinstance(answer, dict) and depth:
        for value in answer.values():
            yield from _entries(value, depth - 1)


def _file(entry: Mapping[str, Any], slug: str, source: str, today: date) -> str:
    known = _built_in(slug)
    kind = _kind(entry.get("type")) or known.get("kind")
    if kind is None:
        raise CatalogueError(f"the catalogue does not say whether {slug} makes videos or pictures")
    found = dict(_parameters(entry, known.get("parameters", {})))
    if not found:
        raise CatalogueError(f"the catalogue says nothing of the parameters of {slug}")
    data = {
        **known,
        "slug": slug,
        "kind": kind,
        "as_of": today.isoformat(),
        "sources": [f"{source}, {today.isoformat()}", *known.get("sources", [])],
        "complete": False,
        "parameters": {**known.get("parameters", {}), **found},
    }
    if "prices" in data:  # they are as old as they were
        data["prices"] = {"as_of": known["as_of"], **data["prices"]}
    try:
        return _sound(data)
    except ModelFileError:
        data.pop("prices", None)  # rows of values that are no longer allowed
    try:
        return _sound(data)
    except ModelFileError as error:
        raise CatalogueError(f"the catalogue contradicts itself about {slug} ({error})") from error


def _sound(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=True, indent=2) + "\n"
    read_model(text, f"{data['slug']}.json")
    return text


def _built_in(slug: str) -> dict[str, Any]:
    if find(slug) is None:
        return {}
    text = files(__package__).joinpath(f"{slug}.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def _kind(said: object) -> str | None:
    """Read "textToVideo" and "imageToImage"; None: it says something else."""
    word = said.lower() if isinstance(said, str) else ""
    return next((kind for kind in ("video", "image") if word.endswith(f"to{kind}")), None)


def _parameters(entry: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = _decoded(entry.get("parameters_schema")) or _decoded(entry.get("parameters"))
    if not isinstance(schema, dict):
        return
    named, required = schema.get("properties"), schema.get("required")
    described = isinstance(named, dict)
    for name, facts in (named if isinstance(named, dict) else schema).items():
        if not isinstance(name, str) or not name.isidentifier():
            continue
        said = facts if described and isinstance(facts, dict) else {}
        needed = isinstance(required, Sequence) and not isinstance(required, str) and name in required
        yield name, _parameter(name, said, known.get(name), needed=needed)


def _decoded(value: object) -> object:
    """Read JSON that is written as a text."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            decoded: object = json.loads(value)
            return decoded
    return value


def _parameter(name: str, said: Mapping[str, Any], known: Mapping[str, Any] | None, *, needed: bool) -> dict[str, Any]:
    """Give the first of these that is sound: what is said and known together, what is known, the name alone."""
    base = dict(known or {"type": _type(name, said), "description": _NO_MORE})
    if isinstance(text := said.get("description"), str) and text.strip() and known is None:
        base["description"] = " ".join(text.split())[:500]
    if needed:
        base["required"] = True
    more = dict(base)
    low, high = said.get("minimum"), said.get("maximum")
    if isinstance(values := said.get("enum"), list) and base["type"] != "media":
        more["values"] = values
    elif base["type"] in ("whole", "number", "seed") and None not in (low, high):
        more["range"] = [low, high]
    plain = {"type": "any", "description": _NO_MORE}
    return next((each for each in (more, base) if _is_sound(name, each)), plain)


def _type(name: str, said: Mapping[str, Any]) -> str:
    kind = said.get("type")
    if name == "seed" and kind == "integer":
        return "seed"
    if kind == "string" and isinstance(said.get("enum"), list):
        return "text"
    return _TYPES.get(kind, "any") if isinstance(kind, str) else "any"


def _is_sound(name: str, parameter: Mapping[str, Any]) -> bool:
    model = {"slug": "x", "kind": "video", "as_of": "2026-01-01", "sources": ["x"], "complete": False}
    try:
        _sound({**model, "parameters": {name: parameter}})
    except (ModelFileError, ValueError, TypeError, RecursionError):
        return False
    return True
