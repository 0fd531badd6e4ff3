"""The command line: parse, build, one call, exit code; no policy. Each command is a module of this package."""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import traceback

import rich_click as click

from batchgen import __version__
from batchgen.cli import common
from batchgen.errors import BatchgenError, Exit, ManifestError

#: In the order of a batch's life. Each is a module, imported when it is asked for: `--version` answers at once.
COMMANDS = (
    "init", "check", "plan", "run", "status", "retry", "reroll", "reconcile", "forget", "recover", "report", "export",
    "verify", "doctor", "sandbox", "torture", "schema", "completion",
)  # fmt: skip


class Commands(click.RichGroup):
    """The commands, in the order of a batch's life; each is imported on first use."""

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


@click.group(
    "batchgen",
    cls=Commands,
    context_settings={
        "auto_envvar_prefix": "BATCHGEN",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="batchgen")
def cli() -> None:
    """Overnight batches of paid text-to-video, unattended.

    Never pays twice, never loses a paid clip, keeps the pace that the account bears, and hands over checked
    MP4s and an honest bill.
    """


def main() -> None:
    """Run the command line and exit; the one place that turns errors into text and codes."""
    common.open_streams()
    try:
        code = cli.main(prog_name="batchgen", standalone_mode=False)
    except click.Abort:
        code = Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        _usage_object(error)
        code = error.exit_code
    except BatchgenError as error:
        # file:line:column stands first, so that editors and terminals can jump to it
        click.echo(str(error) if isinstance(error, ManifestError) else f"batchgen: {error}", err=True)
        code = error.exit_code
    except sqlite3.DatabaseError as error:
        click.echo(
            f"batchgen: the ledger can't be read ({error}); it was left as it is. `batchgen doctor` looks", err=True
        )
        code = Exit.USAGE
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more can be told, nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.OK
    except Exception:  # noqa: BLE001 - the last net: a fault of ours is told as such, with its traceback
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
    common.put(common.json_text(status_object(facts, now=time.time())))


def report_bug() -> None:
    """Tell of a fault of batchgen, with its traceback, redacted."""
    from batchgen.redact import Redactor

    text = Redactor([os.environ.get("SEGMIND_API_KEY", "")]).redact(traceback.format_exc())
    click.echo(
        f"{text}\nThis is a fault of batchgen {__version__}, not yours. Nothing is lost: `run` resumes.", err=True
    )
