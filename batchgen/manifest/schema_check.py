"""Plain values → the manifest's parts, or what is wrong with their structure, in words of our own.

Apart from `schema`, which says what may be written: this is what becomes of pydantic's errors.
"""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from batchgen.manifest.faults import QUOTE, FaultList, did_you_mean, shown
from batchgen.manifest.schema import (
    DEFAULT_MODEL,
    DEFAULT_WORDS,
    ENTRY_WORDS,
    BudgetShape,
    LimitsShape,
    ManifestShape,
    OutputShape,
    WindowShape,
)
from batchgen.manifest.yaml_loader import Document
from batchgen.providers.models import find

_WORDS: dict[str, type[BaseModel]] = {
    "limits": LimitsShape,
    "budget": BudgetShape,
    "output": OutputShape,
    "window": WindowShape,
}


def check_shape(document: Document, faults: FaultList) -> ManifestShape | None:
    """Return the manifest's parts, and note everything that is wrong with their structure.

    Wrong parts are left out (such a prompt becomes None in the document), so that the faults of the rest are found in
    the same pass; None: too little is left for that.
    """
    if not isinstance(document.data, dict):
        what = "the manifest is empty" if document.data is None else "the manifest is not a mapping (name: value)"
        faults.error(document.place(()), what, "begin with prompts: and a list, or run batchgen init")
        return None
    _check_words(document, faults)
    # A key without a value (`limits:`) counts as not written.
    written = {word: value for word, value in document.data.items() if value is not None}
    try:
        return ManifestShape.model_validate(written)
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        if not _misspelt(document, detail["loc"], detail["type"], faults):
            _note(document, detail, faults)
    return _sound_parts(document, written, [detail["loc"] for detail in details])


def _check_words(document: Document, faults: FaultList) -> None:
    """Note what the shape would let pass.

    Keys under defaults that are no parameters would pass as such for an unknown model. A limit that is named without
    a value would be none: its writer believes in a limit that nobody set.
    """
    data = document.data
    defaults = data.get("defaults")
    for word in sorted(ENTRY_WORDS - DEFAULT_WORDS) if isinstance(defaults, dict) else ():
        if word in defaults:
            at = document.place(("defaults", word))
            faults.error(at, f"{word} is not allowed under defaults", "write it at the top level, or in a prompt")
    if "budget" in data and data["budget"] is None:
        fix = "write max_usd: 20 under it, or remove the line"
        faults.error(document.place(("budget",), key=True), "budget has no value, so nothing would be limited", fix)
    for part in ("budget", "limits"):
        for word, value in data[part].items() if isinstance(data.get(part), dict) else ():
            if value is None:
                what = f"{part}.{word} has no value, so nothing would be limited"
                faults.error(document.place((part, word), key=True), what, "write a number, or remove the line")


def _sound_parts(
    document: Document, written: dict[str, Any], wrong: list[tuple[int | str, ...]]
) -> ManifestShape | None:
    parts = {str(loc[0]) for loc in wrong if loc[:1] != ("prompts",) or len(loc) < 2}
    if parts & {"vars", "matrix", "model", "prompts"}:
        return None  # every prompt depends on these: other faults would be noise
    bad = {loc[1] for loc in wrong if loc[:1] == ("prompts",)}
    prompts = [None if index in bad else entry for index, entry in enumerate(written["prompts"])]
    document.data["prompts"] = prompts
    kept = {word: value for word, value in written.items() if word not in parts}
    return ManifestShape.model_validate({**kept, "prompts": [entry or "-" for entry in prompts]})


def _note(document: Document, detail: ErrorDetails, faults: FaultList) -> None:
    path = [step for step in detail["loc"] if not (isinstance(step, str) and step[:1] in ("<", "["))]
    unknown = detail["type"] == "extra_forbidden"
    what, fix = _words(detail, path)
    faults.error(document.place(path, key=unknown), what, fix, private=path[:1] == ["notify"])


