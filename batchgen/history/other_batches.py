"""The other batches of this machine: which requests of the account are theirs. Reads their ledgers, changes nothing."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchgen.errors import BatchgenError
from batchgen.ledger import FILE, Reader

log = logging.getLogger("batchgen.history.other_batches")


def request_ids(folder: Path, parents: Iterable[Path]) -> set[str]:
    """Give the request ids of the batches of the same account and origin that lie in some folders.

    Args:
        folder: the batch folder that asks; it is no sibling of its own.
        parents: folders that are searched for batch folders, as in `jobs/`.

    A ledger that can't be read is left out, with a warning.
    """
    ours = _home(folder)
    found: set[str] = set()
    for other in batches(folder, parents):
        try:
            found |= _ids(other, ours)
        except (BatchgenError, sqlite3.Error, OSError) as error:
            log.warning("%s can't be read: its requests may be taken for this batch's (%s)", other, error)
    return found


def batches(folder: Path, parents: Iterable[Path]) -> Iterator[Path]:
    """Give the folders with a ledger that lie in some folders, but for one; resolved and sorted."""
    own = folder.resolve()
    ledgers = {path.resolve().parent for place in parents for path in place.glob(f"*/{FILE}")}
    yield from sorted(ledgers - {own})


def _ids(folder: Path, ours: tuple[str | None, str | None]) -> set[str]:
    reader = Reader(folder)
    try:
        return reader.request_ids() if _home_of(reader) == ours else set()
    finally:
        reader.close()


def _home(folder: Path) -> tuple[str | None, str | None]:
    reader = Reader(folder)
    try:
        return _home_of(reader)
    finally:
        reader.close()


def _home_of(reader: Reader) -> tuple[str | None, str | None]:
    return reader.meta("origin"), reader.meta("account")
