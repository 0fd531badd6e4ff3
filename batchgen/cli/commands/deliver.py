"""`batchgen deliver`: the chosen clips under clean names, with files for the editor's program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option
from batchgen.cli.selects import ClipChoice, select_options, selected, zip_option

if TYPE_CHECKING:
    from batchgen.handover.folder import Delivered

_PROGRAMS = ("resolve", "premiere", "final-cut", "folder")


@click.command("deliver")
@manifest_argument
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@select_options()
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
@zip_option()
@folder_option
@sandbox_option
@json_option
def deliver(
    manifest: str,
    target: Path,
    *,
    programs: tuple[str, ...],
    template: str,
    label: bool,
    with_prompt: bool,
    as_zip: bool,
    folder: Path | None,
    sandbox: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - of `select_options`
) -> None:
    """Hand the chosen clips over to whoever edits them: DIR gets the films, timelines, lists and a contact sheet.

    Films are hard links where possible, so that nothing is copied; the batch folder stays as it is. README.txt in DIR
    says which file to open in which program.
    """
    from batchgen.files.findings import KeptFindings
    from batchgen.handover.chosen import TEMPLATE, named
    from batchgen.handover.folder import Delivery, with_films
    from batchgen.handover.folder import deliver as write

    selection = ClipChoice.of(given)
    where = ledger_folder(manifest, folder, sandbox=sandbox)
    selects, title = selected(where, selection)
    editors = tuple(name for name in (programs or _PROGRAMS) if name != "folder")
    selects = named(with_films(selects) if editors else selects, template or TEMPLATE)
    order = Delivery(title, editors, label=label, with_prompt=with_prompt, as_zip=as_zip)
    done = write(selects, target, order, KeptFindings(where))
    clips = [{"clip": each.clip.wanted.name, "key": each.clip.key, "file": each.name} for each in selects]
    facts = {"path": str(done.path), "files": list(done.files), "copied": done.copied, "left_out": list(done.left_out)}
    obj = {"schema_version": 1, "clips": clips, **facts}
    output.answer(obj, lambda: _text(done, as_zip=as_zip), as_json=as_json)


def _text(done: Delivered, *, as_zip: bool) -> str:
    from batchgen.views.text import plural

    links = "" if as_zip or done.copied else " (hard links: they take no space)"
    lines = [f"Delivered {plural(done.films, 'clip')} to {done.path}{links}.", "With " + ", ".join(done.files) + "."]
    return "\n".join([*lines, *done.left_out])
