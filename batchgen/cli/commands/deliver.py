"""`batchgen deliver`: the chosen clips under clean names, with files for the editor's program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import ledger_folder
from batchgen.cli.error_text import check_only
from batchgen.cli.options import folder_option, json_option, manifest_argument, only_option, sandbox_option
from batchgen.clip import State
from batchgen.errors import UsageError
from batchgen.selection import matches

if TYPE_CHECKING:
    from batchgen.clip import Clip
    from batchgen.handover.chosen import Select
    from batchgen.handover.folder import Delivered
    from batchgen.review.choice import Choice

_PROGRAMS = ("resolve", "premiere", "final-cut", "folder")


@click.command("deliver")
@manifest_argument
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--picks", is_flag=True, help="Deliver the picks. [default]")
@click.option(
    "--all", "everything", is_flag=True, envvar="BATCHGEN_ALL", help="Deliver every clip that is not rejected."
)
@click.option("--stars", type=click.IntRange(1, 5), metavar="N", help="Deliver clips of N stars or more.")
@only_option("Deliver only clips whose id or name matches, picked or not.", State.DONE)
@click.option(
    "--for",
    "programs",
    multiple=True,
    envvar="BATCHGEN_FOR",
    type=click.Choice(_PROGRAMS),
    metavar="PROGRAM",
    help="resolve, premiere, final-cut, or folder for the clips and lists alone. Repeatable. [default: all programs]",
)
@click.option(
    "--template", default="", metavar="TEMPLATE", help="Name of a file: {order:02d}_{name} unless you give one."
)
@click.option("--label", is_flag=True, help="Write into each copy that an AI made it (XMP).")
@click.option("--with-prompt", is_flag=True, help="Include prompts in the table, the label and the editors' files.")
@click.option("--zip", "as_zip", is_flag=True, envvar="BATCHGEN_ZIP", help="Write one zip file, DIR.zip.")
@folder_option
@sandbox_option
@json_option
def deliver(
    manifest: str,
    target: Path,
    *,
    picks: bool,
    everything: bool,
    stars: int | None,
    only: str | None,
    programs: tuple[str, ...],
    template: str,
    label: bool,
    with_prompt: bool,
    as_zip: bool,
    folder: Path | None,
    sandbox: bool,
    as_json: bool,
) -> None:
    """Hand the chosen clips over to whoever edits them: DIR gets the films, timelines, lists and a contact sheet.

    Films are hard links where possible, so that nothing is copied; the batch folder stays as it is. README.txt in DIR
    says which file to open in which program.
    """
    from batchgen.files.findings import KeptFindings
    from batchgen.handover.chosen import TEMPLATE, named
    from batchgen.handover.folder import Delivery, with_films
    from batchgen.handover.folder import deliver as write

    if sum((picks, everything, stars is not None, only is not None)) > 1:
        raise click.UsageError("pass one of --picks, --all, --stars and --only")
    where = ledger_folder(manifest, folder, sandbox=sandbox)
    selects, title = _chosen(where, everything=everything, stars=stars, only=only)
    editors = tuple(name for name in (programs or _PROGRAMS) if name != "folder")
    selects = named(with_films(selects) if editors else selects, template or TEMPLATE)
    order = Delivery(title, editors, label=label, with_prompt=with_prompt, as_zip=as_zip)
    done = write(selects, target, order, KeptFindings(where))
    clips = [{"clip": each.clip.wanted.name, "key": each.clip.key, "file": each.name} for each in selects]
    facts = {"path": str(done.path), "files": list(done.files), "copied": done.copied, "left_out": list(done.left_out)}
    obj = {"schema_version": 1, "clips": clips, **facts}
    output.answer(obj, lambda: _text(done, as_zip=as_zip), as_json=as_json)


def _chosen(where: Path, *, everything: bool, stars: int | None, only: str | None) -> tuple[list[Select], str]:
    """Give the clips that are meant, and the batch's name."""
    from batchgen.handover.chosen import choose
    from batchgen.ledger.reader import Reader
    from batchgen.review.picks import Picks

    with closing(Reader(where)) as reader, closing(Picks(where)) as picks:
        for line in check_only(only, (clip.wanted for clip in reader.clips())) if only is not None else ():
            click.echo(line, err=True)
        wish = _wish(everything=everything, stars=stars, only=only)
        selects = choose(reader.clips(), picks.all(), wish, where / "clips")
        title = reader.meta("name") or where.name
    if not selects:
        raise UsageError("there is no clip to deliver", tip=_tip(everything=everything, stars=stars, only=only))
    return selects, title


def _text(done: Delivered, *, as_zip: bool) -> str:
    from batchgen.views.text import plural

    links = "" if as_zip or done.copied else " (hard links: they take no space)"
    lines = [f"Delivered {plural(done.films, 'clip')} to {done.path}{links}.", "With " + ", ".join(done.files) + "."]
    return "\n".join([*lines, *done.left_out])


def _wish(*, everything: bool, stars: int | None, only: str | None) -> Callable[[Clip, Choice], bool]:
    """Say which clips are meant; what is rejected goes nowhere unless its name is asked for."""
    if only is not None:
        return lambda clip, choice: (
            matches(only, clip.wanted.prompt_id, clip.wanted.name) and choice.stars >= (stars or 0)
        )
    if stars is not None:
        return lambda _, choice: choice.pick >= 0 and choice.stars >= stars
    if everything:
        return lambda clip, choice: choice.pick >= 0 and not clip.unwanted
    return lambda _, choice: choice.pick > 0


def _tip(*, everything: bool, stars: int | None, only: str | None) -> str:
    if only is not None:
        return "none of these clips is finished yet: see `batchgen status`"
    if stars is not None:
        return "no finished clip has that many stars"
    if everything:
        return "no clip is finished yet"
    return "pick some with `batchgen review`, or with `batchgen picks NAME --set CLIP pick`; or pass --all"
