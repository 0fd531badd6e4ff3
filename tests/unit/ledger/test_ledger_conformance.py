"""The SQLite ledger keeps every promise of the seam."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledger_conformance import NOON, LedgerConformance, Store, in_virtual_time

from batchgen.billing.budget import Budget, Caps
from batchgen.clip import Clip, Wanted
from batchgen.ledger import Ledger, Reader, SqliteLedger


class SqliteStore:
    """A batch folder; a killed process leaves what is on disk at that moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "0"
        self._lives = 0
        self._opened: list[SqliteLedger] = []

    def open(self, clips: Iterable[Wanted]) -> Ledger:
        ledger = SqliteLedger(self._folder, wall_clock=lambda: NOON)
        self._opened.append(ledger)
        ledger.sync(clips)
        return ledger

    def limit(self, ledger: Ledger, caps: Caps, in_flight: int | None = None) -> None:
        assert isinstance(ledger, SqliteLedger)
        ledger.set_limits(caps, in_flight)

    def unwant(self, ledger: Ledger, clips: Iterable[Wanted]) -> None:
        assert isinstance(ledger, SqliteLedger)
        ledger.sync(clips)

    def kill(self, ledger: Ledger) -> None:
        self._lives += 1
        copy = self._folder.with_name(str(self._lives))
        shutil.copytree(self._folder, copy, ignore=shutil.ignore_patterns("*-shm"))
        self.close()
        self._folder = copy

    def stored(self) -> dict[int, Clip]:
        with closing(Reader(self._folder)) as reader:
            return {clip.row: clip for clip in reader.clips()}

    def sums(self) -> Budget:
        with closing(Reader(self._folder)) as reader:
            return reader.budget()

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


class TestSqliteLedger(LedgerConformance):
    """See `ledger_conformance`."""

    @pytest.fixture
    def store(self, ram: Path) -> Iterator[Store]:
        """A batch in memory, where the machine has such a folder."""
        made = SqliteStore(ram)
        yield made
        made.close()

    @staticmethod
    def with_store(check: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        """Run a check on a new batch folder."""
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="batchgen-") as folder:
            store = SqliteStore(Path(folder))
            try:
                in_virtual_time(check(store))
            finally:
                store.close()
