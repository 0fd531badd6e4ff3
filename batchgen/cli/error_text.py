"""How a fault of the user's input is reported: `error: what`, then `tip: what to do`, on standard error."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol
from unicodedata import east_asian_width

import rich_click as click

from batchgen.cli import output
from batchgen.errors import BatchgenError, Exit, Fault, LockedError, ManifestError, UsageError
from batchgen.selection import globs, unmatched

_PREFIX = "BATCHGEN_"
#: A command in a message that was written without knowing the batch.
_ABOUT_A_BATCH = re.compile(r"`batchgen (?:doctor|recover|review|picks)(?: NAME)?(?=[ `])")
#: Characters of a line that are shown on each side of a fault.
_AROUND = 40


def show(error: click.ClickException | BatchgenError, batch: str = "") -> None:
    """Report an error; a manifest's faults keep `file:line:column` first, so that editors can jump there.

    `batch` is how the command line called it (see `batch_as_typed`), for the commands that the error names.
    """
    message, tip = _of_click(error) if isinstance(error, click.ClickException) else (error.message, error.tip)
    lines = [f"error: {message}", *([f"tip: {tip}"] * bool(tip))]
    if isinstance(error, ManifestError):
        lines = [line for fault in error.faults for line in (str(fault), *source_lines(fault))]
    with suppress(OSError):  # nobody can read it; the exit code still says it
        output.note(to_copy("\n".join(lines), batch))


def to_copy(text: str, batch: str) -> str:
    """Complete the commands that a text names for any batch: `batchgen recover` → `batchgen recover night`."""
    return _ABOUT_A_BATCH.sub(lambda found: f"{found[0].removesuffix(' NAME')} {batch}", text) if batch else text


def batch_as_typed(command: click.Command, args: Sequence[str]) -> str:
    """Give the batch of a command line as it is typed, with the options that say which; empty where it has none."""
    ctx = command.make_context(command.name, [*args], resilient_parsing=True)
    manifest, folder, sandbox = (ctx.params.get(name) for name in ("manifest", "folder", "sandbox"))
    return typed(manifest, folder, sandbox=sandbox is True) if isinstance(manifest, str) else ""


def typed(manifest: str, folder: Path | None, *, sandbox: bool) -> str:
    """Write a batch as it is typed after a command."""
    where = [*(["--sandbox"] if sandbox else []), *(["--dir", str(folder)] if folder else [])]
    return shlex.join([manifest, *where])


def error_object(error: click.ClickException | BatchgenError | None, code: int, batch: str = "") -> dict[str, Any]:
    """Give the `error` of `--json`: the word for it, its message with the tip, and a manifest's faults."""
    word = {Exit.INTERRUPTED: "interrupted", Exit.TERMINATED: "terminated"}.get(Exit(code), "bug")
    message, faults = "a fault of batchgen" if word == "bug" else word, []
    if isinstance(error, BatchgenError):
        word, message = error.code, str(error)
    elif error is not None:
        word, message = "usage", "; ".join(text for text in _of_click(error) if text)
    if isinstance(error, ManifestError):
        faults = [fault_object(fault) for fault in error.faults]
    return {"code": word, "message": to_copy(message, batch), "faults": faults}


