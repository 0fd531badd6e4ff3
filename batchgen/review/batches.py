"""The batches that a server shows: those it was started for, or every one of a folder, later ones too."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from batchgen.errors import BatchgenError
from batchgen.ledger.reader import FILE
from batchgen.review.picks import Picks
from batchgen.review.state import BatchState

#: Gives the batch folders that there are now, by the names that the page shows.
Found: TypeAlias = Callable[[], Mapping[str, Path]]


def every_one_in(jobs: Path) -> Found:
    """Give every batch below a folder, by the name of its own folder; a sandbox batch is `NAME.sandbox`."""
    return lambda: {path.parent.name: path.parent.absolute() for path in sorted(jobs.glob(f"*/{FILE}"))}


class Batches:
    """Opens each batch when it is first asked for; for any thread.

    Args:
        found: gives the folders.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self._open: dict[str, BatchState] = {}
        self._mutex = threading.Lock()

    def names(self) -> list[str]:
        """Name the batches that there are now."""
        return list(self._found())

    def summaries(self) -> list[dict[str, Any]]:
        """Give a line for each batch; one that can't be read has an `error` instead of its counts."""
        return [self._summary(name) for name in self.names()]

    def _summary(self, name: str) -> dict[str, Any]:
        try:
            return self.get(name).summary()
        except (BatchgenError, KeyError, OSError, sqlite3.Error) as error:
            return {"name": name, "error": str(error)}

    def get(self, name: str) -> BatchState:
        """Give one.

        Raises:
            KeyError: there is none of this name.
            UsageError: its choices can't be read or kept.
        """
        with self._mutex:
            if name not in self._open:
                folder = self._found()[name]
                self._open[name] = BatchState(name, folder, Picks(folder, "page"))
            return self._open[name]

    def save(self) -> None:
        """Write snapshots and sidecars of the choices that changed; what can't be written is for the next time."""
        for state in self._all_open():
            with suppress(OSError, BatchgenError, sqlite3.Error):
                state.save()

    def close(self) -> None:
        """Do the same once more, and let go of all logs."""
        self.save()
        for state in self._all_open():
            with suppress(OSError, BatchgenError):
                state.picks.close()

    def _all_open(self) -> list[BatchState]:
        with self._mutex:
            return list(self._open.values())
