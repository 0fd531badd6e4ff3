"""`batchgen retry`: queue failed clips again; the next run submits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line, is_sandbox, ledger_folder
from batchgen.cli.error_text import check_only
from batchgen.cli.options import folder_option, json_option, manifest_argument, only_option, sandbox_option
from batchgen.clip import State
from batchgen.errors import UsageError

if TYPE_CHECKING:
    from batchgen.clip import Clip
    from batchgen.ledger import Reader
    from batchgen.planning.retakes import Retake


@click.command("retry")
@manifest_argument
@folder_option
@sandbox_option
@click.option("--all", "every", envvar="BATCHGEN_ALL", is_flag=True, help="Also failures that need an edit.")
@only_option("Only clips whose id or name matches, whatever the failure.", State.FAILED, State.BLOCKED)
@click.option("--blocked", is_flag=True, help="Also blocked clips, with the same seed.")
@click.option("--new-seed", is_flag=True, help="With --blocked: replace each blocked clip by a take with a new seed.")
@click.option("--forgotten", is_flag=True, help="Also forgotten clips; this may pay for them again.")
@click.option(
    "--max-attempts",
    type=click.IntRange(1),
    metavar="N",
    help="Paid attempts per clip, over all runs. [default: 5]",
)
@json_option
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
    """Queue failed clips again; `run` then submits them. A failure was free, a success is charged.

    By default only failures of the service itself; failures that need an edit are skipped and listed.
    """
    from batchgen.cli import retakes
    from batchgen.planning.retakes import Retake
    from batchgen.retry import MAX_ATTEMPTS

    if new_seed and not blocked:
        raise UsageError("--new-seed needs --blocked", tip="`batchgen reroll` queues extra takes of any clip")
    again = Retake(all=every, forgotten=forgotten, blocked=blocked, max_attempts=max_attempts or MAX_ATTEMPTS)
    with retakes.open_batch(ledger_folder(manifest, folder, sandbox=sandbox)) as ledger:
        obj = _retried(ledger, manifest, again, only, new_seed=new_seed)
        following = f"Next: {command_line('run', manifest, folder, sandbox=is_sandbox(ledger))}"
    output.answer(obj, lambda: _text(obj, retakes.BESIDE_A_RUN if obj["queued"] else following), as_json=as_json)


def _retried(ledger: Reader, arg: str, again: Retake, only: str | None, *, new_seed: bool) -> dict[str, Any]:
    from batchgen.cli import retakes
    from batchgen.clip import State
    from batchgen.ledger import SqliteLedger
    from batchgen.ledger.wishes import QueuedWish
    from batchgen.planning.retakes import rerolls, why_not
    from batchgen.selection import matches

    again = replace(again, charged={model: cost for model, (_, cost) in ledger.charged_failures().items()})
    states = (State.FAILED, State.BLOCKED) if again.blocked else (State.FAILED,)
    for line in check_only(only, (clip.wanted for clip in ledger.clips())) if only is not None else ():
        click.echo(line, err=True)
    failed = ledger.clips(*states, wanted=True)
    chosen = [clip for clip in failed if matches(only, clip.wanted.prompt_id, clip.wanted.name)]
    replaced = [clip for clip in chosen if new_seed and clip.state is State.BLOCKED]
    left = {
        clip.row: why
        for clip in chosen
        if clip not in replaced and (why := why_not(clip, again, by_name=only is not None))
    }
    back = [clip for clip in chosen if clip not in replaced and clip.row not in left]
    takes = rerolls(retakes.with_queued(ledger), replaced, 1) if replaced else []
    takes, tariff = retakes.under_names(ledger, arg, takes)
    wish = QueuedWish([clip.key for clip in back], takes, [clip.key for clip in replaced])
    fresh = retakes.carry_out(ledger, wish) if back or takes else []
    names = {take.key: clip.wanted.name for take, clip in zip(takes, replaced, strict=True)}
    return {
        "schema_version": 1,
        "retried": [clip.wanted.name for clip in back],
        "rerolled": [{"clip": take.name, "instead_of": names[take.key]} for take in fresh],
        "left": _left(chosen, left),
        "queued": bool(back or takes) and not isinstance(ledger, SqliteLedger),
        **retakes.cost_of([*(clip.wanted for clip in back), *fresh], tariff),
    }


def _left(chosen: Sequence[Clip], why: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {"clip": clip.wanted.name, "state": str(clip.state), "attempts": clip.attempts, "why": why[clip.row]}
        for clip in chosen
        if clip.row in why
    ]


def _text(obj: dict[str, Any], following: str) -> str:
    from batchgen.cli.retakes import cost_text, shortened
    from batchgen.views.text import plural

    lines = shortened([f"  {row['clip']} replaces {row['instead_of']}, with a new seed" for row in obj["rerolled"]])
    reasons: dict[str, list[str]] = {}
    for row in obj["left"]:
        reasons.setdefault(row["why"], []).append(row["clip"])
    for why, names in reasons.items():
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        lines.append(f"  skipped {len(names):,} ({why}): {shown}")
    count = len(obj["retried"]) + len(obj["rerolled"])
    if not count:
        return "\n".join([*lines, "Nothing to retry."])
    fresh = f", {len(obj['rerolled']):,} with a new seed" if obj["rerolled"] else ""
    return "\n".join([*lines, f"Queued {plural(count, 'clip')}{fresh}, {cost_text(obj)}.", following])
