"""Arguments and options that several commands share, and the types that read their values."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from batchgen.cli import candidates
from batchgen.clip import State

_Command = TypeVar("_Command", bound=Callable[..., Any])
#: The groups of options in a long `--help`; options without a group stand first.
SPENDING, PACE, TROUBLE, SANDBOX = "Spending", "Pace and stopping", "After trouble", "Sandbox"


class Finite(click.FloatRange):
    """A number of at least `min` that is neither nan nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Read it, and fail as click does."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def usd_amount(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read an amount of USD as micro-dollars."""
    del ctx
    if value is None:
        return None
    from batchgen.money import to_micro

    try:
        micro = to_micro(Decimal(value.removeprefix("$")))
    except InvalidOperation:
        micro = None
    if micro is None:
        raise click.BadParameter(f"{value!r} is not an amount of USD; write 25 or 12.50.", param=param)
    return micro


manifest_argument = click.argument("manifest", metavar="MANIFEST", shell_complete=candidates.batches)


def only_option(
    text: str = "Only clips whose id or name matches, as in 'singer*'.", *states: State, planned: bool = False
) -> Callable[[_Command], _Command]:
    """Give `--only`, with its help; the shell completes clips in these states (none: all), see `clips_of`."""
    complete = candidates.clips_of(*states, planned=planned, several=True)
    return click.option("--only", metavar="GLOB", help=text, shell_complete=complete)


folder_option = click.option(
    "--dir",
    "folder",
    envvar="BATCHGEN_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Batch folder. [default: next to the manifest]",
)
sandbox_option = click.option("--sandbox", is_flag=True, help="Use the sandbox batch (NAME.sandbox).")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
json_option = click.option("--json", "as_json", is_flag=True, envvar="BATCHGEN_JSON", help="Print one JSON object.")


def service_options(command: _Command) -> _Command:
    """Add --base-url and the hidden --history-url: where the service is."""
    command = click.option("--history-url", envvar="SEGMIND_HISTORY_URL", hidden=True)(command)
    return base_url_option(command)


base_url_option = click.option(
    "--base-url",
    envvar="SEGMIND_BASE_URL",
    metavar="URL",
    help="API base URL. [default: https://api.segmind.com]",
)
rpm_option = click.option(
    "--rpm",
    type=Finite(0),
    metavar="N",
    panel=PACE,
    help="API calls per minute; 0: no limit. [default: 50]",
)
in_flight_option = click.option(
    "--in-flight",
    type=click.IntRange(1),
    metavar="N",
    panel=PACE,
    help="Clips at the service at once. [default: 32]",
)
latency_option = click.option(
    "--expect-latency",
    type=Finite(0),
    metavar="SECONDS",
    panel=PACE,
    help="Run time of the model, until one is measured.",
)
history_settle_option = click.option(
    "--history-settle",
    type=Finite(0),
    metavar="SECONDS",
    panel=TROUBLE,
    help="How far the history may lag. [default: 7200]",
)


def resubmit_options(command: _Command) -> _Command:
    """Add the two options that may pay for a clip again."""
    lost = click.option(
        "--resubmit-lost",
        is_flag=True,
        default=None,
        panel=TROUBLE,
        help="Pay again for clips that can't be downloaded.",
    )
    unconfirmed = click.option(
        "--resubmit-unconfirmed",
        is_flag=True,
        default=None,
        panel=TROUBLE,
        help="Resubmit clips that the history lacks.",
    )
    return unconfirmed(lost(command))


def verbosity_options(command: _Command) -> _Command:
    """Add -q and -v."""
    text = "More detail; -vv logs each API call."
    # rich-click hides this metavar; a count has none
    command = click.option("-v", "--verbose", count=True, metavar="BOOLEAN", help=text)(command)
    return click.option("-q", "--quiet", is_flag=True, help="Errors and warnings only.")(command)


class _Cap(click.RichOption):
    """A cap: its variable may be unset, and not empty, since `BATCHGEN_MAX_USD=$CAP` would take the cap off."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Read its variable, and fail as click does."""
        name = f"{ctx.auto_envvar_prefix}_{str(self.name).upper()}"
        if not os.environ.get(name, "unset").strip():
            raise click.BadParameter("it has no value, so nothing would be limited", ctx, self, param_hint=name)
        return super().resolve_envvar_value(ctx)


def cap_options(command: _Command) -> _Command:
    """Add the caps of what a batch may spend, by `Settings`' names; the same for `run` and `plan`."""
    options = (
        click.option(
            "--max-usd",
            cls=_Cap,
            callback=usd_amount,
            metavar="USD",
            panel=SPENDING,
            help="Hard budget of the batch, over all its runs.",
        ),
        click.option(
            "--max-usd-per-day",
            cls=_Cap,
            callback=usd_amount,
            metavar="USD",
            panel=SPENDING,
            help="Hard budget per calendar day (local time).",
        ),
        click.option(
            "--max-clips",
            cls=_Cap,
            type=click.IntRange(0),
            metavar="N",
            panel=SPENDING,
            help="At most N paid submissions, over all runs.",
        ),
        click.option(
            "--allow-unknown-price",
            is_flag=True,
            default=None,
            panel=SPENDING,
            help="Submit clips of unknown price despite a budget.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class ClockTime(click.ParamType[float]):
    """A time of the day, "07:00", as the moment (epoch seconds) when this machine's clock next shows it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Read it, and fail as click does."""
        from batchgen.window import next_time

        try:
            return value if isinstance(value, float) else next_time(value, time.time())
        except ValueError:
            self.fail(f"{value!r} is not a time of the day; write 07:00.", param, ctx)


def night_options(command: _Command) -> _Command:
    """Add when a command stops submitting, and what several batches may spend together."""
    together = click.option(
        "--max-usd-together",
        cls=_Cap,
        callback=usd_amount,
        metavar="USD",
        panel=SPENDING,
        help="Hard budget of all named batches.",
    )
    until = click.option(
        "--until",
        type=ClockTime(),
        metavar="HH:MM",
        panel=PACE,
        help="Stop submitting then, and collect.",
    )
    return together(until(command))


def options_as_typed(given: Mapping[str, Any], plan_file: Path | None = None) -> list[str]:
    """Write what a command line said of clips and caps as it would be typed again: it holds for that run only."""
    from batchgen.money import decimal_usd

    typed: list[str] = []
    for name in ("max_usd", "max_usd_per_day"):
        if (micro := given.get(name)) is not None:
            typed += [f"--{name.replace('_', '-')}", f"{decimal_usd(micro):f}"]
    for name in ("max_clips", "only", "limit"):
        if given.get(name) is not None:
            typed += [f"--{name.replace('_', '-')}", str(given[name])]
    typed += ["--plan", str(plan_file)] if plan_file else []
    return [*typed, "--allow-unknown-price"] if given.get("allow_unknown_price") else typed
