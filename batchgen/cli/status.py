"""`batchgen status`: how a batch stands. Reads the ledger, never the YAML, so it answers at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import rich_click as click

from batchgen.cli import common
from batchgen.errors import BatchgenError


@click.command("status")
@click.argument("manifest", metavar="[MANIFEST]", required=False)
@common.folder_option
@common.sandbox_option
@common.json_option
def status(manifest: str | None, folder: Path | None, *, sandbox: bool, as_json: bool) -> None:
    """Show how a batch stands: counts, money, what failed and why, and what to type next.

    Works beside a live run. Without a manifest it lists every batch under jobs/.
    """
    from batchgen.cli.facts import facts_of_folder
    from batchgen.views.status import status_object

    if manifest is None and folder is None:
        _list_all(as_json=as_json)
        return
    try:
        _show(manifest, folder, sandbox=sandbox, as_json=as_json)
    except BatchgenError as error:
        if as_json:
            facts = facts_of_folder(None, manifest or str(folder), stopped=str(error))
            common.put(common.json_text(status_object(facts, now=time.time())))
        raise


def _show(manifest: str | None, folder: Path | None, *, sandbox: bool, as_json: bool) -> None:
    from batchgen.views.status import status_object, status_text

    where = common.ledger_folder(manifest or "", folder, sandbox=sandbox)
    obj = status_object(
        _facts(where, manifest or where.name, ("--dir", str(folder)) if folder else ()), now=time.time()
    )
    common.answer(obj, lambda: status_text(obj, common.width(), ascii=common.plain_ascii()), as_json=as_json)


def _facts(folder: Path, arg: str, options: Sequence[str] = ()):  # type: ignore[no-untyped-def] # noqa: ANN202 - imported late
    from batchgen.cli.facts import facts_of
    from batchgen.ledger.lock import holder
    from batchgen.ledger.reader import Reader

    reader = Reader(folder)
    try:
        return facts_of(reader, arg, live=holder(folder) is not None, caps=reader.caps(), options=options)
    finally:
        reader.close()


def _list_all(*, as_json: bool) -> None:
    from batchgen.ledger.reader import FILE
    from batchgen.views.status import status_object, status_text

    found = sorted(path.parent for path in Path("jobs").glob(f"*/{FILE}"))
    objects = [status_object(_facts(folder, folder.name.removesuffix(".sandbox")), now=time.time()) for folder in found]
    if as_json:
        common.put(common.json_text({"schema_version": 1, "batches": objects}))
        return
    if not found:
        click.echo("No batch has run yet under jobs/. `batchgen init NAME` writes a manifest to start from.")
    for obj in objects:
        click.echo(status_text(obj, common.width(), ascii=common.plain_ascii()) + "\n")
