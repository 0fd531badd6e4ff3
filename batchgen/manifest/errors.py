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

    def error(self, place: Position, what: str, fix: str = "") -> None:
        """Note something that keeps the manifest from being run."""
        self._errors[_fault(place, what, fix)] = None

    def warn(self, place: Position, what: str, fix: str = "") -> None:
        """Note something that may not be what its writer meant."""
        self._warnings[_fault(place, what, fix)] = None

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


def _fault(place: Position, what: str, fix: str) -> Fault:
    return Fault(_plain(place.file), place.line, place.column, _plain(what), _plain(fix))


def _plain(text: str) -> str:
    """Return a text that any output can carry: no key, and no half of a character."""
    return redact(text).encode("utf-8", "replace").decode()
