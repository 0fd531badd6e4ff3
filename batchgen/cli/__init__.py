"""The command line: parse, build, one call, exit code; no policy.

Reading order: `overview` (the commands in groups), `options`, `output`, `batch` (how a command finds its batch),
`commands` (one module each), `retakes`, `history_session`, `monitor` (a run as people see it), `frame`, `error_text`.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import traceback

import rich_click as click

from batchgen import __version__
from batchgen.cli import error_text, output
from batchgen.cli.overview import COMMANDS, overview
from batchgen.errors import BatchgenError, Exit

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
    """Run the command line and exit; the one place that turns errors into text and codes."""
    output.open_streams()
    try:
        code = cli.main(prog_name="batchgen", standalone_mode=False)
    except click.Abort:
        code = Exit.INTERRUPTED
    except click.ClickException as error:
        error_text.show(error)
        _usage_object(error)
        code = error.exit_code
    except BatchgenError as error:
        error_text.show(error)
        code = error.exit_code
    except sqlite3.DatabaseError as error:
        what = f"the ledger can't be read ({error}); it was not changed"
        error_text.show(BatchgenError(what, tip="`batchgen doctor NAME` examines it"))
        code = Exit.USAGE
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more can be printed, nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.OK
    except Exception:  # noqa: BLE001 - the last net: a fault of ours is reported as such, with its traceback
        report_bug()
        code = Exit.BUG
    sys.exit(int(code or 0))


def _usage_object(error: click.ClickException) -> None:
    """With --json, a mistyped command line is answered with an object, too."""
    if "--json" not in sys.argv or not {"run", "status"} & set(sys.argv[1:2]):
        return
    import time

    from batchgen.views.facts import facts_of_folder
    from batchgen.views.status import status_object

    facts = facts_of_folder(None, "", elapsed_s=0.0, stopped=error.format_message())
    output.put(output.json_text(status_object(facts, now=time.time())))


def report_bug() -> None:
    """Report a fault of batchgen, with its traceback, redacted."""
    from batchgen.redact import Redactor

    text = Redactor([os.environ.get("SEGMIND_API_KEY", "")]).redact(traceback.format_exc())
    click.echo(
        f"{text}\nThis is a fault of batchgen {__version__}, not yours. Nothing is lost: `run` resumes.", err=True
    )
