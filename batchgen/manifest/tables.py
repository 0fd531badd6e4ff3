"""Prompt files → rows: CSV (Excel's too), TSV, JSONL, TXT. Every row knows its file and line."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from batchgen.manifest.faults import LINE_END, FaultList, Position, is_key_name, redact
from batchgen.manifest.parameters import visible

MAX_BYTES = 256_000_000
MAX_COLUMNS = 1_000
KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
#: Columns that say something about the clip but are no parameters.
ROW_WORDS = ("id", "prompt", "takes", "seed", "seeds", "priority", "vars", "extra")
#: What people call the column of prompts when they do not know its name.
_LIKE_PROMPT = ("text", "prompts", "prompt_text", "promt", "description", "caption", "scene", "shot")
#: Word processors put U+2028 and U+2029 between lines; in JSON these two are part of a text.
_TEXT_LINE_END = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
#: A cell of a TSV file: all in quotes, else whatever stands between two tabs.
_TSV_CELL = re.compile(r'"((?:[^"]|"")*)"(?=\t|\Z)|([^\t]*)')
#: Lines that a quoted cell of a TSV file may have.
_TSV_LINES = 100


class Row(NamedTuple):
    """One line of a prompt file; empty cells of a table are left out, so that the defaults hold."""

    values: dict[str, Any]
    place: Position


def read_rows(
    name: str, file: str, text: str, known: frozenset[str], faults: FaultList, *, needs_prompt: bool = False
) -> Iterator[Row]:
    """Yield the rows of a prompt file in order; lines that can't be read are noted and left out.

    Args:
        name: the file's name; its extension says what it is.
        file: how messages name it.
        text: all of it, decoded; lines may end in LF, CRLF or CR.
        known: parameters of the model; other columns are variables.
        faults: where faults and warnings go.
        needs_prompt: a table has to have a prompt column, since its entry has no text for all rows.
    """
    kind = PurePath(name).suffix.lower()
    if kind == ".txt":
        return _lines(file, text, faults)
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(file, text, faults)
    if kind in KINDS:
        return _Table(file, text, known | set(ROW_WORDS), faults, needs_prompt=needs_prompt).rows(tabs=kind == ".tsv")
    faults.error(Position(file), "the extension does not say what this file is", "name it " + ", ".join(KINDS))
    return iter(())


def _lines(file: str, text: str, faults: FaultList) -> Iterator[Row]:
    """Yield a prompt for each line; a line that begins with `#` is a comment, and those are warned of once."""
    comments = first = 0
    lines = _TEXT_LINE_END.split(text)
    faults.read(file, "\n".join(lines))
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            comments += 1
            first = first or number
        elif visible(line):
            yield Row({"prompt": line.strip()}, Position(file, number, 1))
    if comments:
        what = "a line that begins with # is a comment and makes no clip"
        more = f" (and {comments - 1} more)" if comments > 1 else ""
        faults.warn(Position(file, first, 1), what + more, "put a word before the # if it is a prompt")


def _json_lines(file: str, text: str, faults: FaultList) -> Iterator[Row]:
    for number, line in enumerate(LINE_END.split(text), 1):
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


class _Table:
    """A CSV or TSV file: `rows` reads it once."""

    def __init__(self, file: str, text: str, known: frozenset[str], faults: FaultList, *, needs_prompt: bool) -> None:
        self._file = file
        self._text = text
        self._known = known
        self._faults = faults
        self._needs_prompt = needs_prompt

    def rows(self, *, tabs: bool) -> Iterator[Row]:
        """Yield its rows; what can't be read is noted, and so is a table without a header."""
        delimiter, skipped = ("\t", 0) if tabs else _delimiter(self._text)
        lines = self._of_tsv() if tabs else self._of_csv(delimiter)
        header: list[str] = []
        before = len(self._faults.errors)
        for number, cells in lines:
            place = Position(self._file, number, 1)
            if number <= skipped or not any(map(visible, cells)):
                continue
            if not header:
                header = self._header(cells, place)
                if not header:
                    return
            elif len(cells) > len(header) and any(cells[len(header) :]):
                what = f"the row has {len(cells)} cells, and the header {len(header)}"
                fix = "remove a tab" if tabs else f"put “quotes” around a text that contains {delimiter!r}"
                self._faults.error(place, what, fix)
            else:
                yield Row({n: c for n, c in zip(header, cells, strict=False) if n and visible(c)}, place)
        if not header and len(self._faults.errors) == before:
            self._faults.error(Position(self._file), "the table is empty", "write a header row with a prompt column")

    def _of_csv(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells); quotes as Excel writes them."""
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=delimiter, strict=True)
        start, width = 1, 0
        try:
            for cells in reader:
                width = width or len(cells)
                if reader.line_num > start:
                    self._warn_of_swallowed(start, cells, delimiter, width)
                yield start, cells
                start = reader.line_num + 1
        except csv.Error as error:
            what, fix = f"the table can't be read from this row on ({error})", 'double a " inside quotes'
            if "unexpected end" in str(error):
                what, fix = 'a " of this row is not closed', 'close it, or double a " that is part of the text'
            self._faults.error(Position(self._file, start, 1), what, f"{fix}; fix this first, there may be more")

    def _warn_of_swallowed(self, line: int, cells: Sequence[str], delimiter: str, width: int) -> None:
        """Warn of a text over several lines with what looks like a row in it: a quote may not be closed where meant."""
        within = (text for cell in cells for text in LINE_END.split(cell)[1:])
        # ", " is prose.
        if any(len(re.findall(re.escape(delimiter) + r"(?! )", text)) >= max(width - 1, 1) for text in within):
            what = "a text in quotes goes on over several lines, and one of them looks like a row"
            self._faults.warn(Position(self._file, line, 1), what, 'check where its " closes')

    def _of_tsv(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells): a quote is part of the text, unless it closes at the end of its cell.

        Sheets write no quotes of their own, and Excel only round a text with a comma, a quote, a tab or a line end in
        it. So quotes round any other text are the writer's, unless the header is in quotes too (all cells are then).
        """
        lines = LINE_END.split(self._text)
        width, quoted, at = 0, False, 0
        while at < len(lines):
            cells, used = _tsv_row(lines, at, width)
            if not width and any(text is not None or plain for text, plain in cells):
                width, quoted = len(cells), any(text is not None for text, _ in cells)
            if used > 1:
                what = f"a text in quotes goes on to line {at + used}"
                self._faults.warn(Position(self._file, at + 1, 1), what, "remove the quotes if these are two rows")
            yield at + 1, [plain if text is None else _unquoted(text, always=quoted) for text, plain in cells]
            at += used

    def _header(self, cells: list[str], place: Position) -> list[str]:
        """Return the columns' names; known names are recognised in any spelling. Empty: no rows can be read by it."""
        if len(cells) > MAX_COLUMNS:
            self._faults.error(place, f"the table has over {MAX_COLUMNS:,} columns", "is this the right file?")
            return []
        names: list[str] = []
        for cell in cells:
            name = cell.strip()
            word = name.lower().replace(" ", "_")
            name = word if word in self._known else name
            if name and name in names:
                self._faults.error(place, f"the column {name} appears twice", "rename one of them")
            if is_key_name(name):
                self._faults.error(place, "an API key must not be in a prompt file", "remove the column")
            near = difflib.get_close_matches(word, self._known, n=1, cutoff=0.8)
            if name and name not in self._known and near and near[0] != "prompt":
                what = f"the column {redact(name)!r} is read as a variable"
                self._faults.warn(place, what, f"did you mean {near[0]}?")
            names.append(name)
        return self._with_prompt(names, place)

    def _with_prompt(self, names: list[str], place: Position) -> list[str]:
        """Return the names if rows can have a prompt; else one fault stands for one in each row."""
        if not self._needs_prompt or "prompt" in names:
            return names
        words = {name.lower().replace(" ", "_"): name for name in reversed(names) if name}
        near = [*(word for word in _LIKE_PROMPT if word in words), *difflib.get_close_matches("prompt", words, n=1)]
        if not near and any(len(name.split()) > 4 or len(name) > 40 for name in names):
            what, fix = "the first row looks like a prompt, not like a header", "write a row above it: prompt"
        else:
            what = "no column is named prompt"
            fix = f"did you mean {redact(words[near[0]])!r}? Rename it" if near else "rename the column of the prompts"
        self._faults.error(place, what, fix)
        return []


