"""`batchgen reroll`: queue extra takes of prompts, with new seeds; the next run, or the one in progress, makes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.batch import command_line, is_sandbox, ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option, yes_option
from batchgen.errors import LockedError, UsageError

if TYPE_CHECKING:
    from batchgen.ledger import Reader, SqliteLedger


@click.command("reroll")
@manifest_argument
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True, shell_complete=candidates.clips_of(several=True))
@folder_option
@sandbox_option
@click.option(
    "--takes",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="Extra takes of each prompt.",
)
@click.option("--undo", is_flag=True, help="Take out extra takes that were not submitted yet.")
@yes_option
@json_option
def reroll(
    manifest: str,
    clips: tuple[str, ...],
    folder: Path | None,
    *,
    sandbox: bool,
    takes: int,
    undo: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Queue extra takes of prompts, named by their ids, file names or globs. `run` generates (and pays for) them.

    Each take has a new seed, the one that a larger `takes:` in the manifest would give it, and belongs to the batch
    as long as its prompt is in the manifest. Existing files are kept. Nothing is submitted here; a run in progress
    takes them up. Asks above 10 clips or $5.
    """
    from batchgen.cli import retakes

    with retakes.open_batch(ledger_folder(manifest, folder, sandbox=sandbox)) as ledger:
        sandbox = is_sandbox(ledger)
        following = command_line("run", manifest, folder, sandbox=sandbox)
        if undo:
            _undo(ledger, clips, as_json=as_json)
        else:
            _reroll(ledger, manifest, clips, takes, following, yes=yes, as_json=as_json)


def _reroll(
    ledger: Reader, arg: str, words: tuple[str, ...], takes: int, following: str, *, yes: bool, as_json: bool
) -> None:
    from batchgen.cli import retakes
    from batchgen.ledger import SqliteLedger
    from batchgen.ledger.wishes import QueuedWish
    from batchgen.planning.retakes import named, one_of_each_prompt, rerolls
    from batchgen.views.text import plural

    known = list(ledger.clips())
    chosen = one_of_each_prompt(named(known, words, by_prompt=True))
    made = rerolls(retakes.with_queued(ledger), chosen, takes)
    made, tariff = retakes.under_names(ledger, arg, made)
    cost = retakes.cost_of(made, tariff)
    retakes.agree(cost, len(made), yes=yes, sandbox=is_sandbox(ledger))
    fresh = retakes.carry_out(ledger, QueuedWish(takes=made))
    live = not isinstance(ledger, SqliteLedger)
    names = {clip.key: clip.wanted.name for clip in known}
    rows = [{"clip": take.name, "take": take.take, "reroll_of": names[take.reroll_of or ""]} for take in fresh]

    def text() -> str:
        lines = [f"  {row['clip']}: another take of {row['reroll_of']}" for row in rows]
        counted = f"Queued {plural(len(rows), 'extra take')} of {plural(len(chosen), 'prompt')}"
        ending = retakes.BESIDE_A_RUN if live else f"Next: {following}"
        return "\n".join([*retakes.shortened(lines), f"{counted}, {retakes.cost_text(cost)}.", ending])

    output.answer({"schema_version": 1, "rerolled": rows, "queued": live, **cost}, text, as_json=as_json)


def _undo(ledger: SqliteLedger | Reader, words: tuple[str, ...], *, as_json: bool) -> None:
    """Take out what was not submitted; what was is named, since it is paid for.

    Raises:
        LockedError: a run is in progress, and may be submitting them. UsageError: the words mean no extra take.
    """
    from batchgen.cli import retakes
    from batchgen.ledger import SqliteLedger
    from batchgen.planning.retakes import named
    from batchgen.views.text import plural

    if not isinstance(ledger, SqliteLedger):
        raise LockedError("a run is in progress, and may be submitting them: stop it first, then --undo")
    extra = [clip for clip in named(ledger.clips(), words, by_prompt=True) if clip.wanted.reroll_of]
    if not extra:
        raise UsageError(f"no extra take is called {' '.join(words)}: nothing to undo")
    gone = {clip.key for clip in ledger.undo_rerolls(clip.key for clip in extra)}
    kept = [clip for clip in extra if clip.key not in gone]
    obj: dict[str, Any] = {
        "schema_version": 1,
        "undone": [clip.wanted.name for clip in extra if clip.key in gone],
        "kept": [{"clip": clip.wanted.name, "state": str(clip.state)} for clip in kept],
    }

    def text() -> str:
        lines = [f"  {row['clip']} was submitted already: it is {row['state']}" for row in obj["kept"]]
        return "\n".join([*retakes.shortened(lines), f"Took out {plural(len(gone), 'extra take')}."])

    output.answer(obj, text, as_json=as_json)
