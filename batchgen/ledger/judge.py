"""Which moves may be made: decided inside the transaction that writes them, by what the tables say.

Three rules. The fence: a clip is moved only by a caller who holds it as it is stored. The skips: a take that is not to
be made is not sent. The caps: a request is reserved only if it fits, by sums over what is stored.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from batchgen.billing.budget import NO_CAPS, Budget, BudgetChange, Cap, Caps, SetAside, changes_of, day_of, entries_of
from batchgen.clip import Clip, State
from batchgen.errors import BatchgenError
from batchgen.events import Event, SubmitStarted
from batchgen.ledger import schema, skips
from batchgen.ledger.base import FencedError, NoRoomError, SkippedError

#: What a move is fenced by: the state, and which request it is about.
Standing: TypeAlias = tuple[str, int, str | None]
_STANDING = (
    "SELECT c.id, c.state, c.n, r.request_id FROM clip c LEFT JOIN request r ON r.clip = c.id AND r.n = c.n "
    "WHERE c.id IN (SELECT value FROM json_each(?))"
)
IN_FLIGHT = "SELECT count(*) FROM clip WHERE state IN ('submitting', 'generating')"
_FLYING = frozenset({State.SUBMITTING, State.GENERATING})


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
    def reserves(self) -> bool:
        """True for an intent: what it reserves counts from the moment that it is asked for."""
        return isinstance(self.event, SubmitStarted)

    @property
    def sends(self) -> bool:
        """True for an intent that a request follows."""
        return self.reserves and self.set_aside is not None

    @property
    def written(self) -> schema.Write:
        """Give what goes into the tables."""
        return self.after, self.event, self.at, self.price_class


def move_of(before: Clip, after: Clip, event: Event, at: float, set_aside: SetAside | None = None) -> Move:
    """Make the move of a clip that an event has advanced."""
    price_class = after.wanted.price_class
    changes: tuple[BudgetChange, ...] = ()
    if before.request is not after.request:
        changes = changes_of(price_class, *entries_of(before.request, after.request))
    return Move(before, after, event, at, price_class, changes, set_aside)


class Judge:
    """Judges the moves of one transaction after the other.

    The sums are those of the tables: read from them when they are first needed, and again after a transaction that
    failed; in between they follow every move that was written.

    Args:
        read: adds up the tables, through the connection that writes.
    """

    def __init__(self, read: Callable[[], Budget]) -> None:
        self.caps: Caps = NO_CAPS
        self.ceiling: int | None = None  #: so many requests may be in flight; None: no limit
        self._read = read
        self._sums: Budget | None = None

    def forget(self) -> None:
        """Drop the sums: the transaction that they were moved in has failed."""
        self._sums = None

    def verdicts(self, db: sqlite3.Connection, moves: Sequence[Move]) -> list[BatchgenError | None]:
        """Say for each move, in order, why it may not be made; None: it may, and the sums and the fence count it."""
        if self._sums is None:
            self._sums = self._read()
        stored = _stored(db, (move.before.row for move in moves))
        skipped = skips.among(db, (move.before.key for move in moves if move.sends))
        limited = self.ceiling is not None and any(move.reserves for move in moves)
        flying = db.execute(IN_FLIGHT).fetchone()[0] if limited else 0
        verdicts: list[BatchgenError | None] = []
        for move in moves:
            verdict = self._verdict(move, stored, self._sums, flying)
            if verdict is None and move.sends and move.before.key in skipped:
                verdict = SkippedError(f"{move.before.wanted.name} is not made: another take of its prompt was picked")
            if verdict is None:
                stored[move.after.row] = standing(move.after)
                flying += (move.after.state in _FLYING) - (move.before.state in _FLYING)
                for change in move.changes:
                    self._sums.book(change)
            verdicts.append(verdict)
        return verdicts

    def _verdict(self, move: Move, stored: dict[int, Standing], sums: Budget, flying: int) -> BatchgenError | None:
        now = stored.get(move.before.row)
        if now != standing(move.before):
            is_now = f"already {now[0]}" if now else "gone"
            what = type(move.event).__name__
            return FencedError(f"clip {move.before.wanted.name} is {is_now}: {what} comes too late")
        cap = self._cap(move, sums, flying)
        return NoRoomError(cap) if cap else None

    def _cap(self, move: Move, sums: Budget, flying: int) -> Cap | None:
        event = move.event
        if not isinstance(event, SubmitStarted) or move.set_aside is None:
            return None
        if self.ceiling is not None and flying >= self.ceiling:
            return Cap.IN_FLIGHT
        sums.caps = self.caps
        return sums.barrier(event.reserved, day_of(event.at), move.set_aside)


def standing(clip: Clip) -> Standing:
    """Give what a clip is fenced by, as it is stored."""
    request = clip.request
    found = schema.storable_id(request.request_id) if request else None
    return str(clip.state), request.n if request else 0, found


def _stored(db: sqlite3.Connection, rows: Iterable[int]) -> dict[int, Standing]:
    return {row: (state, n, found) for row, state, n, found in db.execute(_STANDING, (json.dumps(list(rows)),))}
