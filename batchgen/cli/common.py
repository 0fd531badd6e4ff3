"""What the commands share: their arguments, and how they find a batch and print an answer."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from batchgen.errors import UsageError

if TYPE_CHECKING:
    from batchgen.ledger.reader import Reader


class Finite(click.FloatRange):
    """A number that can be counted with: nan and inf are words to Python, and to nobody else."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Read it, and fail as click does."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number to count with.", param, ctx)
        return number


_Command = TypeVar("_Command", bound=Callable[..., Any])

manifest_argument = click.argument("manifest", metavar="MANIFEST")
folder_option = click.option(
    "--dir",
    "folder",
    envvar="BATCHGEN_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The batch folder. [default: beside the manifest, of its name]",
)
sandbox_option = click.option("--sandbox", is_flag=True, help="Mean the batch that ran with --sandbox.")
json_option = click.option(
    "--json", "as_json", is_flag=True, envvar="BATCHGEN_JSON", help="Print one JSON object on standard output."
)


def verbosity_options(command: _Command) -> _Command:
    """Add -q and -v."""
    command = click.option("-v", "--verbose", count=True, help="Tell more; -vv every call.")(command)
    return click.option("-q", "--quiet", is_flag=True, help="Tell of trouble only.")(command)


def answer(obj: Mapping[str, Any], text: Callable[[], str], *, as_json: bool) -> None:
    """Print an answer on standard output: the object, or its text for people."""
    put(json_text(obj) if as_json else text())


def agree(what: str, question: str) -> None:
    """Ask a person; `what` says what is at stake.

    Raises:
        UsageError: nobody can be asked, or the answer was no.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{what}. Nobody is at the terminal to agree: say --yes")
    if not click.confirm(f"{what}. {question}", err=True):
        raise UsageError("not agreed: nothing was changed")


def json_text(obj: Mapping[str, Any]) -> str:
    """Write an object as the output can take it."""
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


def open_streams() -> None:
    """Give a process that was started with closed streams some that lead nowhere (0, 1 and 2, in this order)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open for the process's life


def command_line(verb: str, manifest: str, folder: Path | None = None, *, sandbox: bool = False) -> str:
    """Write the command to type next, with what it needs to mean the same batch."""
    options = [*(["--sandbox"] if sandbox else []), *(["--dir", str(folder)] if folder else [])]
    return shlex.join(["batchgen", verb, manifest, *options])


def is_sandbox(ledger: Reader) -> bool:
    """Tell whether a batch is the sandbox's: commands about it need `--sandbox`."""
    from batchgen.views.facts import SANDBOX_ORIGIN

    return ledger.meta("origin") == SANDBOX_ORIGIN


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80


def coloured() -> bool:
    """Tell whether the answer may be coloured: on a terminal that can, and whose owner does not forbid it."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def plain_ascii() -> bool:
    """Tell whether the output can't take more than ASCII."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") not in {"utf8", "utf16", "utf32"}


def ledger_folder(manifest: str, folder: Path | None, *, sandbox: bool) -> Path:
    """Find the folder of a batch that has run, by its manifest, its name, or `--dir`.

    The YAML is not read, and need not exist any more.

    Raises:
        UsageError: there is no ledger where it should be.
    """
    from batchgen.ledger.reader import Reader

    candidates = [folder] if folder else _candidates(manifest, sandbox=sandbox)
    for candidate in candidates:
        if Reader.exists(candidate):
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise UsageError(f"{manifest} has no ledger yet (looked in {looked}); `batchgen run {manifest}` starts it")


def _candidates(manifest: str, *, sandbox: bool) -> list[Path]:
    from batchgen.settings import batch_folder, find_manifest

    path = Path(manifest)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        base = path.absolute()
    else:
        try:
            base = find_manifest(manifest)
        except UsageError:
            base = Path(f"{(path if path.is_dir() else Path('jobs') / manifest).absolute()}.yaml")
    real, tried = batch_folder(base), batch_folder(base, sandbox=True)
    return [tried] if sandbox else [real, tried]
