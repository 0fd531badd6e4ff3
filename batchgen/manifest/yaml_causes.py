"""What a YAML parser's error means to its writer: the real cause, its place, and how to fix it.

The parser names the token at which it gave up; people wrote a text that begins with a quote, or indented with a tab.
Loaded only for a file that can't be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from batchgen.manifest.faults import QUOTE, position

#: What YAML makes of a text that begins with one of these.
_FIRST = {
    '"': "a text that begins with a quote ends at the next one, and here more follows",
    "'": "a text that begins with a quote ends at the next one, and here more follows",
    "[": "a text that begins with [ is read as a list",
    "{": "a text that begins with { is read as a mapping",
    "*": "a text that begins with * is read as an alias",
    "&": "a text that begins with & is read as an anchor",
    "!": "a text that begins with ! is read as a tag",
    "|": "a text that begins with | is read as a block of lines",
    ">": "a text that begins with > is read as a block of lines",
    "?": "a text that begins with ? is read as a key",
    "%": "a text can't begin with %",
    "@": "a text can't begin with @",
    "`": "a text can't begin with `",
    "]": "a text can't begin with ]",
    "}": "a text can't begin with }",
    ",": "a text can't begin with a comma",
}
#: Problems of the parser that may be about the first character of a value.
_OF_FIRST = (
    *("expected key", "expected '-'", "could not find expected ':'", "cannot start any token", "expected ',' or"),
    *("expected node content", "scanning an alias", "scanning an anchor", "undefined alias", "scanning a tag"),
    *("parsing a tag", "scanning a block scalar", "tag handle", "expected <document start>", "scanning a directive"),
)
_OF_INDENTATION = ("expected key", "expected '-'", "mapping values")
_HINTS = (
    ("block sequence entries are not allowed", "a list begins on the line of its key", "write each - on its own line"),
    ("mapping values are not allowed", "a text with “: ” in it looks like a mapping", QUOTE),
    ("expected a single document", "there are several documents (---) in the file", "keep one of them"),
    ("could not find expected ':'", "a line is neither “key: value” nor part of a text", "check its indentation"),
    ("unknown escape character", "a \\ in a “double quoted” text begins an escape", "use 'single quotes' or \\\\"),
    ("invalid Unicode character", "this escape is half of a character", "write the character itself"),
    ("did not find expected ',' or", "a [ or { is not closed, or a comma is missing before this", "close it"),
    ("undefined alias", _FIRST["*"], QUOTE),
    ("found character that cannot start", "a text can't begin with this character", QUOTE),
)
_YAML_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
#: A key, and behind it on the same line another one, or an item, with a table: `prompts: file: shots.csv`.
_KEYS = re.compile(r"\s*(?:- +)?(?P<key>[\w.-]+): +(?:- +)?[\w.-]+: +(?P<file>\S+\.(?:csv|tsv|jsonl|ndjson|txt))\s*")
_VALUE = re.compile(r"(?P<lead>\s*(?:- +)*(?:[\w.-]+ *: +)?)(?P<first>\S)")
#: How a text in quotes goes on after them.
_CLOSED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(?P<rest>.*)""")


class YamlCause(NamedTuple):
    """What is wrong, how to fix it, and where: line and column count from 1, 0 where they are not known."""

    what: str
    fix: str
    line: int
    column: int


def explain(error: yaml.YAMLError, text: str) -> YamlCause:
    """Return the cause of a parser's error; its line is that of an editor, which counts fewer line ends than YAML."""
    cause = _cause(error, text)
    before = [match.end() for match in _YAML_END.finditer(text)][: max(cause.line - 1, 0)]
    place = position("", text, (before[-1] if before else 0) + cause.column - 1)
    return cause._replace(line=place.line, column=place.column) if cause.line else cause


