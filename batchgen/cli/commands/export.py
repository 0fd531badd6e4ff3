"""`batchgen export`: every request as a row, as CSV, JSON lines or Parquet. Reads the ledger, changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from batchgen.cli import common
from batchgen.errors import UsageError

if TYPE_CHECKING:
    from batchgen.views.export import Value

_FORMATS = ("csv", "jsonl", "parquet")


@click.command("export")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option(
    "--format",
    "kind",
    envvar="BATCHGEN_FORMAT",
    type=click.Choice(_FORMATS),
    metavar="csv|jsonl|parquet",
    help="[default: by FILE's ending, else csv]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to; without it, standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite a FILE that is there already.")
@click.option("--urls", is_flag=True, help="The files' links, too: they expire, and may hold a secret.")
@common.json_option
def export(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    kind: str | None,
    out: Path | None,
    force: bool,
    urls: bool,
    as_json: bool,
) -> None:
    """Write every request that was ever made as a row of a table: clip, parameters, times, money, file.

    Works beside a live run. In CSV, a text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    from batchgen.ledger.reader import Reader
    from batchgen.views import export as table
    from batchgen.views.text import plural

    kind = kind or _by_ending(out)
    _check(kind, out, force=force, as_json=as_json)
    reader = Reader(common.ledger_folder(manifest, folder, sandbox=sandbox))
    counter = _Counter(table.rows(reader.requests(), urls=urls))
    try:
        if out is None:
            _print(table.WRITERS[kind](table.columns(urls=urls), counter))
            return
        with _replacing(out) as part:
            _write(kind, part, table.columns(urls=urls), counter)
    finally:
        reader.close()
    obj = {"schema_version": 1, "rows": counter.count, "format": kind, "file": str(out)}
    common.answer(obj, lambda: f"{plural(counter.count, 'request')} written to {out}.", as_json=as_json)


class _Counter:
    """Passes rows on, and knows how many there were."""

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
        UsageError: what was asked for can't be, or would overwrite a file.
    """
    if out is None and (kind == "parquet" or as_json):
        raise UsageError(f"{'Parquet' if kind == 'parquet' else '--json'} goes with a file: say --out FILE")
    if out is not None and out.exists() and not force:
        raise UsageError(f"{out} is there already: name another file, or say --force")


def _print(pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _write(kind: str, path: Path, columns: Mapping[str, str], table: Iterable[list[Value]]) -> None:
    from batchgen.views.export import WRITERS

    if kind == "parquet":
        try:
            from batchgen.views.export import write_parquet
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("pyarrow"):
                raise
            message = "Parquet needs pyarrow: install '.[parquet]' from the clone, or export csv or jsonl"
            raise UsageError(message) from None
        write_parquet(path, columns, table)
        return
    with path.open("wb") as file:
        file.writelines(WRITERS[kind](columns, table))


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Write beside a file, and put it in its place only when it is whole.

    Raises:
        UsageError: it can't be written.
    """
    part = out.with_name(f".{out.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as error:
        raise UsageError(f"{out}: can't be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
