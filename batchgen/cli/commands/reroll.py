"""`batchgen reroll`: queue extra takes of clips, with new seeds; the next run generates them."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line, is_sandbox, ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option


@click.command("reroll")
@manifest_argument
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True)
@folder_option
@sandbox_option
@click.option(
    "--takes", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N", help="Extra takes of each clip."
)
@json_option
def reroll(
    manifest: str, clips: tuple[str, ...], folder: Path | None, *, sandbox: bool, takes: int, as_json: bool
) -> None:
    """Queue extra takes of clips, named by their file names or globs. `run` generates (and pays for) them.

    Each take has a new seed, the one that a larger `takes:` in the manifest would give it, and belongs to the batch
    as long as its clip is in the manifest. Existing files are kept. Nothing is submitted here.
    """
    from batchgen.cli.retakes import cost_of, cost_text, under_names
    from batchgen.ledger import SqliteLedger
    from batchgen.planning import retakes
    from batchgen.views.text import plural

    ledger = SqliteLedger(ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        known = list(ledger.clips())
        made = retakes.rerolls(known, retakes.named(known, clips), takes)
        made, tariff = under_names(ledger, manifest, made)
        fresh = ledger.reroll(made)
        sandbox = is_sandbox(ledger)
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
        following = command_line("run", manifest, folder, sandbox=sandbox)
        lines = [f"  {take.name}: another take of {names[take.reroll_of or '']}" for take in fresh]
        summary = f"Queued {plural(len(fresh), 'extra take')}, {cost_text(cost)}."
        return "\n".join([*lines, summary, f"Next: {following}"])

    output.answer(obj, text, as_json=as_json)
