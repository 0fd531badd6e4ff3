"""`batchgen export`: every request as a row, as CSV, JSON lines or Parquet. Reads the ledger, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import ledger_folder
from batchgen.cli.error_text import check_only
from batchgen.cli.options import folder_option, json_option, manifest_argument, only_option, sandbox_option
from batchgen.errors import UsageError
from batchgen.files.output_file import is_stream, written
from batchgen.selection import matches

if TYPE_CHECKING:
    from batchgen.views.export import Value

_FORMATS = ("csv", "jsonl", "parquet")


@click.command("export")
@manifest_argument
@folder_option
@sandbox_option
@click.option(
    "--format",
    "kind",
    envvar="BATCHGEN_FORMAT",
    type=click.Choice(_FORMATS),
    metavar="FORMAT",
    help="csv, jsonl or parquet. [default: by the ending of FILE]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Output file. [default: standard output]",
)
@only_option()
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@click.option("--urls", is_flag=True, help="Include the links of the files: they expire, and may be secret.")
@json_option
def export(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    kind: str | None,
    out: Path | None,
    only: str | None,
    force: bool,
    urls: bool,
    as_json: bool,
) -> None:
    """Write every request of the batch as a row of a table: clip, parameters, times, money, file.

    Works during a run. In CSV, a text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    from batchgen.ledger.reader import Reader
    from batchgen.review.picks import choices_of
    from batchgen.views import export as table
    from batchgen.views.text import plural

    kind = kind or _by_ending(out)
    _check(kind, out, force=force, as_json=as_json)
    reader = Reader(ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        for line in check_only(only, (clip.wanted for clip in reader.clips())) if only is not None else ():
            click.echo(line, err=True)
        chosen = (row for row in reader.requests() if matches(only, row[0].wanted.prompt_id, row[0].wanted.name))
        choices = {key: choice.as_json() for key, choice in choices_of(reader.folder).items()}
        counter = _Counter(table.rows(chosen, choices, urls=urls))
        if out is None:
            output.put_bytes(table.WRITERS[kind](table.columns(urls=urls), counter))
            return
        with written(out) as file:
            _write(kind, file, table.columns(urls=urls), counter)
    finally:
        reader.close()
    obj = {"schema_version": 1, "rows": counter.count, "format": kind, "file": str(out)}
    output.answer(obj, lambda: f"{plural(counter.count, 'request')} written to {out}.", as_json=as_json)


class _Counter:
    """Passes rows on and counts them."""

    def __init__(self, table: Iterable[list[Value]]) -> None:
        self._table = table
        self.count = 0

    def __iter__(self) -> Iterator[list[Value]]:
        for row in self._table:
            self.count += 1
            yield row


def _by_ending(out: Path | None) -> str:
    ending = out.suffix.removeprefix(".").lower() if out else ""
    return ending if ending in _FORMATS else "csv"


def _check(kind: str, out: Path | None, *, force: bool, as_json: bool) -> None:
    """Refuse before anything is written.

    Raises:
        UsageError: the options contradict each other, or a file would be overwritten.
    """
    if out is None and (kind == "parquet" or as_json):
        raise UsageError(f"{'Parquet' if kind == 'parquet' else '--json'} needs a file", tip="pass --out FILE")
    if out is not None and out.exists() and not (force or is_stream(out)):
        raise UsageError(f"{out} already exists", tip="name another file, or pass --force to overwrite it")


def _write(kind: str, file: BinaryIO, columns: Mapping[str, str], table: Iterable[list[Value]]) -> None:
    from batchgen.views.export import WRITERS, write_parquet

    if kind != "parquet":
        file.writelines(WRITERS[kind](columns, table))
        return
    try:
        write_parquet(file, columns, table)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("pyarrow"):
            raise
        tip = "install '.[parquet]' from the clone, or export csv or jsonl"
        raise UsageError("Parquet needs pyarrow, which is not installed", tip=tip) from None
