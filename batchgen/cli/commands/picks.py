"""`batchgen picks`: what was chosen among the takes of a batch, choosing from a terminal, and a client's answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.answers import import_answers
from batchgen.cli.batch import ledger_folder
from batchgen.cli.options import folder_option, json_option, sandbox_option

if TYPE_CHECKING:
    from batchgen.clip import ClipSummary

WORDS = {"pick": {"pick": 1}, "reject": {"pick": -1}, "clear": {"pick": 0}} | {
    str(stars): {"stars": stars} for stars in range(6)
}
_IMPORT = "import"


@click.command("picks")
@click.argument("manifest", metavar="[MANIFEST]", shell_complete=candidates.batches)
@click.argument("words", metavar="[import FILE...]", nargs=-1, type=click.Path())
@click.option(
    "--set",
    "wish",
    nargs=2,
    envvar="BATCHGEN_SET",
    metavar="GLOB WORD",
    shell_complete=candidates.words(WORDS, candidates.clips_of(several=True)),
    help="Choose: pick, reject, clear, or 0 to 5 stars.",
)
@click.option("--overwrite", is_flag=True, help="With import: answers replace choices that differ from them.")
@folder_option
@sandbox_option
@json_option
def picks(
    manifest: str,
    words: tuple[str, ...],
    wish: tuple[str, str] | None,
    folder: Path | None,
    *,
    overwrite: bool,
    sandbox: bool,
    as_json: bool,
) -> None:
    """List what was picked, rejected and rated among the takes of a batch; with `--set`, choose.

    GLOB is a clip's file name or prompt id, or several with commas between them.

    `batchgen picks import FILE` takes in what a client sent back (`batchgen help report`). It finds the batch under
    jobs/; elsewhere name it: `batchgen picks NAME import FILE`. Your own choices stay as they are.
    """
    name, files = _read_words(manifest, words)
    if files:
        if wish:
            raise click.UsageError("--set does not go with import")
        where = None if name is None and folder is None else ledger_folder(name or "", folder, sandbox=sandbox)
        import_answers(where, files, overwrite=overwrite, as_json=as_json)
        return
    if overwrite:
        raise click.UsageError("--overwrite goes with import FILE")
    _list(ledger_folder(manifest, folder, sandbox=sandbox), wish, as_json=as_json)


def _read_words(manifest: str, words: tuple[str, ...]) -> tuple[str | None, list[Path]]:
    """Give the batch that is named, if one is, and the files to import.

    Raises:
        click.UsageError: the words say something else.
    """
    if words and words[0] != _IMPORT and manifest == _IMPORT:
        return None, [Path(word) for word in words]
    if words and words[0] == _IMPORT and len(words) > 1:
        return manifest, [Path(word) for word in words[1:]]
    if words:
        raise click.UsageError("write `batchgen picks NAME`, or `batchgen picks [NAME] import FILE`")
    return manifest, []


def _list(where: Path, wish: tuple[str, str] | None, *, as_json: bool) -> None:
    from batchgen.ledger import Reader
    from batchgen.review.answers import conflict
    from batchgen.review.lists import listed
    from batchgen.review.picks import choices_of
    from batchgen.views.text import plural

    with closing(Reader(where)) as reader:
        clips = list(reader.known())
    changed = _set(where, clips, *wish) if wish else 0
    choices = choices_of(where)
    rows = listed(clips, choices)
    differing = {key for key, choice in choices.items() if conflict(choice)}

    def text() -> str:
        shown = (row for row in rows if any(row[name] for name in ("pick", "stars", "note", "tags", "answers")))
        lines = [line for row in shown for line in _lines(row, differs=row["key"] in differing)]
        made = [row for row in rows if row["pick"] or row["state"] == "done"]
        counts = [sum(row["pick"] == value for row in made) for value in (1, -1, 0)]
        head = f"{counts[0]} picked, {counts[1]} rejected, {counts[2]} undecided"
        if differing:
            head += f"; {plural(len(differing), 'clip')} about which reviewers differ (≠)"
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


def _lines(row: dict[str, Any], *, differs: bool) -> list[str]:
    """Write a clip's choice, and below it what each reviewer answered."""
    from batchgen.views.text import one_line

    more = "  ".join(each for each in (row["reason"], *row["tags"], row["note"]) if each)
    said = f"{row['clip']}{' ≠' if differs else ''}  {more}".rstrip()
    return [f"{_mark(row)} {one_line(said)}", *map(_answer, row["answers"])]


def _answer(answer: dict[str, Any]) -> str:
    from batchgen.views.text import one_line

    return f"    {_mark(answer)} {one_line(answer['by'])}  {one_line(answer['note'])}".rstrip()


def _mark(row: dict[str, Any]) -> str:
    return f"{ {1: '✓', -1: '✗', 0: ' '}[row['pick']] } {'★' * row['stars']:<5}"
