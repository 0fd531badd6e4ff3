"""The options that say what a batch may spend; the same for `run` and `plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import rich_click as click

_Command = TypeVar("_Command", bound=Callable[..., Any])


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
        raise click.BadParameter(f"{value!r} is no amount of USD, as in 25 or 12.50", param=param)
    return micro


def caps_said(given: Mapping[str, Any]) -> list[str]:
    """Write the caps that a command line named as it would be typed again: they hold for that run only."""
    said: list[str] = []
    for name in ("max_usd", "max_usd_per_day"):
        if (micro := given.get(name)) is not None:
            said += [f"--{name.replace('_', '-')}", f"{Decimal(micro) / 1_000_000:f}"]
    if given.get("max_clips") is not None:
        said += ["--max-clips", str(given["max_clips"])]
    return [*said, "--allow-unknown-price"] if given.get("allow_unknown_price") else said


def cap_options(command: _Command) -> _Command:
    """Add the caps, by `Settings`' names."""
    options = (
        click.option("--max-usd", callback=usd_amount, metavar="X", help="The batch's cap, over all its runs."),
        click.option(
            "--max-usd-per-day",
            callback=usd_amount,
            metavar="X",
            help="A cap for what is submitted on one calendar day, local time.",
        ),
        click.option(
            "--max-clips",
            type=click.IntRange(0),
            metavar="N",
            help="A cap in paid submissions, over all runs; failures are free.",
        ),
        click.option(
            "--allow-unknown-price",
            is_flag=True,
            default=None,
            help="Submit clips of unknown price in spite of a cap in USD; they are counted by themselves.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
