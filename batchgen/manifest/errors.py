"""Faults and warnings as they are found, each with its position; nothing that looks like an API key is shown.

`Fault` and `ManifestError` are in `batchgen.errors`, with the tree of all errors and their exit codes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

from batchgen.errors import Fault, ManifestError

#: What the provider's keys look like.
SECRET = re.compile(r"SG_[0-9a-fA-F]{16}")

#: How to write a text that YAML would read as something else.
QUOTE = "quote the text, or write it after `prompt: >-` on a line of its own"
#: The end of a message about a fault that hides others.
FIX_FIRST = " (fix this first, there may be more)"
#: What ends a line; YAML, editors and csv agree on these three.
LINE_END = re.compile(r"\r\n|[\r\n]")
#: Lines with an API key or an address, which may have a token in it, are not repeated in a message.
_SECRETIVE = re.compile(r"SG_|api\W?_?key|://", re.IGNORECASE)
#: A message must not move the cursor of a terminal; a tab stays.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Position(NamedTuple):
    """Where something was written; line and column count from 1, 0 where they are not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Give `file:line:column`, as compilers do."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class FaultList:
    """Collects what is wrong with a manifest, each thing once."""

    def __init__(self) -> None:
        self._errors: dict[Fault, None] = {}
        self._warnings: dict[Fault, None] = {}
        self._texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def read(self, file: str, text: str) -> None:
        """Remember a file's text, so that faults in it show their line."""
        self._texts[file] = text
        self._lines.pop(file, None)

    def error(self, place: Position, what: str, fix: str = "", *, private: bool = False) -> None:
        """Note something that keeps the manifest from being run; the line of a `private` one is not shown."""
        self._errors[self._fault(place, what, fix, private=private)] = None

    def warn(self, place: Position, what: str, fix: str = "") -> None:
        """Note something that may not be what its writer meant."""
        self._warnings[self._fault(place, what, fix)] = None

    def _fault(self, place: Position, what: str, fix: str, *, private: bool = False) -> Fault:
        source = "" if private else self._source(place)
        return Fault(_plain(place.file), place.line, place.column, _plain(what), _plain(fix), source)

    def _source(self, place: Position) -> str:
        """Return the line that a position is in; "" if it is not known, shows nothing, or may hold a secret."""
        if place.file not in self._texts or not place.line:
            return ""
        if place.file not in self._lines:
            self._lines[place.file] = LINE_END.split(self._texts[place.file])
        lines = self._lines[place.file]
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        hidden = _SECRETIVE.search(line) or not line.strip() or place.column > len(line) + 1
        return "" if hidden else _CONTROL.sub(" ", _plain(line.rstrip()))

    @property
    def errors(self) -> list[Fault]:
        """All errors so far, in the order found."""
        return list(self._errors)

    @property
    def warnings(self) -> list[Fault]:
        """All warnings so far, in the order found."""
        return list(self._warnings)

    def raise_if_any(self) -> None:
        """Raise ManifestError with every error, by file and line.

        Raises:
            ManifestError: at least one error was noted.
        """
        if self._errors:
            raise ManifestError(sorted(self._errors, key=lambda f: (f.file, f.line, f.column)))


def position(file: str, text: str, index: int) -> Position:
    """Return the position of a character of a text, whatever ends its lines."""
    ends = [match.end() for match in LINE_END.finditer(text, 0, index)]
    return Position(file, len(ends) + 1, index - (ends[-1] if ends else 0) + 1)


def redact(text: str) -> str:
    """Return the text with everything that looks like an API key blotted out."""
    return SECRET.sub("SG_…", text)


def shown(value: object, limit: int = 60) -> str:
    """Return a value as a message can quote it: on one line, short."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the fix for an unknown word: the nearest known one, else all of them."""
    words = list(known)
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "known here: " + ", ".join(words)


def _plain(text: str) -> str:
    """Return a text that any output can carry: no key, and no half of a character."""
    return redact(text).encode("utf-8", "replace").decode()