def _delimiter(text: str) -> tuple[str, int]:
    """Return the character between cells, and how many lines stand before the header.

    Excel writes and reads `sep=;` as a first line of its own, and writes `;` where the comma is the decimal point.
    """
    head = [*LINE_END.split(text[:200_000].lstrip("\r\n"), maxsplit=1), ""]
    stated = re.fullmatch(r"\"?sep=([^\w\s\"]|\t)?\"?[ ,;]*", head[0], re.IGNORECASE)
    if stated:
        header = LINE_END.split(head[1], maxsplit=1)[0]
        before = LINE_END.findall(text[: text.find(head[0])])
        return stated[1] or max(",;\t|", key=header.count), len(before) + 1
    return max(",;\t|", key=head[0].count), 0


def _tsv_row(lines: Sequence[str], at: int, width: int) -> tuple[list[tuple[str | None, str]], int]:
    """Return the cells of the row that begins at a line, as (text in quotes or None, plain text), and its lines."""
    plain: list[tuple[str | None, str]] = [(None, cell) for cell in lines[at].split("\t")]
    if '"' not in lines[at]:
        return plain, 1
    cells = _tsv_cells(lines[at])
    if not any(cell.startswith('"') for text, cell in cells if text is None):
        # Tabs inside quotes count only where the row is too long without.
        return (cells if len(cells) in (width, len(plain)) or not width else plain), 1
    last = cells[-1]
    if last[0] is None and last[1].startswith('"'):
        for used in range(2, min(_TSV_LINES, len(lines) - at) + 1):
            line = lines[at + used - 1]
            if '"' in line:
                joined = _tsv_cells("\n".join(lines[at : at + used]))
                whole = all("\t" not in text for text, _ in joined if text and "\n" in text)
                if whole and len(joined) == width and any(text and "\n" in text for text, _ in joined):
                    return joined, used
            if "\t" in line:
                break  # a row of its own
    return (cells if len(cells) in (width, len(plain)) or not width else plain), 1


def _tsv_cells(line: str) -> list[tuple[str | None, str]]:
    cells: list[tuple[str | None, str]] = []
    at = 0
    while at <= len(line):
        match = _TSV_CELL.match(line, at)
        if match is None:
            raise AssertionError("a cell may be empty, so that one is always found")
        cells.append((match[1], match[2] or ""))
        at = match.end() + 1
    return cells


def _unquoted(text: str, *, always: bool) -> str:
    needed = always or not text or any(sign in text for sign in ',"\t\n')
    return text.replace('""', '"') if needed else f'"{text}"'
