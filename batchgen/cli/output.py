"""How a command prints an answer: as text or as one JSON object, in colour or not; and how it asks a question."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import rich_click as click

from batchgen.errors import Exit, OutputError, UsageError

#: By mark: green, red, magenta, cyan.
_COLOURS = {"✓": 32, "✗": 31, "?": 35, "▸": 36}
_MARKED = re.compile(r"(?<!\S)(?P<mark>[✓✗?▸]) [\d,]+ [a-z]+\b")
_STOPPED = re.compile(r"^Stopped:", re.MULTILINE)
#: How a line on standard error begins, and the caret under a fault.
_NOTES = {"error": 31, "warning": 33, "tip": 36, "^": 31}
_NOTED = re.compile(r"^(?P<word>error|warning|tip)(?=:)|(?<= \| )(?P<caret>\s*\^)$", re.MULTILINE)


def _nothing_known(error: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001 - as `CommandAnswer.describe`
    return {"schema_version": 1}


@dataclass
class CommandAnswer:
    """What this process has answered; `main` makes one, and with it the object of a command that failed."""

    given: bool = False  #: something was printed as the answer
    #: Gives the fields of the object of a command that failed, of its `error`.
    describe: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _nothing_known
    redact: Callable[[str], str] = str  #: takes the key out of what is printed

    @classmethod
    def current(cls) -> CommandAnswer:
        """Give the one of the command that is at work."""
        ctx = click.get_current_context(silent=True)
        return (ctx.find_object(cls) if ctx else None) or cls()


def answer(obj: Mapping[str, Any], text: Callable[[], str], *, as_json: bool, code: int = Exit.OK) -> None:
    """Print an answer on standard output: the object with its exit code, or its text for people.

    Raises:
        OutputError: as `put`.
    """
    if as_json:
        put(json_text({**obj, "error": None, "exit_code": int(code)}))
    else:
        put(painted(text()) if coloured() else text())


def painted(text: str) -> str:
    """Colour the counts of states by their marks ("✗ 1 failed"), and why a run stopped; never colour alone."""
    text = _MARKED.sub(lambda found: f"\x1b[{_COLOURS[found['mark']]}m{found[0]}\x1b[0m", text)
    return _STOPPED.sub("\x1b[33mStopped:\x1b[0m", text)


def note(text: str) -> None:
    """Print lines on standard error, each `error:`, `warning:`, `tip:` and the caret under a fault in its colour."""

    def paint(found: re.Match[str]) -> str:
        return f"\x1b[{_NOTES[found['word'] or '^']}m{found[0]}\x1b[0m"

    click.echo(_NOTED.sub(paint, text) if coloured(sys.stderr) else text, err=True)


def json_text(obj: Mapping[str, Any]) -> str:
    """Write an object as JSON; in ASCII where the output can't take more."""
    return json.dumps(obj, ensure_ascii=plain_ascii(), indent=2)


def put(text: str) -> None:
    """Print on standard output; a reader who has gone away changes nothing, least of all the exit code.

    Raises:
        OutputError: it can't be written, as on a full disk behind `>`.
    """
    now = CommandAnswer.current()
    now.given = True
    with to_stdout():
        click.echo(now.redact(text))


def put_bytes(pieces: Iterable[bytes]) -> None:
    """Print bytes on standard output, as `put` prints a text. Raises OutputError."""
    with to_stdout():
        sys.stdout.buffer.writelines(pieces)


@contextmanager
def to_stdout() -> Iterator[None]:
    """Write to standard output and flush it: only a reader who has gone away is silent. Raises OutputError."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        raise OutputError.of("the output", error) from error


def _discard() -> None:
    """Lead standard output nowhere: what is still buffered must not fail a second time when the process ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def agree(what: str, question: str, *, sandbox: bool = False) -> None:
    """Ask a person to confirm; `what` says what is at stake.

    The sandbox asks too, so that the question is rehearsed; where nobody can be asked, it goes on: it is free.

    Raises:
        UsageError: nobody can be asked, or the answer was no.
    """
    if not sys.stdin.isatty():
        if sandbox:
            return
        raise UsageError(f"cannot ask for confirmation: not a terminal. {what}", tip="pass --yes to go on anyway")
    free = " (sandbox, free)" if sandbox else ""
    if not click.confirm(f"{what}{free}. {question}", err=True):
        raise UsageError("cancelled: nothing was changed")


def open_streams() -> None:
    """Give a process that was started with closed streams some that lead nowhere (0, 1 and 2, in this order)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open for the process's life


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80


def coloured(stream: TextIO | None = None) -> bool:
    """True if a stream (None: of the answer) may be coloured: a terminal that can show it, and NO_COLOR is not set."""
    return (
        (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    )


def plain_ascii() -> bool:
    """True if the output can't take more than ASCII."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") not in {"utf8", "utf16", "utf32"}
