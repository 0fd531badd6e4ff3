"""`batchgen torture`: kill, starve and deceive the real command, then hold the books against it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import common
from batchgen.errors import Exit


@click.command("torture")
@click.option(
    "--clips",
    type=click.IntRange(1, 5000),
    default=60,
    show_default=True,
    help="Clips, at least.",
)
@click.option(
    "--kills", type=click.IntRange(1), metavar="N", help="Kills. [default: one for every four clips, 8 at least]"
)
@click.option("--seed", type=click.IntRange(0), help="Of the plan; told at the end, to repeat it. [default: a new one]")
@click.option("--minutes", type=click.FloatRange(0), metavar="M", help="End the mischief then at the latest.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("torture"),
    show_default=True,
    help="New; report.json is written there.",
)
@common.json_option
def torture(
    *, clips: int, kills: int | None, seed: int | None, minutes: float | None, folder: Path, as_json: bool
) -> None:
    """Prove the promises on this machine: no key, no money, no mercy.

    Runs the real command against the sandbox, kills it at random and at every instrumented step, fails its disk,
    cuts its network, loses answers, skews the clock. Then it resumes in peace, and the service's books are held
    against ledger and folder.

    Exit codes: 0 all promises held, 3 some did not (the report says which, with evidence).
    """
    from batchgen.torture import Torture

    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    wanted = max(8, clips // 4) if kills is None else kills
    tortured = Torture(folder.absolute(), clips=clips, kills=wanted, seed=chosen, minutes=minutes, tell=_tell)
    _tell(f"seed {chosen}, {clips} clips, in {folder}")
    report = asyncio.run(tortured.run())
    common.answer(report, lambda: _text(report, folder), as_json=as_json)
    sys.exit(Exit.OK if report["ok"] else Exit.SOME_FAILED)


def _tell(text: str) -> None:
    click.echo(f"torture: {text}", err=True)


def _text(report: dict[str, Any], folder: Path) -> str:
    pairs = report["combinations"]
    head = f"{report['clips']} clips, {report['kills']} kills, {report['elapsed_s']:.0f} s"
    lines = [f"{head}; {pairs['count']} of {pairs['of']} (fault × step) pairs; seed {report['seed']}", ""]
    for promise in report["promises"]:
        mark = {True: "held", False: "BROKEN", None: "not met"}[promise["ok"]]
        lines.append(f"  {mark:8}{promise['promise']} ({promise['checked']} checked)")
        lines += [f"          {finding}" for finding in promise["findings"][:20]]
    return "\n".join([*lines, "", f"The report is {folder / 'report.json'}; again: {report['repeat']}"])
