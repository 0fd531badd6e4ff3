"""A text stream that may go away at any time, and never takes the run with it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Protocol


class Sink(Protocol):
    """What takes text: a stream, or the live display."""

    def write(self, text: str, /) -> object:
        """Take a text."""
        ...

    def flush(self) -> None:
        """Show what was taken."""
        ...


class Lines(io.TextIOBase):
    """Writes to `sink` until that fails (closed pipe, terminal gone after logout), then discards.

    Never raises from a write. Characters that the sink's encoding lacks are written as escapes.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink
        self._encoding = str(getattr(sink, "encoding", None) or "utf-8")

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute where CPython has a property
        """The sink's encoding."""
        return self._encoding

    def writable(self) -> bool:
        """Always True: what can't be written is discarded."""
        return True

    def isatty(self) -> bool:
        """True when the sink is a terminal."""
        return is_terminal(self._sink)

    def write(self, text: str, /) -> int:
        """Write and flush a text; gives its length, whatever became of it."""
        if self._sink is not None:
            try:
                self._sink.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))
                self._sink.flush()
            except (OSError, ValueError):  # ValueError: the stream was closed on our side
                _point_nowhere(self._sink)
                self._sink = None
        return len(text)

    def line(self, text: str) -> None:
        """Write one line in a single write, so that lines of other writers don't mix with it."""
        self.write(text + "\n")


def is_terminal(stream: object) -> bool:
    """True if a stream is a terminal that is still there."""
    try:
        return bool(getattr(stream, "isatty", bool)())
    except (OSError, ValueError):
        return False


def speaks_utf8(stream: object) -> bool:
    """True if ✓ and ✗ can be written to a stream; else use ASCII."""
    name = str(getattr(stream, "encoding", None) or "ascii")
    return name.lower().replace("-", "").replace("_", "") in {"utf8", "utf8sig"}


def _point_nowhere(sink: object) -> None:
    # Python flushes the standard streams once more at exit, and would turn our exit code into 120.
    if sink in {sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__}:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sink.fileno())  # type: ignore[attr-defined]
            os.close(nowhere)
