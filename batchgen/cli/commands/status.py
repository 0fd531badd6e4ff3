"""`batchgen status`: progress and problems of a batch. Reads the ledger, never the YAML: it answers at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.batch import ledger_folder
from batchgen.cli.error_text import error_object, status_fields
from batchgen.cli.options import folder_option, json_option, sandbox_option
from batchgen.errors import BatchgenError

if TYPE_CHECKING:
    from batchgen.ledger.reader import Reader


@click.command("status")
@click.argument("manifest", metavar="[MANIFEST]", required=False, shell_complete=candidates.batches)
@folder_option
@sandbox_option
@json_option
@click.option("-v", "--verbose", is_flag=True, help="Also what was measured: run times, status checks, rate limits.")
def status(manifest: str | None, folder: Path | None, *, sandbox: bool, as_json: bool, verbose: bool) -> None:
    """Show the progress of a batch: counts, money, what failed and why, and the next command.

    Works during a run. Without a manifest it lists every batch under jobs/.
    """
    if manifest is None and folder is None:
        _list_all(as_json=as_json, verbose=verbose)
        return
    output.CommandAnswer.current().describe = status_fields(manifest or "", folder, sandbox=sandbox, ran=True)
    _show(manifest, folder, sandbox=sandbox, as_json=as_json, verbose=verbose)


def _show(manifest: str | None, folder: Path | None, *, sandbox: bool, as_json: bool, verbose: bool) -> None:
    from batchgen.views.status import status_text

    where = ledger_folder(manifest or "", folder, sandbox=sandbox)
    obj = _object(where, manifest or where.name, ("--dir", str(folder)) if folder else (), verbose=verbose)
    output.answer(obj, lambda: status_text(obj, output.width(), ascii=output.plain_ascii()), as_json=as_json)


def _object(folder: Path, arg: str, options: Sequence[str] = (), *, verbose: bool) -> dict[str, Any]:
    from batchgen.ledger.lock import holder
    from batchgen.ledger.reader import Reader
    from batchgen.views.facts import facts_of
    from batchgen.views.status import status_object

    now = time.time()
    reader = Reader(folder)
    try:
        facts = facts_of(reader, arg, live=holder(folder) is not None, caps=reader.caps(), options=options)
        return status_object(facts, now=now) | (_learned(reader, now) if verbose else {})
    finally:
        reader.close()


def _learned(reader: Reader, now: float) -> dict[str, Any]:
    from batchgen.views.learned import learned_object
    from batchgen.views.learned_facts import learned_of

    return {"learned": learned_object(learned_of(reader, now))}


def _list_all(*, as_json: bool, verbose: bool) -> None:
    from batchgen.ledger.reader import FILE
    from batchgen.views.batches import batches_text

    found = sorted(path.parent for path in Path("jobs").glob(f"*/{FILE}"))
    batches = [(path.name.removesuffix(".sandbox"), _object_or_fault(path, verbose=verbose)) for path in found]
    output.answer(
        {"schema_version": 1, "batches": [obj for _, obj in batches]},
        lambda: batches_text(batches, output.width(), ascii=output.plain_ascii()),
        as_json=as_json,
    )


def _object_or_fault(folder: Path, *, verbose: bool) -> dict[str, Any]:
    """Give a batch's object; one that can't be read is no reason to hide the others."""
    name = folder.name.removesuffix(".sandbox")
    try:
        return _object(folder, name, verbose=verbose)
    except BatchgenError as error:
        return {"name": name, "error": error_object(error, error.exit_code)}
