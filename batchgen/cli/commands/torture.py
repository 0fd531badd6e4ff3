"""`batchgen torture`: stress test of the real command, whose results are compared with the sandbox's books."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.options import json_option
from batchgen.errors import Exit


@click.command("torture")
@click.option(
    "--clips",
    type=click.IntRange(1, 5000),
    default=60,
    show_default=True,
    metavar="N",
    help="Number of clips, at least.",
)
@click.option("--kills", type=click.IntRange(1), metavar="N", help="Number of kills. [default: a quarter of the clips]")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed, to repeat a test. [default: a new one]")
@click.option("--minutes", type=click.FloatRange(0), metavar="N", help="Stop injecting faults after N minutes.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("torture"),
    show_default=True,
    metavar="DIR",
    help="A new folder; report.json is written there.",
)
@json_option
def torture(
    *, clips: int, kills: int | None, seed: int | None, minutes: float | None, folder: Path, as_json: bool
) -> None:
    """Stress test (kills, faults, disk errors) of all promises on this machine. Free, takes minutes.

    Runs the real command against the sandbox, kills it at random and at every instrumented step, fails its disk, cuts
    its network, loses answers, skews the clock, deletes its ledger or brings an older one back. The service goes
    through moods: storms of 429s, bad jobs and files, a file host in trouble, contradicting answers, charged failures,
    maintenance, refusals of all clips. At the end it resumes undisturbed, and the sandbox's books are compared with
    ledger and folder.

    Exit codes: 0 all promises held, 3 some did not (the report says which, with evidence).
    """
    from batchgen.torture import Torture

    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    wanted = max(8, clips // 4) if kills is None else kills
    tortured = Torture(folder.absolute(), clips=clips, kills=wanted, seed=chosen, minutes=minutes, say=_say)
    _say(f"seed {chosen}, {clips} clips, in {folder}")
    report = asyncio.run(tortured.run())
    output.answer(report, lambda: _text(report, folder), as_json=as_json)
    sys.exit(Exit.OK if report["ok"] else Exit.SOME_FAILED)


def _say(text: str) -> None:
    click.echo(f"torture: {text}", err=True)


def _text(report: dict[str, Any], folder: Path) -> str:
    pairs = report["combinations"]
    head = f"{report['clips']} clips, {report['kills']} kills, {report['elapsed_s']:.0f} s"
    lines = [f"{head}; {pairs['count']} of {pairs['of']} (fault × step) pairs; seed {report['seed']}", ""]
    for promise in report["promises"]:
        mark = {True: "held", False: "BROKEN", None: "not met"}[promise["ok"]]
        lines.append(f"  {mark:8}{promise['promise']} ({promise['checked']} checked)")
        lines += [f"          {finding}" for finding in promise["findings"][:20]]
    return "\n".join([*lines, "", f"Report: {folder / 'report.json'}", f"To repeat it: {report['repeat']}"])
