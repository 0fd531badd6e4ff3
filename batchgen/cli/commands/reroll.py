"""`batchgen reroll`: further takes of clips, with new seeds; the next run makes them."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from batchgen.cli import common


@click.command("reroll")
@common.manifest_argument
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True)
@common.folder_option
@common.sandbox_option
@click.option(
    "--takes", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N", help="Further takes of each."
)
@common.json_option
def reroll(
    manifest: str, clips: tuple[str, ...], folder: Path | None, *, sandbox: bool, takes: int, as_json: bool
) -> None:
    """Want further takes of clips, named by their file names or globs; `run` then makes them, and they cost.

    Each has a new seed, the one that a larger `takes:` in the manifest would give it, and stays wanted for as
    long as its clip is in the manifest. What is there already is kept. Nothing is submitted here.
    """
    from batchgen.cli.retakes import cost_of, told_cost, under_names
    from batchgen.ledger import SqliteLedger
    from batchgen.planning import selection
    from batchgen.views.text import plural

    ledger = SqliteLedger(common.ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        known = list(ledger.clips())
        made = selection.rerolls(known, selection.named(known, clips), takes)
        made, tariff = under_names(ledger, manifest, made)
        fresh = ledger.reroll(made)
        sandbox = common.is_sandbox(ledger)
    finally:
        ledger.close()
    names = {clip.key: clip.wanted.name for clip in known}
    cost = cost_of(fresh, tariff)
    obj = {
        "schema_version": 1,
        "rerolled": [
            {"clip": take.name, "take": take.take, "reroll_of": names[take.reroll_of or ""]} for take in fresh
        ],
        **cost,
    }

    def text() -> str:
        following = common.command_line("run", manifest, folder, sandbox=sandbox)
        lines = [f"  {take.name}: another take of {names[take.reroll_of or '']}" for take in fresh]
        summary = f"{plural(len(fresh), 'further take')} wanted, {told_cost(cost)}. Next: {following}"
        return "\n".join([*lines, summary])

    common.answer(obj, text, as_json=as_json)
