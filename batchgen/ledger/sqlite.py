"""The ledger in a SQLite file: every clip, request, event and cent, durable when `record` returns.

One process writes it, under a lock. Moves are judged in the transaction that writes them (`judge`), and many clips
share one commit (`commits`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from batchgen import failpoints
from batchgen.billing.budget import NOTHING_SET_ASIDE, BudgetChange, Caps, SetAside
from batchgen.clip import Clip, State, Wanted
from batchgen.errors import LedgerError, LedgerWriteError
from batchgen.events import AnswerLost, Event, Submitted
from batchgen.ledger import filesystem, integrity, lock, names, schema
from batchgen.ledger.base import Home, Observer
from batchgen.ledger.commits import Commits, transaction
from batchgen.ledger.journal import FILE as LOG
from batchgen.ledger.journal import Journal
from batchgen.ledger.judge import IN_FLIGHT, Judge, Move, move_of
from batchgen.ledger.reader import FILE, Reader, sums_of
from batchgen.ledger.spill import Spill
from batchgen.states import advance

log = logging.getLogger("batchgen.ledger")

#: Why a clip is in doubt whose submission nobody awaits any more.
CUT_OFF = "the run ended during its submission"


class SqliteLedger(Reader):
    """The one writer of a batch's state file; a lock keeps every other writer out until `close`.

    Args:
        folder: the batch folder; made if it is missing.
        wall_clock: gives epoch seconds (UTC), so that the time of a sleeping machine counts.

    Raises:
        LockedError: another run has the batch; the message says which.
        LedgerError: the file is no ledger of ours, damaged, or newer than we are.
    """

    def __init__(self, folder: Path, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._lock = lock.take(folder)
        opened = ExitStack()  # closed when a later step fails: nobody else can
        opened.callback(lock.release, self._lock, folder)
        try:
            journal = filesystem.journal(folder)
            mark = integrity.check(folder)
            clean = integrity.untouched(folder, mark)
            # Questions go through a connection of their own: on this one they would see, and wait for, half a commit.
            self._out = schema.connect(folder / FILE, writable=True, journal=journal)
            opened.callback(self._out.close)
            with schema.plain_errors(folder / FILE):
                failpoints.reach("tables.before")
                schema.prepare(self._out, folder / FILE)
                failpoints.reach("tables.after")
            super().__init__(folder)
            opened.callback(super().close)
            with schema.plain_errors(folder):
                self._spill = Spill(folder / integrity.SPILL)
            opened.callback(self._spill.close)
            self._log = Journal(folder / LOG)
            if not clean:
                self._log.catch_up(self._db)
            self._newest = self._db.execute("SELECT max(id) FROM clip").fetchone()[0] or 0
            self.live_totals = self.totals()
            self.money = self.budget()
        except BaseException as error:
            opened.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise schema.damaged(folder / FILE, error) from error
            raise
        self._wall_clock = wall_clock
        self.observers: list[Observer] = []
        self._answering: set[int] = set()  # rows whose intent this process wrote, and whose answer it awaits
        self._judge = Judge(partial(sums_of, self._out))
        self._commits = Commits(self.path, self._out, self._log, self._judge, ended=self._ended, written=self._notify)

    def set_limits(self, caps: Caps, in_flight: int | None = None) -> None:
        """Say what the batch may spend, and how many requests may be in flight (None: any number), from now on."""
        self.money.caps = self._judge.caps = caps
        self._judge.ceiling = in_flight

    async def settle(self) -> None:
        """Wait until all that was recorded is on disk, or could not be written."""
        await self._commits.settle()

    def close(self) -> None:
        """Let go of the batch; after `settle`, nothing is left to write."""
        self._commits.thread.shutdown(wait=True)
        with suppress(sqlite3.Error):
            self._log.wanted(schema.described(clip.wanted) for clip in self._wished_since(self._newest))
        super().close()
        self._out.close()
        self._spill.close()
        self._log.close(self.path)
        lock.release(self._lock, self.folder)

    def now(self) -> float:
        """Give epoch seconds in whole microseconds, so that memory and disk have the same."""
        return round(self._wall_clock() * 1e6) / 1e6

    # --- before a run ---------------------------------------------------------------------------------

    def bind(self, home: Home, *, moved: bool = False) -> None:
        """Write down whom the folder belongs to, or refuse a stranger.

        Raises:
            LedgerError: it belongs to another manifest, origin or account; `moved` says that this is meant.
        """
        for name, value in (("manifest", home.manifest), ("origin", home.origin), ("account", home.account)):
            known = self.meta(name)
            if known is not None and known != value and not moved:
                what = "another API key" if name == "account" else f"the {name} {known}, not {value}"
                message = f"{self.folder} belongs to {what}"
                raise LedgerError(f"{message}; choose another --dir, or pass --moved if it is the same batch")
            if known != value:
                self.remember(name, value)

    def remember(self, key: str, value: str) -> None:
        """Keep one fact of the batch while no run is at work: a run's commits have a thread (`set_facts`)."""
        if self.meta(key) != value:
            self._put({key: value})

    async def set_facts(self, facts: Mapping[str, str | None]) -> None:
        """Write facts in one transaction, on disk when this returns; None deletes one."""
        changed = {key: value for key, value in facts.items() if self.meta(key) != value}
        if changed:
            await asyncio.get_running_loop().run_in_executor(self._commits.thread, self._put, changed)

    def _put(self, facts: Mapping[str, str | None]) -> None:
        with schema.plain_errors(self.path), transaction(self._out) as db:
            db.executemany("DELETE FROM meta WHERE k=?", ((key,) for key, value in facts.items() if value is None))
            kept = [(key, value) for key, value in facts.items() if value is not None]
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", kept)
        for key, value in kept:
            self._log.fact(key, value)

    def sync(self, wanted: Iterable[Wanted]) -> int:
        """Bring the stored clips in line with what the manifest wants; return the number of new clips.

        Clips that are no longer wanted are flagged; only those that were never sent are deleted. Names go to those who
        ask for them now (`names.assign`); this is also the record of the moves of files that are to follow.
        """
        with schema.plain_errors(self.path), transaction(self._out) as db:
            known = db.execute(schema.SELECT_WISHES).fetchall()
            ids = {key: prompt_id for key, _, _, _, _, prompt_id, *_ in known}
            fresh = {clip.key: clip for clip in names.with_known_ids(wanted, ids)}
            asked = {key: clip.name for key, clip in fresh.items()}
            # In memory, and only what differs is written: a manifest of 100,000 clips that is as it was writes nothing.
            changes = []
            for key, row, _, reroll_of, *before, replaced in known:
                clip = fresh.pop(key, None)
                # Re-rolls are wanted for as long as their root is.
                wish = int(not replaced and (clip is not None or reroll_of in asked))
                after = [wish, *(_editable(clip) if clip else before[1:])]
                if after != before:
                    changes.append((*after, row))
            db.executemany(schema.UPDATE_WISHES, changes)
            db.execute("DELETE FROM clip WHERE wanted = 0 AND state = 'pending' AND n = 0")
            named = asked if asked == {key: name for key, _, name, *_ in known} else _renamed(db, asked)
            db.executemany(schema.INSERT_CLIP, (schema.wanted_row(clip, named[key]) for key, clip in fresh.items()))
        self.live_totals = self.totals()
        return len(fresh)

    def reroll(self, takes: Iterable[Wanted], instead_of: Iterable[str] = ()) -> list[Wanted]:
        """Add takes that the manifest does not list; return those that are new, under the names they got.

        They are wanted for as long as the manifest has the clip of their `reroll_of`. `instead_of` are the keys of
        failed and blocked clips that they replace: these are no longer wanted, and stay in the bill.
        """
        with schema.plain_errors(self.path), transaction(self._out) as db:
            known = {key for (key,) in db.execute("SELECT key FROM clip")}
            taken = {name.casefold() for (name,) in db.execute("SELECT name FROM clip")}
            fresh = [replace(take, name=names.free_name(take, taken)) for take in takes if take.key not in known]
            db.executemany(schema.INSERT_CLIP, (schema.wanted_row(take, take.name) for take in fresh))
            db.executemany(schema.MARK_REPLACED, ((key,) for key in instead_of))
            db.execute(schema.UNWANT_REPLACED)
        self.live_totals = self.totals()
        return fresh

    def recover(self) -> int:
        """Finish what an earlier run left open: request ids of the spill file are written, intents are unconfirmed.

        Returns how many clips are unconfirmed by it.
        """
        with schema.plain_errors(self.folder):
            for key, request_id, at in self._spill.entries():
                row = self._db.execute(f"{schema.SELECT_CLIP} WHERE c.key=?", (key,)).fetchone()
                clip = schema.clip_of(row) if row else None
                if clip and clip.state in (State.SUBMITTING, State.UNCONFIRMED) and not clip.request_id:
                    self.write_now([(clip, Submitted(request_id, at))])
            self._spill.clear()
            cut_off = list(self.clips(State.SUBMITTING))
            self.write_now((clip, AnswerLost(CUT_OFF)) for clip in cut_off)
        return len(cut_off)

    def write_now(self, steps: Iterable[tuple[Clip, Event]]) -> list[Clip]:
        """Advance clips in one transaction while no run is at work; return them as they are then, in this order."""
        now = self.now()
        moves = [move_of(clip, advance(clip, event), event, now) for clip, event in steps]
        if not moves:
            return []
        with schema.plain_errors(self.path):
            errors = self._commits.write(moves)
        if error := next(filter(None, errors), None):
            raise error
        for move in moves:
            self._ended(move, None)
            self._notify(move)
        return [move.after for move in moves]

    def _wished_since(self, row: int) -> Iterator[Clip]:
        """Clips that only the ledger wants (re-rolls), newer than a row, to which nothing has happened yet."""
        query = f"{schema.SELECT_CLIP} WHERE c.reroll_of IS NOT NULL AND c.n = 0 AND c.id > ?"
        return (schema.clip_of(found) for found in self._db.execute(query, (row,)).fetchall())

    # --- a run's questions ----------------------------------------------------------------------------

    async def claim(self, row: int) -> Clip | None:
        """Become the carrier of a clip; None when there is nothing to carry (see `base.Ledger`)."""
        clip = self.clip(row)
        if clip.state is State.SUBMITTING and row not in self._answering:
            await self.record(clip, AnswerLost(CUT_OFF))
            return None
        idle = clip.state.settled or clip.state is State.SUBMITTING or (clip.unwanted and clip.state is State.PENDING)
        return None if idle else clip

    async def read(self, row: int) -> Clip:
        """Give a clip as it is on disk."""
        return self.clip(row)

    async def open_clips(self, *states: State) -> list[Clip]:
        """Give the clips in these states, the oldest request first."""
        return list(self.clips(*states))

    async def to_collect(self) -> list[int]:
        """Give the rows of clips that are generating or wait for their download, the oldest request first."""
        return self.paid()

    async def to_submit(self) -> list[tuple[int, str, str]]:
        """Give the wanted clips to submit as (row, prompt id, name), in the order of submission."""
        return self.pending()

    async def in_flight(self) -> int:
        """Count the requests that were sent and have not ended."""
        return int(self._db.execute(IN_FLIGHT).fetchone()[0])

    async def known_ids(self) -> set[str]:
        """Give every request id that some clip has."""
        return self.request_ids()

    async def expected_ids(self, model: str, since: float, until: float) -> set[str]:
        """Give the ids of requests that were made in a time and charged: a complete history shows them."""
        query = (
            "SELECT r.request_id FROM request r JOIN clip c ON c.id = r.clip WHERE r.outcome = 'charged' "
            "AND r.request_id IS NOT NULL AND c.model = ? AND r.submitted_at BETWEEN ? AND ?"
        )
        return {found for (found,) in self._db.execute(query, (model, since, until))}

    async def failures_charged(self, model: str) -> int:
        """Add up what requests for a model that FAILED were charged all the same, in micro-dollars."""
        return self.charged_failures().get(model, (0, 0))[1]

    async def count_by_price_class(self) -> list[tuple[int, int]]:
        """Group the clips to submit by what their price depends on: (row of one of them, how many)."""
        query = (
            "SELECT min(id), count(*) FROM clip WHERE state='pending' AND wanted=1 "
            "GROUP BY model, json_extract(params, '$.size'), json_extract(params, '$.duration')"
        )
        return self._db.execute(query).fetchall()

    # --- the one way to change a clip -----------------------------------------------------------------

    async def record(self, clip: Clip, event: Event, *, set_aside: SetAside | None = NOTHING_SET_ASIDE) -> Clip:
        """Advance the clip and return it when the event is on disk; judged in that write (see `base.Ledger`)."""
        move = move_of(clip, advance(clip, event), event, self.now(), set_aside)
        if self.broken:
            self._keep_id(move)
            raise LedgerWriteError(self.broken)
        if move.reserves:  # the next one who reads the mirror must see it, whether it is on disk yet or not
            self._book(move.changes)
        await self._commits.add(move)
        return move.after

    @property
    def broken(self) -> str:
        """Why nothing can be written any more; empty as long as all is well."""
        return self._commits.broken

    def _ended(self, move: Move, error: BaseException | None) -> None:
        """Bring the mirrors in line with what became of a move."""
        if error is not None:
            if move.reserves:
                self._book(change.reversed for change in move.changes)
            self._keep_id(move)
            return
        self._count(move)
        if not move.reserves:
            self._book(move.changes)

    def _book(self, changes: Iterable[BudgetChange]) -> None:
        for change in changes:
            self.money.book(change)

    def _count(self, move: Move) -> None:
        """Count a move that is on disk."""
        before, after = move.before, move.after
        if not after.unwanted:
            self.live_totals.counts[before.state] -= 1
            self.live_totals.counts[after.state] += 1
        (self._answering.add if move.reserves else self._answering.discard)(after.row)

    def _keep_id(self, move: Move) -> None:
        """Keep a request id that was not written: it may be all that is known of something paid for."""
        clip, event = move.before, move.event
        if isinstance(event, Submitted):
            name = clip.wanted.name
            log.critical("PAID: clip %s has the request id %s; it is kept in ledger.spill", name, event.request_id)
            with suppress(OSError):  # it is on the screen at least
                self._spill.add(clip.key, event.request_id, event.at)

    def _notify(self, move: Move) -> None:
        for observer in self.observers:
            try:
                observer(move.after, move.event)
            except Exception:  # a view's fault must not stop the run
                log.exception("an observer failed")


def _renamed(db: sqlite3.Connection, asked: Mapping[str, str]) -> dict[str, str]:
    """Give the clips of the tables the names that they have now; return those of the clips asked for, too, by key."""
    held = db.execute("SELECT key, name, wanted, id FROM clip ORDER BY id").fetchall()
    named = names.assign(asked, (names.Holder(key, name, bool(wanted)) for key, name, wanted, _ in held))
    changed = [(named[key], row) for key, name, _, row in held if named[key] != name]
    db.executemany(schema.UNNAME, ((row,) for _, row in changed))
    db.executemany(schema.RENAME, changed)
    return named


def _editable(clip: Wanted) -> tuple[object, ...]:
    """Give what an edit of the manifest may change of a clip that stays the same."""
    return clip.prompt_id, clip.take, clip.order, clip.priority, clip.audio_file, clip.label
