"""Plain values → the manifest's parts, or what is wrong with their structure, in words of our own.

Apart from `schema`, which says what may be written: this is what becomes of pydantic's errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from batchgen.manifest.faults import FIX_FIRST, QUOTE, FaultList, did_you_mean, shown
from batchgen.manifest.repair import (
    LIKE,
    PLACEHOLDER,
    Repair,
    is_mapped_text,
    is_parameter,
    near_key,
    table_in,
    table_key,
)
from batchgen.manifest.schema import (
    DEFAULT_WORDS,
    ENTRY_WORDS,
    BudgetShape,
    LimitsShape,
    ManifestShape,
    OutputShape,
    WindowShape,
)
from batchgen.manifest.yaml_loader import Document

_WORDS: dict[str, type[BaseModel]] = {
    "limits": LimitsShape,
    "budget": BudgetShape,
    "output": OutputShape,
    "window": WindowShape,
}

#: How prompts come from a table.
_TABLE = "write - file: {}"
#: A repair may uncover faults that were hidden: in a mapping where a list belongs, and in a prompt within it.
_ROUNDS = 4
#: What all prompts, or all rows, depend on: where one of these can't be read, faults may stay hidden.
_SHARED = ("vars", "matrix", "model", "file")


def check_shape(document: Document, faults: FaultList) -> ManifestShape | None:
    """Return the manifest's parts, and note everything that is wrong with their structure.

    Wrong parts are repaired or left out (such a prompt becomes None in the document), so that the faults of the rest
    are found in the same pass; None: too little is left for that.
    """
    if not isinstance(document.data, dict):
        what = "the manifest is empty" if document.data is None else "the manifest is not a mapping (name: value)"
        hides = "" if document.data is None else FIX_FIRST
        faults.error(document.place(()), what, f"begin with prompts: and a list, or run batchgen init{hides}")
        return None
    _check_words(document, faults)
    # A key without a value (`limits:`) counts as not written.
    data = document.data = {word: value for word, value in document.data.items() if value is not None}
    for tries in range(_ROUNDS):
        try:
            return ManifestShape.model_validate(_with_placeholders(data) if tries else data)
        except ValidationError as error:
            _note_all(document, error.errors(include_url=False), faults)
    return None


def _with_placeholders(data: dict[str, Any]) -> dict[str, Any]:
    """Put a text in place of each prompt that was left out."""
    return {**data, "prompts": [PLACEHOLDER if entry is None else entry for entry in data["prompts"]]}


def _note_all(document: Document, details: Sequence[ErrorDetails], faults: FaultList) -> None:
    """Note every fault, then repair what it is about."""
    for detail in details:
        if not _misspelt(document, detail["loc"], detail["type"], faults):
            _note(document, detail, faults)
    repair = Repair(document)
    for detail in (each for each in details if _is_unknown_key(each)):
        repair.unknown_key(str(detail["loc"][0]))
    for detail in (each for each in details if not _is_unknown_key(each)):
        repair.part(_path(detail))


def _is_unknown_key(detail: ErrorDetails) -> bool:
    return detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1


def _path(detail: ErrorDetails) -> list[int | str]:
    """Return where a fault is; pydantic adds words of its own for the kinds of a prompt."""
    return [step for step in detail["loc"] if not (isinstance(step, str) and step[:1] in ("<", "["))]


def _check_words(document: Document, faults: FaultList) -> None:
    """Note what the shape would let pass.

    A prompt that is the name of a table would be paid for as a text.
    Keys under defaults that are no parameters would pass as such for an unknown model. A limit that is named without
    a value would be none: its writer believes in a limit that nobody set.
    """
    data = document.data
    blocks: list[tuple[tuple[str, ...], Any]] = [(("defaults",), data.get("defaults"))]
    if isinstance(by_model := data.get("by_model"), dict):
        blocks += [(("by_model", str(slug)), block) for slug, block in by_model.items()]
    for path, block in blocks:
        for word in sorted(ENTRY_WORDS - DEFAULT_WORDS) if isinstance(block, dict) else ():
            if word in block:
                at, part = document.place((*path, word)), ".".join(path)
                faults.error(at, f"{word} is not allowed under {part}", "write it at the top level, or in a prompt")
    entries = data.get("prompts")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        mapped = isinstance(entry, dict)
        if table := table_in(entry.get("prompt", 0) if mapped else entry if isinstance(entry, str) else 0):
            at = document.place(("prompts", index, *(["prompt"] if mapped else [])))
            faults.error(at, f"prompt {index + 1} is the name of a file", _TABLE.format(table))
    if "budget" in data and data["budget"] is None:
        fix = "write max_usd: 20 under it, or remove the line"
        faults.error(document.place(("budget",), key=True), "budget has no value, so nothing would be limited", fix)
    if "window" in data and data["window"] is None:
        fix = 'write stop_submitting: "06:30" under it, or remove the line'
        faults.error(document.place(("window",), key=True), "window has no value, so it would never close", fix)
    for part in ("budget", "limits", "window"):
        for word, value in data[part].items() if isinstance(data.get(part), dict) else ():
            if value is None:
                what = f"{part}.{word} has no value, so nothing would be limited"
                fix = "write one, or remove the line" if part == "window" else "write a number, or remove the line"
                faults.error(document.place((part, word), key=True), what, fix)


def _note(document: Document, detail: ErrorDetails, faults: FaultList) -> None:
    path = _path(detail)
    unknown = detail["type"] == "extra_forbidden"
    what, fix = _words(detail, path)
    own = path[2:] if path[0] == "prompts" else path
    if len(own) == 1 and own[0] in _SHARED:
        fix += FIX_FIRST
    faults.error(document.place(path, key=unknown), what, fix, private=path[:1] == ["notify"])


def _misspelt(document: Document, loc: tuple[int | str, ...], kind: str, faults: FaultList) -> bool:
    """Note the key or text that is the cause of a part that is missing; False: there is none."""
    if kind != "missing":
        return False
    if loc == ("prompts",):
        unknown = [str(key) for key in document.data if key not in ManifestShape.model_fields]
        if any(table_in(document.data[key]) for key in unknown if key in document.data):
            return True
        return bool(difflib.get_close_matches("prompts", unknown, n=1))  # noted as an unknown key
    if loc[0] != "prompts":
        return False
    path = loc[:2]
    entry = document.data["prompts"][path[1]]
    unknown = [str(key) for key in entry if key not in ENTRY_WORDS]
    if (key := table_key(entry, unknown)) is not None:
        place = document.place((*path, key), key=True)
        faults.error(place, f"{_name([*path])}: unknown key {key}", _TABLE.format(table_in(entry[key])))
        return True
    for word in LIKE:
        if near := near_key(word, unknown):
            what = f"{_name([*path])}: unknown key {near}"
            faults.error(document.place((*path, near), key=True), what, f"did you mean {word}?")
            return True
    place = document.place(path)
    if is_mapped_text(entry):
        faults.error(place, f"{_name([*path])}: a text with “: ” in it is read as a mapping", QUOTE)
        return True
    return not entry and any(fault.line == place.line for fault in faults.errors)  # its odd key is noted


def _words(detail: ErrorDetails, path: list[int | str]) -> tuple[str, str]:
    name = _name(path)
    context, value = detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "batchgen":
            return f"{name}: {context['what']}", str(context["fix"])
        case "extra_forbidden":
            return f"unknown key {path[-1]!s}", _unknown_fix(path, value)
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
            elif name == "prompts" and isinstance(value, dict):
                fix = "write a - before its first key"
            if (name == "prompts" or path[-1:] == ["file"]) and (table := table_in(value)):
                fix = _TABLE.format(table) + (", one such line for each file" if isinstance(value, list) else "")
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


def _unknown_fix(path: list[int | str], value: object) -> str:
    word = str(path[-1])
    if len(path) == 1 and (table := table_in(value)):
        return f"under prompts:, {_TABLE.format(table)}"
    if len(path) > 1:
        return did_you_mean(word, _WORDS[str(path[0])].model_fields if str(path[0]) in _WORDS else ())
    if difflib.get_close_matches("prompts", [word], n=1, cutoff=0.8):
        return "did you mean prompts?"
    if word in DEFAULT_WORDS or is_parameter(word):
        return f"write {word} under defaults:, or in a prompt"
    return did_you_mean(word, ManifestShape.model_fields)
