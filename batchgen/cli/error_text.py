"""How a fault of the user's input is reported: `error: what`, then `tip: what to do`, on standard error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from unicodedata import east_asian_width

import rich_click as click

from batchgen.clip import Wanted
from batchgen.errors import BatchgenError, Fault, ManifestError
from batchgen.selection import unmatched

_PREFIX = "BATCHGEN_"
#: Characters of a line that are shown on each side of a fault.
_AROUND = 40


def show(error: click.ClickException | BatchgenError) -> None:
    """Report an error; a manifest's faults keep `file:line:column` first, so that editors can jump there."""
    if isinstance(error, ManifestError):
        for fault in error.faults:
            click.echo("\n".join([str(fault), *source_lines(fault)]), err=True)
        return
    message, tip = _of_click(error) if isinstance(error, click.ClickException) else (error.message, error.tip)
    click.echo(f"error: {message}", err=True)
    if tip:
        click.echo(f"tip: {tip}", err=True)


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


def unmatched_text(only: str | None, wanted: Iterable[Wanted]) -> list[str]:
    """Write a warning for each glob of `--only` that fits no clip, with the nearest names."""
    names = {name for clip in wanted for name in (clip.prompt_id, clip.name)}
    lines = []
    for glob in unmatched(only, names):
        near = get_close_matches(glob.strip("*"), sorted(names), n=3) or sorted(names)[:3]
        lines.append(f"warning: --only: no clip matches {glob!r}; there are: {', '.join(near)}")
    return lines


def warn_of_unknown_variables(commands: Mapping[str, click.Command], environ: Mapping[str, str] = os.environ) -> None:
    """Warn of every BATCHGEN_ variable that no option reads: a misspelt one would be ignored in silence."""
    from batchgen.failpoints import LOG, VARIABLE  # obeyed, and refused if it is misspelt, at the import

    known = {VARIABLE, LOG, *_variables(commands)}
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            tip = did_you_mean(name, known) or "`batchgen COMMAND --help` lists the options"
            click.echo(f"warning: {name} is not a known variable and is ignored: {tip}", err=True)


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
