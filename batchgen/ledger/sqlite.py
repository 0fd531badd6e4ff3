"""The one writer of the state file: every clip, request, event and cent, durable when `record` returns.

`record` advances a clip with no `await` between the check and the change. Many clips share one commit:
while a commit runs in the worker thread, events gather for the next.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from batchgen import failpoints
from batchgen.billing.budget import entry_of
from batchgen.clip import Clip, State, Wanted, free_name
from batchgen.errors import IllegalEventError, LedgerError, LedgerWriteError
from batchgen.events import AnswerLost, Event, Submitted
from batchgen.ledger import filesystem, integrity, lock, schema
from batchgen.ledger.journal import FILE as LOG
from batchgen.ledger.journal import Journal
from batchgen.ledger.reader import FILE, Reader
from batchgen.ledger.spill import Spill
from batchgen.states import advance

log = logging.getLogger("batchgen.ledger")

#: Where several events came during a commit, so long is waited for more that share the next one (seconds): about as
#: long as a commit takes. PostgreSQL's `commit_delay` and `commit_siblings` do the same.
GATHER_S = 0.002
#: Called after an event is on disk, with the clip as it is then.
Observer: TypeAlias = Callable[[Clip, Event], None]
_Write: TypeAlias = tuple[Clip, Event, float, str]


@dataclass(frozen=True, slots=True)
class Home:
    """Whom a batch folder belongs to: one manifest, one origin, one account."""

    manifest: str
    origin: str
    account: str


class Ledger(Reader):
    """The one writer of a batch's state file, held by a lock for its life.

    Args:
        folder: the batch folder; made if it is missing.
        wall_clock: epoch seconds, UTC; by the wall, so that a sleeping machine's time counts.

    Raises:
        LockedError: another run holds the batch; the message says who.
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
            with schema.telling(folder / FILE):
                failpoints.reach("tables.before")
                schema.prepare(self._out, folder / FILE)
                failpoints.reach("tables.after")
            super().__init__(folder)
            opened.callback(super().close)
            with schema.telling(folder):
                self._spill = Spill(folder / integrity.SPILL)
            opened.callback(self._spill.close)
            self._log = Journal(folder / LOG)
            if not clean:
                self._log.catch_up(self._db)
            self._newest = self._db.execute("SELECT max(id) FROM clip").fetchone()[0] or 0
            self.live_totals = self.totals()
            self.money = self.wall()
        except BaseException as error:
            opened.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise schema.damaged(folder / FILE, error) from error
            raise
        self._wall_clock = wall_clock
        self.observers: list[Observer] = []
        self.broken: str = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._live: dict[int, Clip] = {}
        self._gathered: list[tuple[_Write, asyncio.Future[None]]] = []
        self._commit_runs: asyncio.Future[None] | None = None
        self._gathers: asyncio.TimerHandle | None = None

    async def settle(self) -> None:
        """Wait until all that was recorded is on disk, or could not be written."""
        while self._commit_runs or self._gathers:
            if self._commit_runs is None:
                self._start_commit()
            else:
                await asyncio.wait([self._commit_runs])

    def close(self) -> None:
        """Let go of the batch; after `settle`, nothing is left to write."""
        self._thread.shutdown(wait=True)
        with suppress(sqlite3.Error):
            self._log.wanted(schema.described(clip.wanted) for clip in self._wished_since(self._newest))
        super().close()
        self._out.close()
        self._spill.close()
        self._log.close(self.path)
        lock.release(self._lock, self.folder)

    def now(self) -> float:
        """Epoch seconds by the wall, in whole microseconds: what is in memory and on disk is the same."""
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
                raise LedgerError(f"{message}; choose another --dir, or say --moved if it is the same batch")
            if known != value:
                self.remember(name, value)

    def remember(self, key: str, value: str) -> None:
        """Keep one fact of the batch; before a run only, whose commits have a thread of their own (`note`)."""
        if self.meta(key) != value:
            self._put(key, value)

    async def note(self, key: str, value: str) -> None:
        """Keep one fact of the batch while a run is at work; on disk when this returns."""
        if self.meta(key) != value:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._put, key, value)

    def _put(self, key: str, value: str) -> None:
        with schema.telling(self.path), self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))
        self._log.fact(key, value)

    async def keep(self, kind: str, facts: Mapping[int, str]) -> None:
        """Remember facts of a kind, by the clips' rows, in place of those of before; on disk when this returns."""

        def replace_all() -> None:
            with schema.telling(self.path), self._transaction() as db:
                db.execute("DELETE FROM meta WHERE k > ? AND k < ?", (f"{kind}:", f"{kind};"))
                rows = ((f"{kind}:{row}", text) for row, text in facts.items())
                db.executemany("INSERT INTO meta VALUES (?,?)", rows)

        # The commits' own thread: one transaction at a time on this connection.
        await asyncio.get_running_loop().run_in_executor(self._thread, replace_all)

    def sync(self, wanted: Iterable[Wanted]) -> int:
        """Hold what is wanted against what is known; returns the number of new clips.

        Clips that are no longer wanted are flagged; only those that were never sent are forgotten.
        """
        fresh = {clip.key: clip for clip in wanted}
        keys = frozenset(fresh)
        with schema.telling(self.path), self._transaction() as db:
            # In memory, and only what differs is written: a manifest of 100,000 clips that is as it was writes nothing.
            changes = []
            for key, row, reroll_of, *before, replaced in db.execute(schema.SELECT_WISHES):
                clip = fresh.pop(key, None)
                # Re-rolls are wanted for as long as their root is.
                wish = int(not replaced and (clip is not None or reroll_of in keys))
                after = [wish, *(_told_of(clip) if clip else before[1:])]
                if after != before:
                    changes.append((*after, row))
            db.executemany(schema.UPDATE_WISHES, changes)
            db.execute("DELETE FROM clip WHERE wanted = 0 AND state = 'pending' AND n = 0")
            if fresh:
                taken = {name.casefold() for (name,) in db.execute("SELECT name FROM clip")}
                rows = (schema.wanted_row(clip, free_name(clip, taken)) for clip in fresh.values())
                db.executemany(schema.INSERT_CLIP, rows)
        self.live_totals = self.totals()
        return len(fresh)

    def reroll(self, takes: Iterable[Wanted], instead_of: Iterable[str] = ()) -> list[Wanted]:
        """Want further takes beside what the manifest says; gives those that are new, under the names they got.

        They are wanted for as long as the manifest has the clip of their `reroll_of`. `instead_of` are the keys of
        failed and blocked clips whose place they take: these are no longer wanted, and stay in the bill.
        """
        with schema.telling(self.path), self._transaction() as db:
            known = {key for (key,) in db.execute("SELECT key FROM clip")}
            taken = {name.casefold() for (name,) in db.execute("SELECT name FROM clip")}
            fresh = [replace(take, name=free_name(take, taken)) for take in takes if take.key not in known]
            db.executemany(schema.INSERT_CLIP, (schema.wanted_row(take, take.name) for take in fresh))
            db.executemany(schema.MARK_REPLACED, ((key,) for key in instead_of))
            db.execute(schema.UNWANT_REPLACED)
        self._live.clear()
        self.live_totals = self.totals()
        return fresh

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all that happens inside, or nothing of it, whatever goes wrong."""
        self._out.execute("BEGIN IMMEDIATE")
        try:
            yield self._out
            failpoints.reach("commit.before")
            self._out.execute("COMMIT")
            failpoints.reach("commit.after")
        except BaseException:
            with suppress(sqlite3.Error):
                self._out.execute("ROLLBACK")
            raise

    def recover(self) -> int:
        """Settle what an earlier run left half said; returns how many clips are in doubt by it."""
        with schema.telling(self.folder):
            for key, request_id, at in self._spill.entries():
                row = self._db.execute(f"{schema.SELECT_CLIP} WHERE c.key=?", (key,)).fetchone()
                clip = schema.clip_of(row) if row else None
                if clip and clip.state in (State.SUBMITTING, State.UNCONFIRMED) and not clip.request_id:
                    self._write_now(clip, Submitted(request_id, at))
            self._spill.clear()
            cut_off = list(self.clips(State.SUBMITTING))
            for clip in cut_off:
                self._write_now(clip, AnswerLost("the run ended while its submission was on the way"))
        return len(cut_off)

    def _write_now(self, clip: Clip, event: Event) -> None:
        after, write = self._apply(clip, event)
        self._commit([write])
        self._live.pop(after.row, None)
        self._tell(after, event)

    def _wished_since(self, row: int) -> Iterator[Clip]:
        """Clips that only the ledger wants (re-rolls), newer than a row, to which nothing has happened yet."""
        query = f"{schema.SELECT_CLIP} WHERE c.reroll_of IS NOT NULL AND c.n = 0 AND c.id > ?"
        return (schema.clip_of(found) for found in self._db.execute(query, (row,)).fetchall())

    # --- the run's questions --------------------------------------------------------------------------

    def paid(self) -> list[int]:
        """Rows of clips that are being generated or wait for their download, the oldest first."""
        query = (
            "SELECT c.id FROM clip c JOIN request r ON r.clip=c.id AND r.n=c.n "
            "WHERE c.state IN ('generating','downloading') ORDER BY coalesce(r.submitted_at, r.intent_at)"
        )
        return [row for (row,) in self._db.execute(query)]

    def pending(self) -> list[tuple[int, str, str]]:
        """Wanted clips to submit as (row, prompt id, name): first takes first, then priority, then order."""
        query = (
            "SELECT id, prompt_id, name FROM clip WHERE state='pending' AND wanted=1 ORDER BY take, priority DESC, ord"
        )
        return self._db.execute(query).fetchall()

    def clip(self, row: int) -> Clip:
        """Give a clip as it is now."""
        return self._live.get(row) or self._live.setdefault(row, self.on_disk(row))

    def load(self, rows: Iterable[int]) -> None:
        """Take some clips in mind in one question to the disk; `clip` gives them at once then."""
        new = [row for row in rows if row not in self._live]
        query = f"{schema.SELECT_CLIP} WHERE c.id IN (SELECT value FROM json_each(?))"  # noqa: S608
        with schema.telling(self.path):
            clips = map(schema.clip_of, self._db.execute(query, (json.dumps(new),)).fetchall())
            self._live.update((clip.row, clip) for clip in clips)

    def on_disk(self, row: int) -> Clip:
        """Give a clip as it is on disk, without keeping it in mind."""
        with schema.telling(self.path):
            found = self._db.execute(f"{schema.SELECT_CLIP} WHERE c.id=?", (row,)).fetchone()
        if found is None:
            raise schema.damaged(self.path, f"its clip {row} is gone")
        return schema.clip_of(found)

    # --- the one way to change a clip -----------------------------------------------------------------

    async def record(self, clip: Clip, event: Event) -> Clip:
        """Advance the clip and return it when the event is on disk.

        Raises:
            IllegalEventError: the clip has no such arrow, or is no longer what the caller holds.
            LedgerWriteError: the event could not be written; a request id was kept in the spill file.
        """
        if self.broken:
            self._save_id(clip, event)
            raise LedgerWriteError(self.broken)
        after, write = self._apply(clip, event)
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append((write, durable))
        if self._commit_runs is None and self._gathers is None:
            self._start_commit()
        await durable
        if after.state.settled:
            self._live.pop(after.row, None)
        return after

    def _apply(self, clip: Clip, event: Event) -> tuple[Clip, _Write]:
        held = self.clip(clip.row)
        if held is not clip and _standing(held) != _standing(clip):
            what = type(event).__name__
            raise IllegalEventError(f"clip {clip.wanted.name} is {held.state} by now: {what} comes too late")
        after = advance(clip, event)
        price_class = after.wanted.price_class
        self._book(clip, after, price_class)
        self._live[clip.row] = after
        return after, (after, event, self.now(), price_class)

    def _book(self, before: Clip, after: Clip, price_class: str) -> None:
        if not after.unwanted:
            counts = self.live_totals.counts
            counts[before.state] -= 1
            counts[after.state] += 1
        old, new = before.request, after.request
        if old is new:
            return
        same = old is not None and new is not None and old.n == new.n
        self.money.move(price_class, entry_of(old if same else None), entry_of(new))

    # --- group commit ---------------------------------------------------------------------------------

    def _start_commit(self) -> None:
        if self._gathers is not None:
            self._gathers.cancel()
            self._gathers = None
        batch, self._gathered = self._gathered, []
        writes = [write for write, _ in batch]
        self._commit_runs = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, writes)
        self._commit_runs.add_done_callback(partial(self._committed, batch))

    def _commit(self, writes: list[_Write]) -> None:
        with self._transaction() as db:
            last = schema.write(db, writes)
        self._log.write(writes, last)

    def _committed(self, batch: list[tuple[_Write, asyncio.Future[None]]], done: asyncio.Future[None]) -> None:
        self._commit_runs = None
        error = done.exception()
        if isinstance(error, sqlite3.Error):
            self.broken = str(schema.unwritable(self.path, error))
        failure = LedgerWriteError(self.broken) if self.broken else error
        for (clip, event, _, _), durable in batch:
            if failure is not None:
                self._save_id(clip, event)
            if not durable.done():
                durable.set_exception(failure) if failure else durable.set_result(None)
        if len(self._gathered) > 1:
            self._gathers = asyncio.get_running_loop().call_later(GATHER_S, self._start_commit)
        elif self._gathered:
            self._start_commit()
        if failure is None:
            for (clip, event, _, _), _ in batch:
                self._tell(clip, event)

    def _save_id(self, clip: Clip, event: Event) -> None:
        """Keep a request id that could not be written: it may be all that is known of something paid for."""
        if isinstance(event, Submitted):
            name = clip.wanted.name
            log.critical("PAID: clip %s has the request id %s; it is kept in ledger.spill", name, event.request_id)
            with suppress(OSError):  # it is on the screen at least
                self._spill.add(clip.key, event.request_id, event.at)

    def _tell(self, clip: Clip, event: Event) -> None:
        for observer in self.observers:
            try:
                observer(clip, event)
            except Exception:  # a view's fault must not hold up the run
                log.exception("an observer failed")


def _standing(clip: Clip) -> tuple[State, int, str | None]:
    """What a move is fenced by: the state, and which request it is about."""
    return clip.state, clip.request.n if clip.request else 0, clip.request_id


def _told_of(clip: Wanted) -> tuple[object, ...]:
    """Give what a manifest may say otherwise of a clip that stays the same."""
    return clip.prompt_id, clip.take, clip.order, clip.priority, clip.audio_file, clip.label
