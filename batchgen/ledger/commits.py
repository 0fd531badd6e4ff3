"""Group commit: while a commit runs in the worker thread, moves gather for the next, and share one fsync."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias

from batchgen.errors import BatchgenError, LedgerWriteError
from batchgen.ledger import schema
from batchgen.ledger.evidence import Memory
from batchgen.ledger.journal import Journal
from batchgen.ledger.judge import Judge, Move
from batchgen.ledger.lock import Fence

#: Where several moves came during a commit, so long is waited for more that share the next one (seconds): about as
#: long as a commit takes. PostgreSQL's `commit_delay` and `commit_siblings` do the same.
GATHER_S = 0.002
#: Called on the loop when the fate of a move is known: None is on disk, an error says why not.
Ended: TypeAlias = Callable[[Move, BaseException | None], None]
_Gathered: TypeAlias = list[tuple[Move, asyncio.Future[None]]]


class Commits:
    """Writes moves, as many at once as have gathered. After one failed write nothing more is taken.

    Args:
        path: of the ledger, for messages.
        db: the connection that writes; used by one thread at a time.
        fence: of the run that holds the ledger.
        journal: gets every event after its commit.
        judge: decides in the transaction which moves may be made.
        ended: called with every move and its error or None, before its caller goes on.
        written: called with every move that is on disk, once all callers of the group can go on.
    """

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        fence: Fence,
        journal: Journal,
        judge: Judge,
        *,
        ended: Ended,
        written: Callable[[Move], None],
    ) -> None:
        self.broken: LedgerWriteError | None = None  #: why nothing can be written any more
        self.memory: Memory | None = None  #: gets the number of the last event after its commit
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._path = path
        self._db = db
        self._fence = fence
        self._journal = journal
        self._judge = judge
        self._ended = ended
        self._written = written
        self._gathered: _Gathered = []
        self._running: asyncio.Future[list[BatchgenError | None]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, move: Move) -> None:
        """Return when the move is on disk; raises what kept it from being written."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append((move, durable))
        if self._running is None and self._timer is None:
            self._start()
        await durable

    async def settle(self) -> None:
        """Wait until all that was added is on disk, or could not be written."""
        while self._running or self._timer:
            if self._running is None:
                self._start()
            else:
                await asyncio.wait([self._running])

    def write(self, moves: Sequence[Move]) -> list[BatchgenError | None]:
        """Write those of the moves that may be made, in one transaction; gives for each why not, or None."""
        try:
            with self._fence.transaction(self._db) as db:
                verdicts = self._judge.verdicts(db, moves)
                made = [move.written for move, verdict in zip(moves, verdicts, strict=True) if verdict is None]
                last = schema.write(db, made) if made else 0
        except BaseException:
            self._judge.forget()
            raise
        if made:
            self._journal.write(made, last)
            if self.memory:
                self.memory.write(last)
        return verdicts

    # --- inside ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group, self._gathered = self._gathered, []
        moves = [move for move, _ in group]
        self._running = asyncio.get_running_loop().run_in_executor(self.thread, self.write, moves)
        self._running.add_done_callback(partial(self._committed, group))

    def _committed(self, group: _Gathered, done: asyncio.Future[list[BatchgenError | None]]) -> None:
        self._running = None
        verdicts: Sequence[BaseException | None]
        if (error := done.exception()) is None:
            verdicts = done.result()
        else:
            if isinstance(error, sqlite3.Error):
                error = LedgerWriteError(str(schema.unwritable(self._path, error)))
            if isinstance(error, LedgerWriteError):
                self.broken = error
            verdicts = [error] * len(group)
        for (move, durable), verdict in zip(group, verdicts, strict=True):
            self._ended(move, verdict)
            if not durable.done():
                durable.set_exception(verdict) if verdict else durable.set_result(None)
        if len(self._gathered) > 1:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._start)
        elif self._gathered:
            self._start()
        for (move, _), verdict in zip(group, verdicts, strict=True):
            if verdict is None:
                self._written(move)
