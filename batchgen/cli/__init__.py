"""The command line: parse, build, one call, exit code; no policy.

Reading order: `overview` (the commands in groups), `options`, `candidates` and `shells` (what a shell completes),
`output`, `batch` (how a command finds its batch), `commands` (one module each), `retakes`, `history_session`, `monitor`
(a run as people see it), `frame`, `notices` (who is informed of it), `awake`, `one_run`, `nights`, `error_text`.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import traceback
from typing import Any

import rich_click as click

from batchgen import __version__
from batchgen.cli import error_text, output
from batchgen.cli.overview import COMMANDS, overview
from batchgen.errors import BatchgenError, Exit, LedgerError, OutputError

_HELP = click.RichHelpConfiguration(
    theme="slim",
    append_metavars_help_string="{}",
    default_string="\\[default: {}]",
    options_table_help_sections=["help", "default", "required"],
    text_paragraph_linebreaks="\n\n",
    force_terminal=None,  # else some CI services get escapes into their pipes
    max_width=100,
)


class Commands(click.RichGroup):
    """The commands in their groups; each is a module, imported when it is asked for: `--version` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"batchgen.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        if cmd_name not in {"sandbox", "torture"}:  # whose --rpm and --folder are the service's, not the run's
            command.context_settings.setdefault("auto_envvar_prefix", "BATCHGEN")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise error_text.UnknownCommand(args[0], COMMANDS, ctx)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Give the one screen of all commands."""
        del ctx
        return overview(output.width(), coloured=output.coloured())


@click.group(
    "batchgen",
    cls=Commands,
    context_settings={
        "auto_envvar_prefix": "BATCHGEN",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "rich_help_config": _HELP,
    },
)
@click.version_option(__version__, prog_name="batchgen")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run a night of paid text-to-video prompts and wake up to checked MP4s."""
    if any(name.startswith("BATCHGEN_") for name in os.environ):
        found = {name: ctx.command.get_command(ctx, name) for name in COMMANDS}  # type: ignore[attr-defined]
        error_text.warn_of_unknown_variables(found)


def main() -> None:
    """Run the command line and exit; the one place that turns errors into text, objects and codes."""
    if os.environ.get("_BATCHGEN_COMPLETE"):
        from batchgen.cli import shells

        sys.exit(shells.complete(cli))
    output.open_streams()
    answer = output.CommandAnswer()
    try:
        code, error = _ended(answer)
        if error is not None:
            error_text.show(error)
        if code and not answer.given and _as_json():
            with output.to_stdout():
                click.echo(answer.redact(output.json_text(_error_object(answer, error, code))))
    except OutputError as failed:
        error_text.show(failed)
        code = failed.exit_code
    sys.exit(code)


def _ended(answer: output.CommandAnswer) -> tuple[int, BatchgenError | click.ClickException | None]:
    """Run it; give the exit code, and the error that is still to be reported."""
    try:
        with output.to_stdout():
            return int(cli.main(prog_name="batchgen", standalone_mode=False, obj=answer) or 0), None
    except SystemExit as ending:
        return int(ending.code or 0), None
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED, None
    except (BatchgenError, click.ClickException) as error:
        return error.exit_code, error
    except sqlite3.DatabaseError as error:
        what = f"the ledger can't be read ({error}); it was not changed"
        return Exit.USAGE, LedgerError(what, tip="`batchgen doctor NAME` examines it")
    except Exception:  # noqa: BLE001 - the last net: a fault of ours is reported as such, with its traceback
        report_bug()
        return Exit.BUG, None


def _error_object(
    answer: output.CommandAnswer, error: BatchgenError | click.ClickException | None, code: int
) -> dict[str, Any]:
    """Give the one object of a command that failed: `error`, `exit_code`, and what the command itself says."""
    fault = error_text.error_object(error, code)
    describe = answer.describe
    if isinstance(error, click.UsageError) and error.ctx and sys.argv[1:2] in (["run"], ["status"]):
        describe = error_text.status_fields_as_typed(error.ctx.command, sys.argv[2:])
    return {**describe(fault), "error": fault, "exit_code": int(code)}


def _as_json() -> bool:
    """True if the command line, or the environment, asked for an object."""
    if "--json" in sys.argv[1:]:
        return True
    return os.environ.get("BATCHGEN_JSON", "").lower() in {"1", "true", "yes", "on", "t", "y"}


def report_bug() -> None:
    """Report a fault of batchgen, with its traceback, redacted."""
    from batchgen.redact import Redactor

    text = Redactor([os.environ.get("SEGMIND_API_KEY", "")]).redact(traceback.format_exc())
    click.echo(
        f"{text}\nThis is a fault of batchgen {__version__}, not yours. Nothing is lost: `run` resumes.", err=True
    )
