"""`batchgen picks`: what was chosen among the takes of a batch, and choosing from a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.batch import ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option

if TYPE_CHECKING:
    from batchgen.clip import ClipSummary

WORDS = {"pick": {"pick": 1}, "reject": {"pick": -1}, "clear": {"pick": 0}} | {
    str(stars): {"stars": stars} for stars in range(6)
}


@click.command("picks")
@manifest_argument
@click.option(
    "--set",
    "wish",
    nargs=2,
    envvar="BATCHGEN_SET",
    metavar="GLOB WORD",
    shell_complete=candidates.words(WORDS, candidates.clips_of(several=True)),
    help="Choose: pick, reject, clear, or 0 to 5 stars.",
)
@folder_option
@sandbox_option
@json_option
def picks(manifest: str, wish: tuple[str, str] | None, folder: Path | None, *, sandbox: bool, as_json: bool) -> None:
    """List what was picked, rejected and rated among the takes of a batch; with `--set`, choose.

    GLOB is a clip's file name or prompt id, or several with commas between them.
    """
    from batchgen.ledger import Reader
    from batchgen.review.lists import listed
    from batchgen.review.picks import choices_of
    from batchgen.views.text import plural

    where = ledger_folder(manifest, folder, sandbox=sandbox)
    with closing(Reader(where)) as reader:
        clips = list(reader.known())
    changed = _set(where, clips, *wish) if wish else 0
    rows = listed(clips, choices_of(where))

    def text() -> str:
        lines = [_line(row) for row in rows if row["pick"] or row["stars"] or row["note"] or row["tags"]]
        made = [row for row in rows if row["pick"] or row["state"] == "done"]
        counts = [sum(row["pick"] == value for row in made) for value in (1, -1, 0)]
        head = f"{counts[0]} picked, {counts[1]} rejected, {counts[2]} undecided"
        return "\n".join([*([f"{plural(changed, 'clip')} changed."] if wish else []), *lines, head])

    output.answer({"schema_version": 1, "changed": changed, "clips": rows}, text, as_json=as_json)


def _set(where: Path, clips: Sequence[ClipSummary], glob: str, word: str) -> int:
    """Set the choice about the clips that a glob names; gives how many changed. A listing alone writes nothing."""
    from batchgen.review.lists import chosen
    from batchgen.review.picks import Picks
    from batchgen.review.sidecars import write_choices

    changes, wanted = _changes(word), chosen(clips, glob)
    with closing(Picks(where)) as store:
        changed = sum(store.change(clip.key, changes) is not None for clip in wanted)
        write_choices(where, store.all())
    return changed


def _changes(word: str) -> dict[str, Any]:
    if word not in WORDS:
        raise click.UsageError(f"--set: {word!r} is none of {', '.join(WORDS)}")
    return dict(WORDS[word])


def _line(row: dict[str, Any]) -> str:
    from batchgen.views.text import one_line

    mark = {1: "✓", -1: "✗", 0: " "}[row["pick"]]
    more = [row["reason"], *row["tags"], row["note"]]
    return one_line(
        f"{mark} {'★' * row['stars']:<5} {row['clip']}  {'  '.join(each for each in more if each)}".rstrip()
    )
