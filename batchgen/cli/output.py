"""How a command prints an answer: as text or as one JSON object, in colour or not; and how it asks a question."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.errors import UsageError


def answer(obj: Mapping[str, Any], text: Callable[[], str], *, as_json: bool) -> None:
    """Print an answer on standard output: the object, or its text for people."""
    put(json_text(obj) if as_json else text())


def json_text(obj: Mapping[str, Any]) -> str:
    """Write an object as JSON; in ASCII where the output can't take more."""
    return json.dumps(obj, ensure_ascii=plain_ascii(), indent=2)


def put(text: str) -> None:
    """Print on standard output; a reader who has gone away changes nothing, least of all the exit code."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError, ValueError):
            os.dup2(nowhere, sys.stdout.fileno())


def agree(what: str, question: str) -> None:
    """Ask a person to confirm; `what` says what is at stake.

    Raises:
        UsageError: nobody can be asked, or the answer was no.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"cannot ask for confirmation: not a terminal. {what}", tip="pass --yes to go on anyway")
    if not click.confirm(f"{what}. {question}", err=True):
        raise UsageError("cancelled: nothing was changed")


def open_streams() -> None:
    """Give a process that was started with closed streams some that lead nowhere (0, 1 and 2, in this order)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open for the process's life


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80


def coloured() -> bool:
    """True if the answer may be coloured: a terminal that can show colours, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def plain_ascii() -> bool:
    """True if the output can't take more than ASCII."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") not in {"utf8", "utf16", "utf32"}
