"""Prompt files → rows: CSV (Excel's too), TSV, JSONL, TXT. Every row knows its file and line."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

from batchgen.manifest.errors import FaultList, Position, redact
from batchgen.manifest.files import is_key_name

MAX_BYTES = 256_000_000
MAX_COLUMNS = 1_000
KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
#: Columns that say something about the clip but are no parameters.
ROW_WORDS = ("id", "prompt", "takes", "seed", "seeds", "priority", "vars", "extra")


class Row(NamedTuple):
    """One line of a prompt file; empty cells of a table are left out, so that the defaults hold."""

    values: dict[str, Any]
    place: Position


def read_rows(name: str, file: str, text: str, known: frozenset[str], faults: FaultList) -> Iterator[Row]:
    """Yield the rows of a prompt file in order; lines that can't be read are noted and left out.

    Args:
        name: the file's name; its extension says what it is.
        file: how messages name it.
        text: all of it, decoded.
        known: parameters of the model; other columns are variables.
        faults: where faults and warnings go.
    """
    kind = PurePath(name).suffix.lower()
    if kind == ".txt":
        return _lines(file, text)
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(file, text, faults)
    if kind in KINDS:
        return _table(file, text, kind == ".tsv", known | set(ROW_WORDS), faults)
    faults.error(Position(file), "the extension does not say what this file is", "name it " + ", ".join(KINDS))
    return iter(())


def _lines(file: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(text), 1):
        prompt = line.strip()
        if prompt and not prompt.startswith("#"):
            yield Row({"prompt": prompt}, Position(file, number, 1))


def _json_lines(file: str, text: str, faults: FaultList) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        place = Position(file, number, 1)
        try:
            values = json.loads(line.rstrip(), object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            faults.error(
                Position(file, number, error.colno), f"this line is not JSON ({error.msg})", "one object a line"
            )
        except (ValueError, RecursionError) as error:
            faults.error(place, f"this line is not JSON ({error})", "one object a line")
        else:
            if isinstance(values, dict):
                yield Row(values, place)
            else:
                faults.error(place, "this line is not a JSON object", 'write {"prompt": "…"}')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key appears twice")
    key = next((name for name in values if is_key_name(name)), None)
    if key is not None:
        raise ValueError("it contains an API key, which must not be here")
    return values


def _table(file: str, text: str, tabs: bool, known: frozenset[str], faults: FaultList) -> Iterator[Row]:
    # Excel writes and reads `sep=;` as a first line of its own.
    first = text.split("\n", 1)[0].strip()
    stated = first[4:5] if first.lower().startswith("sep=") else ""
    delimiter = "\t" if tabs else stated or _delimiter(first)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        start = 1
        for cells in reader:
            place, start = Position(file, start, 1), reader.line_num + 1
            if not any(cell.strip() for cell in cells) or (stated and place.line == 1):
                continue
            if header is None:
                if len(cells) > MAX_COLUMNS:
                    faults.error(place, f"the table has over {MAX_COLUMNS:,} columns", "is this the right file?")
                    return
                header = _header(cells, place, known, faults)
                continue
            if len(cells) > len(header) and any(cells[len(header) :]):
                what = f"the row has {len(cells)} cells, and the header {len(header)}"
                faults.error(place, what, f"put “quotes” around a text that contains {delimiter!r}")
                continue
            yield Row({n: c for n, c in zip(header, cells, strict=False) if n and c.strip()}, place)
    except csv.Error as error:
        faults.error(
            Position(file, reader.line_num, 1), f"the table can't be read ({error})", 'double a " inside quotes'
        )
    if header is None:
        faults.error(Position(file), "the table is empty", "write a header row with a prompt column")


def _delimiter(header: str) -> str:
    """Return the character between the header's cells: Excel writes `;` where the comma is the decimal point."""
    return max(",;\t", key=header.count)


def _header(cells: list[str], place: Position, known: frozenset[str], faults: FaultList) -> list[str]:
    """Return the columns' names; known names are recognised in any spelling ("Negative Prompt")."""
    names: list[str] = []
    for cell in cells:
        name = cell.strip()
        word = name.lower().replace(" ", "_")
        name = word if word in known else name
        if name and name in names:
            faults.error(place, f"the column {name} appears twice", "rename one of them")
        if is_key_name(name):
            faults.error(place, "an API key must not be in a prompt file", "remove the column")
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.8)
        if name and name not in known and near:
            what = f"the column {redact(name)!r} is read as a variable"
            faults.warn(place, what, f"did you mean {near[0]}?")
        names.append(name)
    return names
