"""The other batches of this machine: which requests of the account are theirs. Reads their ledgers, changes nothing."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeAlias

from batchgen.errors import BatchgenError
from batchgen.ledger import FILE, SANDBOX_ORIGIN, Reader
from batchgen.ledger.integrity import BATCH_ID

log = logging.getLogger("batchgen.history.other_batches")

_Home: TypeAlias = list[str | None]


def request_ids(folder: Path, parents: Iterable[Path]) -> set[str]:
    """Give the request ids of the batches of the same account and origin that lie in some folders.

    Args:
        folder: the batch folder that asks; it is no sibling of its own.
        parents: folders that are searched for batch folders, as in `jobs/`.

    A ledger that can't be read is left out, with a warning; so is a copy of the batch that asks: its requests are ours.
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


def of_manifest(manifest: Path, folder: Path, parents: Iterable[Path]) -> Path | None:
    """Find a paid batch of a manifest in another folder than its own, where one was moved to, or begun by `--dir`."""
    for other in batches(folder, parents):
        with suppress(BatchgenError, sqlite3.Error, OSError), closing(Reader(other)) as reader:
            known = reader.meta("manifest")
            if known and (other / known).resolve() == manifest.resolve() and reader.meta("origin") != SANDBOX_ORIGIN:
                return other
    return None


def _ids(folder: Path, ours: _Home) -> set[str]:
    with closing(Reader(folder)) as reader:
        *home, batch_id = _home_of(reader)
        return reader.request_ids() if home == ours[:2] and (not batch_id or batch_id != ours[2]) else set()


def _home(folder: Path) -> _Home:
    with closing(Reader(folder)) as reader:
        return _home_of(reader)


def _home_of(reader: Reader) -> _Home:
    return [reader.meta(name) for name in ("origin", "account", BATCH_ID)]
