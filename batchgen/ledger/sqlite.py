"""The ledger in a SQLite file: every clip, request, event and cent, durable when `record` returns.

One process writes it, under a lock. Moves are judged in the transaction that writes them, and many clips share one
commit (`commits`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from batchgen import failpoints
from batchgen.billing.budget import NOTHING_SET_ASIDE, Caps, SetAside
from batchgen.clip import SUBMISSION_ORDER, Clip, State, Wanted
from batchgen.errors import BatchgenError, LedgerError, LedgerLostError
from batchgen.events import AnswerLost, Event, Retried, SubmitStarted, Submitted
from batchgen.ledger import filesystem, integrity, schema, wishes
from batchgen.ledger.base import Home, Observer
from batchgen.ledger.commits import IN_FLIGHT, Commits, Move, move_of
from batchgen.ledger.journal import FACTS, SPILL, Journal, Spill
from batchgen.ledger.journal import FILE as LOG
from batchgen.ledger.lock import Fence, Lock
from batchgen.ledger.reader import FILE, Reader
from batchgen.ledger.wanted import add_takes, bring_up_to_date, take_out
from batchgen.ledger.wishes import QueuedWish
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
        self._lock = Lock(folder)
        opened = ExitStack()  # closed when a later step fails: nobody else can
        opened.callback(self._lock.release)
        try:
            journal = filesystem.journal(folder)
            self._fence = Fence(folder / FILE, self._lock)
            closed = integrity.check(folder)
            # Questions go through a connection of their own: on this one they would see, and wait for, half a commit.
            self._out = schema.connect(folder / FILE, writable=True, journal=journal)
            opened.callback(self._out.close)
            with schema.plain_errors(folder / FILE):
                failpoints.reach("tables.before")
                schema.prepare(self._out, folder / FILE)
                failpoints.reach("tables.after")
            super().__init__(folder, checked=True)
            opened.callback(super().close)
            self._fence.opened(self._db)
            with schema.plain_errors(folder):
                self._spill = Spill(folder / SPILL)
            opened.callback(self._spill.close)
            self._log = Journal(folder / LOG)
            if not closed:
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
        self._ids_kept = False
        self._answering: set[int] = set()  # rows whose intent this process wrote, and whose answer it awaits
        self._commits = Commits(self.path, self._out, self._fence, self._log, ended=self._ended, written=self._notify)

    def set_limits(self, caps: Caps, in_flight: int | None = None) -> None:
        """Say what the batch may spend, and how many requests may be in flight (None: any number), from now on."""
        self.money.caps = self._commits.caps = caps
        self._commits.ceiling = in_flight

    def keep_memory(self) -> None:
        """Keep the number of each event in the user's state folder, under the ledger's own id.

        Raises:
            LockedError: another run has this batch, or a copy of it in another folder.
        """
        batch_id = self.meta(integrity.BATCH_ID) or integrity.new_id()
        self.remember(integrity.BATCH_ID, batch_id)
        self._commits.memory = integrity.Memory(self.folder, batch_id, self.last_event())

    async def settle(self) -> None:
        """Wait until all that was recorded is on disk, or could not be written."""
        await self._commits.settle()

    def close(self) -> None:
        """Let go of the batch; after `settle`, nothing is left to write."""
        self._commits.thread.shutdown(wait=True)
        with suppress(sqlite3.Error):
            not_begun = f"{schema.SELECT_CLIP} WHERE c.reroll_of IS NOT NULL AND c.n = 0 AND c.id > ?"  # re-rolls
            rows = self._db.execute(not_begun, (self._newest,)).fetchall()
            self._log.append(("c", schema.described(schema.clip_of(row).wanted)) for row in rows)
        super().close()
        self._out.close()
        self._spill.close()
        self._log.close(None if self._commits.broken else self.path)
        if self._commits.memory:
            self._commits.memory.close()
        self._lock.release()

    def now(self) -> float:
        """Give epoch seconds in whole microseconds, so that memory and disk have the same."""
        return round(self._wall_clock() * 1e6) / 1e6

    # --- before a run ---------------------------------------------------------------------------------

    def bind(self, home: Home, *, moved: bool = False) -> None:
        """Write down whom the folder belongs to, or refuse a stranger.

        A run that ended before its first request binds nothing: until then, another key or URL is simply the new one.

        Raises:
            LedgerError: something was submitted for another manifest, origin or account; `moved`: that is meant.
        """
        bound = not moved and self._db.execute("SELECT 1 FROM request LIMIT 1").fetchone() is not None
        for name, value in (("manifest", home.manifest), ("origin", home.origin), ("account", home.account)):
            known = self.meta(name)
            if known is not None and known != value and bound:
                if name == "account":
                    raise LedgerError(
                        f"{self.folder} was started with another API key. Same account, new key? Pass --moved. "
                        "Another account? Choose another --dir"
                    )
                what = f"{self.folder} belongs to the {name} {known}, not {value}"
                raise LedgerError(f"{what}; choose another --dir, or pass --moved if it is the same batch")
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
        with schema.plain_errors(self.path), self._fence.transaction(self._out) as db:
            db.executemany("DELETE FROM meta WHERE k=?", ((key,) for key, value in facts.items() if value is None))
            kept = [(key, value) for key, value in facts.items() if value is not None]
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", kept)
        self._log.append(("f", key, value) for key, value in kept if key in FACTS)

    def sync(self, wanted: Iterable[Wanted]) -> int:
        """Bring the stored clips in line with what the manifest wants; return the number of new clips.

        Clips that are no longer wanted are flagged; only those that were never sent are deleted. Names go to those who
        ask for them now (`wanted.assign`); this is also the record of the moves of files that are to follow.
        """
        with schema.plain_errors(self.path), self._fence.transaction(self._out) as db:
            count = bring_up_to_date(db, wanted)
        self.live_totals = self.totals()
        return count

    def reroll(self, takes: Iterable[Wanted], instead_of: Iterable[str] = ()) -> list[Wanted]:
        """Add takes that the manifest does not list, while no run is at work; see `fulfil`."""
        fresh, _ = self._add_takes(QueuedWish(takes=list(takes), instead_of=list(instead_of)), None)
        self.live_totals = self.totals()
        return fresh

    async def fulfil(self, wish: QueuedWish, fact: str | None = None) -> tuple[list[Wanted], list[int]]:
        """Add the takes of a wish and queue again what it names, as far as both still stand, during a run.

        Takes are wanted for as long as the manifest has the clip of their `reroll_of`. What they replace is no longer
        wanted, and stays in the bill.

        Args:
            wish: what the user asked for.
            fact: the name of a wish that was queued, which ends with this; None: it came directly.

        Returns:
            The takes that are new, under the names they got; and the rows of all clips that are pending by it.
        """
        keys = {*wish.retry}
        again = [clip for clip in self.clips(State.FAILED, State.BLOCKED) if clip.key in keys]
        rows = [(await self.record(clip, Retried())).row for clip in again]
        loop = asyncio.get_running_loop()
        fresh, replaced = await loop.run_in_executor(self._commits.thread, self._add_takes, wish, fact)
        for state in replaced:  # not read from the file again: a commit may be on its way
            self.live_totals.counts[state] -= 1
            self.live_totals.unwanted += 1
        self.live_totals.counts[State.PENDING] += len(fresh)
        if (skipped := self.meta(wishes.SKIPPED)) is not None:  # it may be what was written with this wish
            self._log.append([("f", wishes.SKIPPED, skipped)])
        known = self.rows()
        keys_now = [*(take.key for take in fresh), *(key for key in wish.again if key in known)]
        return fresh, [*rows, *(known[key] for key in keys_now)]

    def _add_takes(self, wish: QueuedWish, fact: str | None) -> tuple[list[Wanted], list[State]]:
        with schema.plain_errors(self.path), self._fence.transaction(self._out) as db:
            return add_takes(db, wish, fact)

    def undo_rerolls(self, keys: Iterable[str]) -> list[Clip]:
        """Take out further takes that were never sent, and want again what they replaced; return those taken out."""
        asked, never_sent = {*keys}, (clip for clip in self.clips(State.PENDING) if clip.request is None)
        gone = [clip for clip in never_sent if clip.key in asked and clip.wanted.reroll_of is not None]
        with schema.plain_errors(self.path), self._fence.transaction(self._out) as db:
            take_out(db, gone)
        self.live_totals = self.totals()
        # The log has them as wanted: said again without their root, they are no wish for `recover` either.
        self._log.append(("c", schema.described(replace(clip.wanted, reroll_of=None))) for clip in gone)
        return gone

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

    # --- a run's questions ----------------------------------------------------------------------------

    async def claim(self, row: int) -> Clip | None:
        """Become the carrier of a clip; None when there is nothing to carry (see `base.Ledger`)."""
        clip = self.clip(row)
        if clip.state is State.SUBMITTING and row not in self._answering:
            await self.record(clip, AnswerLost(CUT_OFF))
            return None
        idle = clip.state.settled or clip.state is State.SUBMITTING
        if clip.state is State.PENDING:
            idle = clip.unwanted or clip.key in wishes.skips(self._db)
        return None if idle else clip

    async def read(self, row: int) -> Clip:
        """Give a clip as it is on disk."""
        return self.clip(row)

    async def open_clips(self, *states: State) -> list[Clip]:
        """Give the clips in these states, the oldest request first."""
        return list(self.clips(*states))

    async def to_collect(self) -> list[int]:
        """Give the rows of clips that are generating or wait for their download, the oldest request first."""
        query = (
            "SELECT c.id FROM clip c JOIN request r ON r.clip=c.id AND r.n=c.n "
            "WHERE c.state IN ('generating','downloading') ORDER BY coalesce(r.submitted_at, r.intent_at)"
        )
        return [row for (row,) in self._db.execute(query)]

    async def to_submit(self) -> list[tuple[int, str, str]]:
        """Give the wanted clips to submit as (row, prompt id, name), in the order of submission."""
        query = (
            "SELECT id, prompt_id, name FROM clip WHERE state='pending' AND wanted=1 "  # noqa: S608
            f"AND key NOT IN {wishes.SKIPPED_KEYS} ORDER BY {SUBMISSION_ORDER}"
        )
        return self._db.execute(query).fetchall()

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
            "SELECT min(id), count(*) FROM clip WHERE state='pending' AND wanted=1 "  # noqa: S608
            f"AND key NOT IN {wishes.SKIPPED_KEYS} "
            "GROUP BY model, json_extract(params, '$.size'), json_extract(params, '$.duration')"
        )
        return self._db.execute(query).fetchall()

    # --- the one way to change a clip -----------------------------------------------------------------

    async def record(self, clip: Clip, event: Event, *, set_aside: SetAside | None = NOTHING_SET_ASIDE) -> Clip:
        """Advance the clip and return it when the event is on disk; judged in that write (see `base.Ledger`)."""
        move = move_of(clip, advance(clip, event), event, self.now(), set_aside)
        if self._commits.broken:
            self._keep_id(move)
            raise self._commits.broken
        if isinstance(event, SubmitStarted):  # the mirror shows what is reserved, whether it is on disk yet or not
            for change in move.changes:
                self.money.book(change)
        await self._commits.add(move)
        return move.after

    def _ended(self, move: Move, error: BaseException | None) -> None:
        """Bring the mirrors in line with what became of a move."""
        reserves = isinstance(move.event, SubmitStarted)  # what it reserves counted as soon as it was asked for
        if error is not None:
            for change in move.changes if reserves else ():
                self.money.book(change.reversed)
            self._keep_id(move)
            if isinstance(error, LedgerLostError) and not error.there:
                self._keep_ids()
            return
        before, after = move.before, move.after
        if not after.unwanted:
            self.live_totals.counts[before.state] -= 1
            self.live_totals.counts[after.state] += 1
        if reserves:
            self._answering.add(after.row)
        else:
            self._answering.discard(after.row)
            for change in move.changes:
                self.money.book(change)

    def _keep_id(self, move: Move) -> None:
        """Keep a request id that was not written: it may be all that is known of something paid for."""
        if isinstance(move.event, Submitted):
            self._spill_id(move.before, move.event.request_id, move.event.at)

    def _keep_ids(self) -> None:
        """Keep all ids in flight, once: the file that has them is gone, and this connection can still read it."""
        if self._ids_kept:
            return
        self._ids_kept = True
        with suppress(BatchgenError, sqlite3.Error):
            for clip in self.clips(State.GENERATING, State.DOWNLOADING):
                if clip.request and clip.request.request_id:
                    self._spill_id(clip, clip.request.request_id, clip.request.intent_at)

    def _spill_id(self, clip: Clip, request_id: str, at: float) -> None:
        where = "it is kept in ledger.spill"
        try:
            self._spill.add(clip.key, request_id, at)
        except OSError:
            where = "it could be written to no file: write it down"
        log.critical("PAID: clip %s has the request id %s; %s", clip.wanted.name, request_id, where)

    def _notify(self, move: Move) -> None:
        for observer in self.observers:
            try:
                observer(move.after, move.event)
            except Exception:  # a view's fault must not stop the run
                log.exception("an observer failed")