def _misspelt(document: Document, loc: tuple[int | str, ...], kind: str, faults: FaultList) -> bool:
    """Note the key or text that is the cause of a part that is missing; False: there is none."""
    if kind != "missing":
        return False
    if loc == ("prompts",):
        unknown = [str(key) for key in document.data if key not in ManifestShape.model_fields]
        return bool(difflib.get_close_matches("prompts", unknown, n=1))  # noted as an unknown key
    if loc[0] != "prompts":
        return False
    path = loc[:2]
    entry = document.data["prompts"][path[1]]
    unknown = [str(key) for key in entry if key not in ENTRY_WORDS]
    for word, others in _LIKE.items():
        near = difflib.get_close_matches(word, unknown, n=1, cutoff=0.7) or [key for key in unknown if key in others]
        if near:
            what = f"{_name([*path])}: unknown key {near[0]}"
            faults.error(document.place((*path, near[0]), key=True), what, f"did you mean {word}?")
            return True
    place = document.place(path)
    if len(entry) == 1 and unknown and not _is_parameter(unknown[0]):
        faults.error(place, f"{_name([*path])}: a text with “: ” in it is read as a mapping", QUOTE)
        return True
    return not entry and any(fault.line == place.line for fault in faults.errors)  # its odd key is noted


#: What people call a key when they do not know its name.
_LIKE = {"prompt": ("text", "description", "caption", "scene", "shot"), "file": ("csv", "table", "path")}


def _words(detail: ErrorDetails, path: list[int | str]) -> tuple[str, str]:
    name = _name(path)
    context, value = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "batchgen":
            return f"{name}: {context['what']}", str(context["fix"])
        case "extra_forbidden":
            return f"unknown key {path[-1]!s}", _unknown_fix(path)
        case "missing":
            fix = "add it, with a list of texts" if name == "prompts" else f"add {path[-1]}:"
            return f"{name.removesuffix('.' + str(path[-1]))} has no {path[-1]}" if len(
                path
            ) > 1 else f"{name} is missing", fix
        case "too_short":
            return f"{name} is empty", "write at least one"
        case "string_type" | "dict_type" | "list_type" | "model_type" | "model_attributes_type" | "bool_type":
            kind = detail["type"].split("_")[0]
            must, fix = _KINDS[kind]
            if value is None and path[:1] == ["prompts"]:
                return f"{name} is empty", "write a text; a # begins a comment, so quote a text that begins with it"
            if name == "budget":
                fix = "write budget: {max_usd: 20}"
            if name == "prompts" and str(value).startswith("-"):
                fix = "write a space after each -"
            return f"{name} must be {must}, not {shown(value)}", fix
        case "greater_than_equal":
            return f"{name} can't be {shown(value)}", f"write {context['ge']} or more"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    return f"{name}: {message} (got {shown(value)})", ""


_KINDS = {
    "string": ("a text", "write it in quotes if it looks like something else"),
    "dict": ("a mapping", "write name: value pairs"),
    "model": ("a mapping", "write name: value pairs"),
    "list": ("a list", "write [a, b], or a line with - for each"),
    "bool": ("true or false", "write one of them, without quotes"),
}


def _name(path: list[int | str]) -> str:
    """Name a part as people count: `prompt 3`, `matrix.city`, `notify 1`."""
    name = ""
    for step in path:
        number = f" {int(step) + 1}" if isinstance(step, int) else ""
        name = f"{name.removesuffix('s') if name == 'prompts' else name}{number}" if number else f"{name}.{step}"
        name = name.removeprefix(".")
    return name or "manifest"


def _unknown_fix(path: list[int | str]) -> str:
    word = str(path[-1])
    if len(path) > 1:
        return did_you_mean(word, _WORDS[str(path[0])].model_fields if str(path[0]) in _WORDS else ())
    if difflib.get_close_matches("prompts", [word], n=1, cutoff=0.8):
        return "did you mean prompts?"
    if word in DEFAULT_WORDS or _is_parameter(word):
        return f"write {word} under defaults:, or in a prompt"
    return did_you_mean(word, ManifestShape.model_fields)


def _is_parameter(word: str) -> bool:
    model = find(DEFAULT_MODEL)
    return model is not None and word in model.parameters