def status_fields(
    manifest: str, folder: Path | None, *, sandbox: bool, ran: bool = False
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Give what `run --json` and `status --json` say of a batch next to an error, as a `CommandAnswer.describe`.

    The batch is that of the command line, as far as it is found; `ran`: one that has run, be it the sandbox's.
    """

    def describe(error: Mapping[str, Any]) -> Mapping[str, Any]:
        from batchgen.cli.batch import ledger_folder
        from batchgen.locate import batch_folder, find_manifest
        from batchgen.views.facts import facts_of_folder
        from batchgen.views.status import status_object

        where = folder
        if folder is None:
            with suppress(BatchgenError):
                where = batch_folder(find_manifest(manifest), sandbox=sandbox)
                where = ledger_folder(manifest, None, sandbox=sandbox) if ran else where
        facts = facts_of_folder(
            where.absolute() if where else None,
            manifest or (where.name if where else ""),
            stopped=error["message"],
            live=error["code"] == LockedError.code,
            sandbox=sandbox,
            options=("--dir", str(folder)) if folder else (),
        )
        return status_object(facts, now=time.time())

    return describe


def status_fields_as_typed(
    command: click.Command, args: Sequence[str]
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Give the same for a command line that click refused: of what can be read of it."""
    ctx = command.make_context(command.name, [*args], resilient_parsing=True)
    named = ctx.params.get("manifest")
    manifest = (named[0] if isinstance(named, tuple) and named else named) or next(filter(_is_manifest, args), "")
    sandbox = bool(ctx.params.get("sandbox")) or "--sandbox" in args
    return status_fields(manifest, ctx.params.get("folder"), sandbox=sandbox, ran=command.name == "status")


def _is_manifest(arg: str) -> bool:
    from batchgen.locate import find_manifest

    with suppress(UsageError):
        return bool(find_manifest(arg))
    return False


def fault_object(fault: Fault) -> dict[str, Any]:
    """Give a fault of a manifest as JSON."""
    return {"file": fault.file, "line": fault.line, "column": fault.column, "what": fault.what, "mend": fault.fix}


def source_lines(fault: Fault) -> list[str]:
    """Give the line that a fault means, with its number, and a caret under the column; none if it is not known.

    Of a long line only the part round the column is shown.
    """
    if not fault.source:
        return []
    at = fault.column - 1
    start = max(0, at - _AROUND) if len(fault.source) > 2 * _AROUND else 0
    before, rest = fault.source[start:at], fault.source[at : start + 2 * _AROUND]
    blank = "".join("\t" if char == "\t" else "  " if east_asian_width(char) in "WF" else " " for char in before)
    number = f"{fault.line:>5}"
    return [f"{number} | {before}{rest}", f"{'':>5} | {blank}^"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the nearest of the known words as a question; empty when none is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else ""


class HasNames(Protocol):
    """A clip as the manifest or the ledger has it."""

    @property
    def prompt_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


def check_only(only: str | None, clips: Iterable[HasNames]) -> list[str]:
    """Give a warning for each glob of `--only` that fits no clip, with the nearest names.

    Raises:
        UsageError: none of them fits any clip: the option is misspelt, and nothing would be done.
    """
    if only is None:
        return []
    names = {name for clip in clips for name in (clip.prompt_id, clip.name)}
    missing = unmatched(only, names)
    if len(missing) == sum(map(bool, globs(only))):
        raise UsageError(f"no clip matches --only {shlex.quote(only)}", tip=f"there are: {_near(only, names)}")
    return [f"warning: --only: no clip matches {glob!r}; there are: {_near(glob, names)}" for glob in missing]


def _near(glob: str, names: set[str]) -> str:
    near = get_close_matches(glob.strip("*"), sorted(names), n=3) or sorted(names)[:3]
    more = len(names) - len(near)
    return ", ".join(near) + (f" and {more:,} more" if more else "")


def warn_of_unknown_variables(commands: Mapping[str, click.Command], environ: Mapping[str, str] = os.environ) -> None:
    """Warn of every BATCHGEN_ variable that no option reads: a misspelt one would be ignored in silence."""
    from batchgen.failpoints import LOG, VARIABLE  # obeyed, and refused if it is misspelt, at the import

    known = {VARIABLE, LOG, *_variables(commands)}
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            tip = did_you_mean(name, known) or "`batchgen COMMAND --help` lists the options"
            output.note(f"warning: {name} is not a known variable and is ignored: {tip}")


def _variables(commands: Mapping[str, click.Command]) -> Iterable[str]:
    for command in commands.values():
        prefix = command.context_settings.get("auto_envvar_prefix") or f"{_PREFIX}{str(command.name).upper()}"
        for param in command.params:
            yield f"{prefix}_{str(param.name).upper()}"
            yield from [param.envvar] if isinstance(param.envvar, str) else param.envvar or ()


def _of_click(error: click.ClickException) -> tuple[str, str]:
    """Give message and tip of an error in the command line."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "batchgen"
    usual = f"`{path} --help` lists the options" if ctx and ctx.parent else "`batchgen --help` lists the commands"
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        if name == "--dry-run":
            return f"no such option {name}", "use `batchgen plan NAME`: it shows what a run would do, and is free"
        options = [text for param in ctx.command.params for text in param.opts] if ctx else []
        return f"no such option {name}", did_you_mean(name, [*options, "--help"]) or usual
    if isinstance(error, UnknownCommand):
        return error.message, error.tip or usual
    message = error.format_message().strip().removesuffix(".")
    return message[:1].lower() + message[1:], usual


class UnknownCommand(click.UsageError):
    """There is no such command.

    Args:
        name: as typed.
        known: the commands that there are.
    """

    def __init__(self, name: str, known: Iterable[str], ctx: click.Context) -> None:
        super().__init__(f"no such command {name}", ctx)
        self.tip = did_you_mean(name, known)
