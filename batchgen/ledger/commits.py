"""How moves of clips become durable: judged in the very transaction that writes them, many in one commit.

Three rules decide what may be written. The fence: a clip is moved only by a caller who holds it as it is stored. The
skips: a take that is not to be made is not sent. The caps: a request is reserved only if it fits, by sums over what is
stored. While a commit runs in the worker thread,
further moves gather for the next, and share one fsync.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

from batchgen.billing.budget import NO_CAPS, Budget, BudgetChange, Cap, Caps, SetAside, changes_of, day_of
from batchgen.clip import Clip, State
from batchgen.errors import BatchgenError, LedgerWriteError
from batchgen.events import Event, SubmitStarted
from batchgen.ledger import schema
from batchgen.ledger.base import FencedError, NoRoomError, SkippedError
from batchgen.ledger.integrity import Memory
from batchgen.ledger.journal import Journal
from batchgen.ledger.lock import Fence
from batchgen.ledger.reader import sums_of
from batchgen.ledger.wishes import skips

#: Where several moves came during a commit, so long is waited for more that share the next one (seconds): about as
#: long as a commit takes. PostgreSQL's `commit_delay` and `commit_siblings` do the same.
GATHER_S = 0.002
IN_FLIGHT = "SELECT count(*) FROM clip WHERE state IN ('submitting', 'generating')"
_FLYING = frozenset({State.SUBMITTING, State.GENERATING})
#: What a move is fenced by: the state, and which request it is about.
Standing: TypeAlias = tuple[str, int, object]
_STANDING = (
    "SELECT c.id, c.state, c.n, r.request_id FROM clip c LEFT JOIN request r ON r.clip = c.id AND r.n = c.n "
    "WHERE c.id IN (SELECT value FROM json_each(?))"
)


class Move(NamedTuple):
    """One event of one clip, on its way into the tables."""

    before: Clip  #: as the caller holds it
    after: Clip
    event: Event
    at: float  #: epoch seconds
    price_class: str
    changes: tuple[BudgetChange, ...]  #: what it changes in the sums
    set_aside: SetAside | None  #: for the clips that come before it; None: no cap applies

    @property
    def sends(self) -> bool:
        """True for an intent that a request follows."""
        return isinstance(self.event, SubmitStarted) and self.set_aside is not None


def move_of(before: Clip, after: Clip, event: Event, at: float, set_aside: SetAside | None = None) -> Move:
    """Make the move of a clip that an event has advanced."""
    price_class = after.wanted.price_class
    changes = changes_of(price_class, before.request, after.request)
    return Move(before, after, event, at, price_class, changes, set_aside)


def standing(clip: Clip) -> Standing:
    """Give what a clip is fenced by, as it is stored."""
    request = clip.request
    return str(clip.state), request.n if request else 0, schema.storable(request.request_id) if request else None


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
        ended: called with every move and its error or None, before its caller goes on.
        written: called with every move that is on disk, once all callers of the group can go on.
    """

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        fence: Fence,
        journal: Journal,
        *,
        ended: Ended,
        written: Callable[[Move], None],
    ) -> None:
        self.caps: Caps = NO_CAPS
        self.ceiling: int | None = None  #: so many requests may be in flight; None: no limit
        self.broken: LedgerWriteError | None = None  #: why nothing can be written any more
        self.memory: Memory | None = None  #: gets the number of the last event after its commit
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._path = path
        self._db = db
        self._fence = fence
        self._journal = journal
        self._ended = ended
        self._written = written
        self._sums: Budget | None = None  # of the tables; None: to be read from them
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

    # --- in the worker thread -------------------------------------------------------------------------------

    def write(self, moves: Sequence[Move]) -> list[BatchgenError | None]:
        """Write those of the moves that may be made, in one transaction; gives for each why not, or None.

        Raises:
            LedgerLostError: the ledger is not this run's any more; what was written is in nobody's.
        """
        try:
            with self._fence.transaction(self._db) as db:
                verdicts = self._verdicts(db, moves)
                made = [
                    (move.after, move.event, move.at, move.price_class)
                    for move, verdict in zip(moves, verdicts, strict=True)
                    if verdict is None
                ]
                last = schema.write(db, made) if made else 0
        except BaseException:
            self._sums = None  # they were moved on in a transaction that has failed
            raise
        if made:
            self._journal.write(made, last)
            if self.memory:
                self.memory.write(last)
            # Last: a run that began in an older copy since has read all this, and was refused; of one that began
            # before, the folder shows it. So no request follows an intent that another run does not know of.
            self._fence.check()
        return verdicts

    def _verdicts(self, db: sqlite3.Connection, moves: Sequence[Move]) -> list[BatchgenError | None]:
        """Say for each move, in order, why it may not be made; None: it may, and the sums and the fence count it."""
        if self._sums is None:
            self._sums = sums_of(db)
        sums = self._sums
        rows = db.execute(_STANDING, (json.dumps([move.before.row for move in moves]),))
        stored: dict[int, Standing] = {row: (state, n, found) for row, state, n, found in rows}
        limited = self.ceiling is not None and any(isinstance(move.event, SubmitStarted) for move in moves)
        flying = db.execute(IN_FLIGHT).fetchone()[0] if limited else 0
        skipped = skips(db) if any(move.sends for move in moves) else set()
        verdicts: list[BatchgenError | None] = []
        for move in moves:
            verdict: BatchgenError | None = None
            if (now := stored.get(move.before.row)) != standing(move.before):
                is_now = f"already {now[0]}" if now else "gone"
                what = f"{type(move.event).__name__} comes too late"
                verdict = FencedError(f"clip {move.before.wanted.name} is {is_now}: {what}")
            elif move.sends and move.before.key in skipped:
                verdict = SkippedError(f"{move.before.wanted.name} is not made: another take of its prompt was picked")
            elif cap := self._cap(move, sums, flying):
                verdict = NoRoomError(cap)
            else:
                stored[move.after.row] = standing(move.after)
                flying += (move.after.state in _FLYING) - (move.before.state in _FLYING)
                for change in move.changes:
                    sums.book(change)
            verdicts.append(verdict)
        return verdicts

    def _cap(self, move: Move, sums: Budget, flying: int) -> Cap | None:
        """Say what leaves no room for the request that a move is to send; None: nothing does."""
        event = move.event
        if not isinstance(event, SubmitStarted) or move.set_aside is None:
            return None
        if self.ceiling is not None and flying >= self.ceiling:
            return Cap.IN_FLIGHT
        sums.caps = self.caps
        return sums.barrier(event.reserved, day_of(event.at), move.set_aside)

    # --- on the loop ----------------------------------------------------------------------------------------

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
