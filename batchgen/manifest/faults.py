"""Faults and warnings as they are found, each with its position, and the text files that they are found in.

Nothing that looks like an API key is shown; one that is written in a file is a fault. `Fault` and `ManifestError` are
in `batchgen.errors`, with the tree of all errors and their exit codes.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
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
MAX_BYTES = 64_000_000
#: Bytes that are read at once.
_BLOCK = 1 << 20
_KEY_NAME = re.compile(r"[^a-z]")


class Position(NamedTuple):
    """Where something was written; line and column count from 1, 0 where they are not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Give `file:line:column`, as compilers do."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class TextError(Exception):
    """A text can't be filled in: `what`, and how to `fix` it."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


class UnknownVariableError(TextError):
    """A text uses a variable that has no value."""


@dataclass(slots=True)
class FaultList:
    """Collects what is wrong with a manifest, each thing once."""

    errors: dict[Fault, None] = field(default_factory=dict)  #: in the order found
    warnings: dict[Fault, None] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def read(self, file: str, text: str) -> None:
        """Remember a file's text, so that faults in it show their line."""
        self._texts[file] = text
        self._lines.pop(file, None)

    def error(self, place: Position, what: str, fix: str = "", *, private: bool = False) -> None:
        """Note something that keeps the manifest from being run; the line of a `private` one is not shown."""
        self.errors[self._fault(place, what, fix, private=private)] = None

    def warn(self, place: Position, what: str, fix: str = "", *, private: bool = False) -> None:
        """Note something that may not be what its writer meant; the line of a `private` one is not shown."""
        self.warnings[self._fault(place, what, fix, private=private)] = None

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

    def raise_if_any(self) -> None:
        """Raise ManifestError with every error, by file and line.

        Raises:
            ManifestError: at least one error was noted.
        """
        if self.errors:
            raise ManifestError(sorted(self.errors, key=lambda f: (f.file, f.line, f.column)))


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


# --- files ----------------------------------------------------------------------------------------------


def read_text(
    path: Path, file: str, faults: FaultList, *, limit: int = MAX_BYTES, named_at: Position | None = None
) -> tuple[str, bytes] | None:
    """Return a file's text and bytes, or note the one fault that it has and return None.

    `named_at` is where another file names this one: a file that can't be opened is a fault there.
    """
    place = named_at or Position(file)
    name = f"{path.name}: " if named_at else ""
    try:
        raw = read_bounded(path, limit)
        if raw is None:
            faults.error(
                place, f"{name}the file is over {limit // 1_000_000} MB", "put long lists in several CSV files"
            )
            return None
    except FileNotFoundError:
        advice = "paths start at the manifest's folder" if named_at else "check the folder that you are in"
        faults.error(place, f"{name}there is no such file", f"check the name; {advice}")
    except IsADirectoryError:
        faults.error(place, f"{name}this is a folder", "name the file in it")
    except (OSError, ValueError) as error:
        faults.error(
            place,
            f"{name}the file can't be read ({getattr(error, 'strerror', None) or error})",
            "check its permissions",
        )
    else:
        text = _decode(raw, file, faults)
        if text is not None:
            faults.read(file, text)
            return text, raw
    return None


def read_bounded(path: Path, limit: int) -> bytes | None:
    """Return a file's bytes; None when there are more than `limit`.

    Raises:
        OSError: it can't be read, or is a device or a pipe, which may have no end.
        ValueError: the path holds a NUL.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    if path.stat().st_size > limit:
        return None
    with path.open("rb") as file:
        blocks, left = [], limit + 1
        while left and (block := file.read(min(left, _BLOCK))):  # never the limit at once: memory may be short
            blocks.append(block)
            left -= len(block)
    return b"".join(blocks) if left else None


def _decode(raw: bytes, file: str, faults: FaultList) -> str | None:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        faults.error(Position(file), "the file is UTF-16", "save it as UTF-8")
        return None
    if b"\0" in raw:
        faults.error(Position(file), "this is a binary file, not text", "name a text file")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", "replace")
        place = position(file, before, len(before))
        faults.error(place, "this is not UTF-8", "save the file as UTF-8 (Excel: “CSV UTF-8”)")
        return None


def scan_secrets(file: str, text: str, faults: FaultList) -> None:
    """Note every API key in a text; the message does not show it."""
    for match in SECRET.finditer(text):
        faults.error(
            position(file, text, match.start()),
            "an API key is written here in plain text",
            "remove it, revoke it, and set a new one as SEGMIND_API_KEY in the environment or in .env",
        )


def is_key_name(word: str) -> bool:
    """Say whether a word names an API key: api_key, SEGMIND_API_KEY, x-api-key."""
    return _KEY_NAME.sub("", word.lower()).endswith("apikey")
