"""`batchgen retry`: wish failed clips anew; the next run submits them."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import common
from batchgen.errors import UsageError

if TYPE_CHECKING:
    from batchgen.clip import Clip
    from batchgen.ledger import SqliteLedger
    from batchgen.planning.selection import Retake


@click.command("retry")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option("--all", "every", envvar="BATCHGEN_ALL", is_flag=True, help="Failures that only a change can mend, too.")
@click.option("--only", metavar="ID-GLOB", help="Only clips whose id or name fits, whatever they failed of.")
@click.option("--blocked", is_flag=True, help="Blocked clips, too; needs --new-seed or a changed prompt.")
@click.option("--new-seed", is_flag=True, help="With --blocked: a take with a new seed in place of each.")
@click.option("--forgotten", is_flag=True, help="Clips that were given up, too; this may pay for them again.")
@click.option(
    "--max-attempts",
    type=click.IntRange(1),
    metavar="N",
    help="Paid attempts that a clip may have over its life. [default: 5]",
)
@common.json_option
def retry(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    every: bool,
    only: str | None,
    blocked: bool,
    new_seed: bool,
    forgotten: bool,
    max_attempts: int | None,
    as_json: bool,
) -> None:
    """Put failed clips back to pending; `run` then submits them. A failure was free, a success is charged.

    Without more, those that failed by the service's own trouble; what only a change can mend is left and told.
    """
    from batchgen.ledger import SqliteLedger
    from batchgen.planning.selection import Retake
    from batchgen.retry import MAX_ATTEMPTS

    if new_seed and not blocked:
        raise UsageError("--new-seed goes with --blocked; `batchgen reroll` makes further takes of any clip")
    again = Retake(all=every, forgotten=forgotten, blocked=blocked, max_attempts=max_attempts or MAX_ATTEMPTS)
    ledger = SqliteLedger(common.ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        obj = _retried(ledger, manifest, again, only, new_seed=new_seed)
        sandbox = common.is_sandbox(ledger)
    finally:
        ledger.close()
    following = common.command_line("run", manifest, folder, sandbox=sandbox)
    common.answer(obj, lambda: _text(obj, following), as_json=as_json)


def _retried(ledger: SqliteLedger, arg: str, again: Retake, only: str | None, *, new_seed: bool) -> dict[str, Any]:
    from batchgen.cli.retakes import cost_of, under_names
    from batchgen.clip import State
    from batchgen.events import Retried
    from batchgen.planning.selection import rerolls, why_not

    states = (State.FAILED, State.BLOCKED) if again.blocked else (State.FAILED,)
    chosen = [clip for clip in ledger.clips(*states, wanted=True) if _fits(clip, only)]
    anew = [clip for clip in chosen if new_seed and clip.state is State.BLOCKED]
    left = {
        clip.row: why for clip in chosen if clip not in anew and (why := why_not(clip, again, by_name=only is not None))
    }
    back = [clip for clip in chosen if clip not in anew and clip.row not in left]

    async def put_back() -> None:
        for clip in back:
            await ledger.record(clip, Retried())
        await ledger.settle()

    asyncio.run(put_back())
    takes = rerolls(list(ledger.clips()), anew, 1) if anew else []
    takes, tariff = under_names(ledger, arg, takes)
    fresh = ledger.reroll(takes, [clip.key for clip in anew])
    names = {take.key: clip.wanted.name for take, clip in zip(takes, anew, strict=True)}
    return {
        "schema_version": 1,
        "retried": [clip.wanted.name for clip in back],
        "rerolled": [{"clip": take.name, "instead_of": names[take.key]} for take in fresh],
        "left": _left(chosen, left),
        **cost_of([*(clip.wanted for clip in back), *fresh], tariff),
    }


def _fits(clip: Clip, only: str | None) -> bool:
    names = (clip.wanted.prompt_id, clip.wanted.name)
    return only is None or any(fnmatch.fnmatchcase(name, only) for name in names)


def _left(chosen: Sequence[Clip], why: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {"clip": clip.wanted.name, "state": str(clip.state), "attempts": clip.attempts, "why": why[clip.row]}
        for clip in chosen
        if clip.row in why
    ]


def _text(obj: dict[str, Any], following: str) -> str:
    from batchgen.cli.retakes import told_cost
    from batchgen.views.text import plural

    lines = [f"  {row['clip']} in place of {row['instead_of']}, with a new seed" for row in obj["rerolled"]]
    reasons: dict[str, list[str]] = {}
    for row in obj["left"]:
        reasons.setdefault(row["why"], []).append(row["clip"])
    for why, names in reasons.items():
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        lines.append(f"  left as {'it is' if len(names) == 1 else 'they are'}: {shown}: {why}")
    count = len(obj["retried"]) + len(obj["rerolled"])
    summary = f"{plural(len(obj['retried']), 'clip')} put back to pending"
    summary += f", {plural(len(obj['rerolled']), 'clip')} with a new seed" if obj["rerolled"] else ""
    return "\n".join([*lines, summary + (f", {told_cost(obj)}. Next: {following}" if count else ".")])