def _cause(error: yaml.YAMLError, text: str) -> YamlCause:
    at = getattr(error, "position", None)
    if isinstance(at, int):
        place = position("", text, at)
        line = len(_YAML_END.findall(text, 0, at)) + 1
        return YamlCause("a control character is not allowed here", "delete it", line, place.column)
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return YamlCause(f"this is not YAML ({_problem(error)})", "check indentation, quotes and brackets", 0, 0)
    lines = [*_YAML_END.split(text), ""]
    start: Any = getattr(error, "context_mark", None) or mark
    problem = _problem(error)
    here = min(mark.line, len(lines) - 1)
    return (
        _tab(lines, here, mark.column)
        or _two_keys(lines, here)
        or _unclosed(problem, start)
        or _first_character(problem, lines, (here, min(start.line, here)))
        or _indentation(problem, lines, here)
        or _hint(problem, start if "expected ':'" in problem else mark)
    )


def _problem(error: yaml.YAMLError) -> str:
    return " ".join(str(getattr(error, name, None) or "") for name in ("context", "problem")).strip() or "unreadable"


def _tab(lines: Sequence[str], here: int, column: int) -> YamlCause | None:
    line = lines[here]
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        return YamlCause("this line is indented with a tab", "indent with spaces", here + 1, indent.index("\t") + 1)
    if line[column : column + 1] == "\t":
        return YamlCause("a tab stands before a value", "write a space", here + 1, column + 1)
    return None


def _two_keys(lines: Sequence[str], here: int) -> YamlCause | None:
    found = _KEYS.fullmatch(lines[here])
    if found is None:
        return None
    what = f"{found['key']}: and the name of a file stand on one line"
    return YamlCause(what, f"write - file: {found['file']} on the next line", here + 1, found.start("file") + 1)


def _unclosed(problem: str, start: Any) -> YamlCause | None:  # noqa: ANN401 - a mark of either parser
    if "quoted scalar" in problem and ("end of stream" in problem or "document indicator" in problem):
        return YamlCause("a quote that opens here is not closed", "close it", start.line + 1, start.column + 1)
    return None


def _first_character(problem: str, lines: Sequence[str], candidates: Sequence[int]) -> YamlCause | None:
    """Blame the first character of a value, where the parser's problem can come from one."""
    if not any(sign in problem for sign in _OF_FIRST):
        return None
    for number in candidates:
        value = _VALUE.match(lines[number])
        what = _FIRST.get(value["first"]) if value else None
        if value is None or what is None:
            continue
        rest = lines[number][value.start("first") :]
        closed = _CLOSED.match(rest)
        if value["first"] in "\"'" and not (closed and closed["rest"].strip()):
            continue
        if value["first"] in "[{":
            if not value["lead"] or rest.rstrip()[-1] in "[{,]}":
                continue  # a file that is JSON has a bracket first, and all of the others in it
            if {"[": "]", "{": "}"}[value["first"]] not in rest:
                what = f"a {value['first']} that opens here is not closed; close it if it is no text"
        return YamlCause(what, QUOTE, number + 1, value.start("first") + 1)
    return None


def _indentation(problem: str, lines: Sequence[str], here: int) -> YamlCause | None:
    """Blame the indentation of a line that does not fit the lines above it."""
    line = lines[here]
    width = len(line) - len(line.lstrip())
    item = line[width : width + 2] == "- "
    above = (text for text in reversed(lines[:here]) if text.strip() and (not item or text.lstrip().startswith("- ")))
    found = re.match(r"\s*" if item else r"\s*(?:- +)*", next(above, ""))
    fits = found.end() if found else 0
    if not line.strip() or width == fits or not any(sign in problem for sign in _OF_INDENTATION):
        return None
    if "mapping values" in problem and not (width > fits and re.match(r"\s*[\w-]+:(\s|$)", line)):
        return None
    spaces = "1 space" if width == 1 else f"{width} spaces"
    what = f"this line is indented by {spaces}, and the {'list' if item else 'line'} above it by {fits}"
    return YamlCause(what, "indent the lines of one list or prompt alike", here + 1, width + 1)


def _hint(problem: str, mark: Any) -> YamlCause:  # noqa: ANN401 - a mark of either parser
    for sign, what, fix in _HINTS:
        if sign in problem:
            return YamlCause(what, fix, mark.line + 1, mark.column + 1)
    return YamlCause(
        f"this is not YAML ({problem})", "check indentation, quotes and brackets", mark.line + 1, mark.column + 1
    )
