"""What the YAML parser says, in words that say how to mend it."""

from __future__ import annotations

from typing import Any

import yaml

_QUOTE = "quote the text, or write it after `prompt: >-` on a line of its own"
_HINTS = (
    ("mapping values are not allowed", "a text with “: ” in it looks like a mapping", _QUOTE),
    ("did not find expected key", "a value can't begin with { or [ or a quote and go on after it", _QUOTE),
    ("did not find expected '-'", "a line of a list does not begin with “- ”", "indent the lines of a list alike"),
    ("did not find expected ',' or", "a [ or { is not closed", "close it, or quote the text"),
    ("did not find expected node content", "a value is missing or begins with an odd character", _QUOTE),
    ("character that cannot start any token", "a text can't begin with @ % ` or a tab", _QUOTE),
    ("found a tab character", "a tab is used to indent", "indent with spaces"),
    ("undefined alias", "a text that begins with * is taken for an alias", _QUOTE),
    ("expected a single document", "there are several documents (---) in the file", "keep one of them"),
    ("unexpected end of stream", "a quote is not closed", "close it"),
    ("could not find expected ':'", "a line is neither “key: value” nor part of a text", "check its indentation"),
    ("unknown escape character", "a \\ in a “double quoted” text begins an escape", "use 'single quotes' or \\\\"),
)


def explain(error: yaml.YAMLError, text: str) -> tuple[str, str, int, int]:
    """Return (what, how to mend it, line, column) of a parser's error; line and column count from 1."""
    position = getattr(error, "position", None)
    if isinstance(position, int):
        before = text[:position]
        line, column = before.count("\n") + 1, position - before.rfind("\n")
        return "a control character stands here", "delete it", line, column
    problem = " ".join(str(getattr(error, name, None) or "") for name in ("context", "problem")).strip()
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    for sign, what, mend in _HINTS:
        if sign in problem:
            return f"{what} ({problem})", mend, line, column
    return f"this is not YAML ({problem or 'unreadable'})", "check indentation, quotes and brackets", line, column
