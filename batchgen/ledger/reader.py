"""Questions to a ledger that some run may be writing; nothing here changes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from batchgen.billing.budget import NO_CAPS, Budget, Caps, Sums, day_of, next_day
from batchgen.clip import FREE, REPLACED_FOLDER, Clip, ClipSummary, State
from batchgen.errors import LedgerError
from batchgen.ledger import integrity, schema, wishes
from batchgen.ledger.base import LAST_RUN, LastRun, Totals
from batchgen.ledger.integrity import FILE
from batchgen.ledger.lock import holder
from batchgen.ledger.wishes import QueuedWish

__all__ = ["FILE", "SANDBOX_ORIGIN", "Reader", "Totals"]

#: The origin of a batch that ran in the sandbox, whatever its port.
SANDBOX_ORIGIN = "sandbox"


class Spending(NamedTuple):
    """What all requests add up to, in micro-dollars: `Budget` without its price classes."""

    spent: int
    reserved: int
    clips: int  #: submissions that were charged, or may be
    unpriced: int  #: of these, those whose cost is not known, and for which nothing is reserved
    today: int  #: spent and reserved by what was submitted on the day that was asked for, or later


class Reader:
    """Questions to a ledger that some run may be writing; changes nothing.

    Args:
        folder: the batch folder.
        checked: the ledger was compared with what is known of it already (`integrity.check`).

    Raises:
        LedgerError: there is none, or it can't be used.
    """

    def __init__(self, folder: Path, *, checked: bool = False) -> None:
        self.folder = folder
        self.path = folder / FILE
        if not checked:
            integrity.check(folder, live=holder(folder) is not None)
        if not self.path.exists():
            integrity.refuse_gone(folder)
            raise LedgerError(f"{folder} has no ledger yet")
        self._db = schema.current(schema.connect(self.path, writable=False), self.path)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Return whether the folder has a ledger, or what is left of one. Raises LedgerError as `integrity.exists`."""
        return integrity.exists(folder)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def damage(self) -> str:
        """Check the whole file; empty when it is sound, else the first fault in words."""
        try:
            fault = str(self._db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            fault = str(error)
        return "" if fault == "ok" else fault

    def meta(self, key: str) -> str | None:
        """Give one remembered fact of the batch."""
        row = self._db.execute("SELECT v FROM meta WHERE k=?", (key,)).fetchone()
        return str(row[0]) if row else None

    def caps(self) -> Caps:
        """Give the caps that the last run had."""
        usd, by_day, clips = (
            int(text) if text else None for text in map(self.meta, ("cap", "cap_by_day", "cap_clips"))
        )
        return Caps(usd, by_day, clips)

    def totals(self) -> Totals:
        """Count the clips by state."""
        totals = Totals()
        query = "SELECT state, wanted, count(*) FROM clip GROUP BY state, wanted"
        for state, wanted, n in self._db.execute(query):
            if wanted:
                totals.counts[schema.state_of(state)] = n
            else:
                totals.unwanted += n
        return totals

    def flagged(self) -> dict[str, str]:
        """Give the flags of finished clips by name, where they have any."""
        query = "SELECT name, flags FROM clip WHERE state = 'done' AND flags <> '' ORDER BY ord, id"
        return dict(self._db.execute(query))

    def finished(self) -> dict[str, str]:
        """Give the files of finished clips that are wanted, by the clips' names (paths under `clips/`)."""
        query = "SELECT name, file FROM clip WHERE state = 'done' AND wanted = 1 AND file IS NOT NULL ORDER BY ord, id"
        return dict(self._db.execute(query))

    def budget(self, caps: Caps = NO_CAPS) -> Budget:
        """Give what was spent, what is reserved, and the highest charges, per price class; and that of each day."""
        return sums_of(self._db, caps)

    def spending(self, now: float) -> Spending:
        """Give what was spent and is reserved, in all and from the calendar day of `now` on (see `Budget.on`)."""
        return Spending(*self._db.execute(schema.TOTAL, (next_day(now, days=0).timestamp(),)).fetchone())

    def clips(self, *states: State, wanted: bool | None = None) -> Iterator[Clip]:
        """Give the clips in these states (all, if none is named), the oldest request first."""
        where = f"c.state IN ({','.join('?' * len(states))})" if states else "1"
        if wanted is not None:
            where += f" AND c.wanted = {int(wanted)}"
        query = f"{schema.SELECT_CLIP} WHERE {where} ORDER BY coalesce(r.submitted_at, r.intent_at), c.ord"
        try:
            for row in self._db.execute(query, tuple(str(state) for state in states)):
                yield schema.clip_of(row)
        except sqlite3.DatabaseError as error:
            raise schema.damaged(self.path, error) from error

    def clip(self, row: int) -> Clip:
        """Give one clip as it is on disk."""
        with schema.plain_errors(self.path):
            found = self._db.execute(f"{schema.SELECT_CLIP} WHERE c.id=?", (row,)).fetchone()
        if found is None:
            raise schema.damaged(self.path, f"its clip {row} is gone")
        return schema.clip_of(found)

    def misplaced(self) -> list[Clip]:
        """Give the clips whose file, as far as there is one, may not be where their name says (`schema.MISPLACED`)."""
        return [schema.clip_of(row) for row in self._db.execute(schema.MISPLACED)]

    def has_replaced(self) -> bool:
        """Return whether another clip has the plain name of some clip."""
        query = "SELECT 1 FROM clip WHERE name >= ? AND name < ? LIMIT 1"  # '0' follows '/'
        return self._db.execute(query, (f"{REPLACED_FOLDER}/", f"{REPLACED_FOLDER}0")).fetchone() is not None

    def requests(self) -> Iterator[tuple[Clip, bool]]:
        """Give every request that was ever made, each in its clip in place of the last one, and whether it is that.

        In the order in which clips were first wanted; read as it is asked for, however many there are.
        """
        for *row, last in self._db.execute(schema.SELECT_REQUESTS):
            yield schema.clip_of(tuple(row)), bool(last)

    def rows(self) -> dict[str, int]:
        """Give the row of every clip by its key."""
        return dict(self._db.execute("SELECT key, id FROM clip"))

    def skipped(self) -> dict[str, str]:
        """Give the prompt id of each pending clip that is not to be made, by key: another take was picked."""
        return dict(self._db.execute(wishes.SELECT_SKIPPED))

    def skips_after(self, prompt_id: str, *, skip: bool) -> tuple[str, list[str]]:
        """Give the fact `wishes.SKIPPED` as a wish would make it (see `wishes.skips_after`)."""
        return wishes.skips_after(self._db, prompt_id, skip=skip)

    def states(self) -> dict[str, State]:
        """Give the state of every clip by its key."""
        return {key: schema.state_of(state) for key, state in self._db.execute("SELECT key, state FROM clip")}

    def known(self) -> Iterator[ClipSummary]:
        """Give every clip in short, with what all of its requests cost, in the order in which they came."""
        for row in self._db.execute(schema.SELECT_KNOWN):
            yield ClipSummary._make((*row[:11], schema.state_of(row[11]), *row[12:]))

    def request_ids(self) -> set[str]:
        """Give every request id that some clip has."""
        return {found for (found,) in self._db.execute("SELECT request_id FROM request WHERE request_id IS NOT NULL")}

    def last_event(self) -> int:
        """Give the number of the last event; 0 before the first."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])

    def last_intent(self) -> float:
        """Give when the last request was about to be sent (epoch seconds); 0 before the first."""
        return float(self._db.execute("SELECT coalesce(max(intent_at), 0) FROM request").fetchone()[0])

    def contradiction(self, wanted: Iterable[str] = ()) -> str:
        """Say what shows that this ledger, sound by itself, is not the last one of its batch; empty: nothing does.

        Args:
            wanted: the keys of the manifest's clips, which an older ledger may lack. A request of another key is no
                business of this batch: its file was put here by hand.
        """
        seen = integrity.LastSeen.of(self.folder, self.meta(integrity.BATCH_ID))  # first: a run may be writing both
        newest = self.last_event()
        if seen and seen.events > newest:
            where = "" if seen.folder == self.folder.resolve() else f" in {seen.folder}"
            return f"is older than the last ledger of this batch{where}: {seen}, and it has {newest:,}"
        known, keys = self.request_ids(), {*wanted, *self.rows()}
        files = self._db.execute("SELECT file FROM clip WHERE state = 'done' AND file IS NOT NULL")
        done = {str(Path(file).with_suffix(".json")) for (file,) in files}
        for traced in (*integrity.sidecars(self.folder, but=done), *integrity.events(self.folder)):
            if traced.key in keys and traced.request_id not in known:
                return f"does not know the request {traced.request_id}, which a file next to it has"
        return ""

    def charges(self, limit: int) -> dict[str, list[int]]:
        """Give the latest charges per price class (at most so many of each), the oldest first; free ones left out."""
        query = (
            "SELECT grade, cost FROM (SELECT grade, cost, coalesce(completed_at, intent_at) AS at, row_number() "
            "OVER (PARTITION BY grade ORDER BY coalesce(completed_at, intent_at) DESC) AS nth "
            "FROM request WHERE cost > 0) WHERE nth <= ? ORDER BY at"
        )
        found: dict[str, list[int]] = {}
        for price_class, cost in self._db.execute(query, (limit,)):
            found.setdefault(price_class, []).append(cost)
        return found

    def charged_failures(self) -> dict[str, tuple[int, int]]:
        """Give by model how many requests FAILED and were charged all the same, and how much, in micro-dollars."""
        query = (
            "SELECT c.model, count(*), sum(r.cost) FROM request r JOIN clip c ON c.id = r.clip "
            "WHERE r.outcome = 'billed' GROUP BY c.model"
        )
        return {model: (count, cost) for model, count, cost in self._db.execute(query)}

    def outstanding(self) -> list[tuple[State, float, float | None]]:
        """Give what was paid for, or may have been, and is not here (state, submitted, completed), the oldest first."""
        query = (
            "SELECT c.state, coalesce(r.submitted_at, r.intent_at) AS at, r.completed_at FROM clip c "
            "JOIN request r ON r.clip = c.id AND r.n = c.n "
            "WHERE c.state IN ('submitting', 'unconfirmed', 'generating', 'downloading', 'lost') ORDER BY at"
        )
        return [(State(state), at, completed) for state, at, completed in self._db.execute(query)]

    def footage(self) -> float:
        """Give the seconds of film that finished clips were asked for."""
        query = (
            "SELECT coalesce(sum(CASE WHEN json_type(params, '$.duration') IN ('integer', 'real') "
            "THEN json_extract(params, '$.duration') END), 0) FROM clip WHERE state = 'done' AND wanted = 1"
        )
        return float(self._db.execute(query).fetchone()[0])

    def queued(self) -> tuple[int, int]:
        """Count the retries and the re-rolls that were queued, and that no run has taken up yet."""
        retries = rerolls = 0
        for _, wish in self.wishes():
            retries += len(wish.retry) + len(wish.instead_of)  # the latter with another seed
            rerolls += len(wish.takes) - len(wish.instead_of)
        return retries, max(rerolls, 0)

    def wishes(self) -> list[tuple[str, QueuedWish]]:
        """Give what other processes queued for a live run, with the names of the facts, the oldest first."""
        return list(wishes.waiting(self._db))

    def last_run(self) -> LastRun | None:
        """Give how the last run began and ended; None where it is not known, as in a ledger of an earlier release."""
        if text := self.meta(LAST_RUN):
            with suppress(ValueError, TypeError):
                return LastRun(**json.loads(text))
        return None

    def last_event_at(self) -> float | None:
        """Give when something last happened to a clip, epoch seconds; None: nothing ever did."""
        found = self._db.execute("SELECT at FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return None if found is None else float(found[0])

    def facts(self, kind: str) -> dict[int, str]:
        """Give the facts of a kind by the clips' rows (see `base.about`)."""
        query = "SELECT k, v FROM meta WHERE k > ? AND k < ?"  # ';' follows ':'
        return {int(k.rpartition(":")[2]): v for k, v in self._db.execute(query, (f"{kind}:", f"{kind};"))}

    def run_times(self, limit: int) -> dict[str, list[float]]:
        """Give the latest run times per price class, in seconds from submission to the end, oldest first."""
        query = (
            "SELECT grade, min(run_s + coalesce(queue_s, 0), completed_at - submitted_at) FROM request "
            "WHERE outcome = 'charged' AND run_s IS NOT NULL AND completed_at > submitted_at "
            "ORDER BY completed_at DESC LIMIT ?"
        )
        found: dict[str, list[float]] = {}
        for price_class, seconds in self._db.execute(query, (limit,)):
            if seconds is not None:
                found.setdefault(price_class, []).insert(0, seconds)
        return found

    def run_parts(self, limit: int) -> dict[str, list[tuple[float, float | None]]]:
        """Give the latest run times per price class as the service reported them: at work, and in the queue before."""
        query = (
            "SELECT grade, run_s, queue_s FROM request WHERE outcome = 'charged' AND run_s IS NOT NULL "
            "AND completed_at > submitted_at ORDER BY completed_at DESC LIMIT ?"
        )
        found: dict[str, list[tuple[float, float | None]]] = {}
        for price_class, run_s, queue_s in self._db.execute(query, (limit,)):
            found.setdefault(price_class, []).insert(0, (run_s, queue_s))
        return found

    def poll_counts(self) -> dict[str, tuple[int, int]]:
        """Give by price class the status calls that were made, for failed requests too, and how many clips came of it.

        Left out are requests whose wait an earlier run had begun: what that run asked was not written down.
        """
        query = "SELECT grade, sum(looks), sum(outcome = 'charged') FROM request WHERE looks IS NOT NULL GROUP BY grade"
        return {price_class: (polls, clips) for price_class, polls, clips in self._db.execute(query)}


def _day(quarter: int) -> str:
    """Name the day of a quarter of an hour; empty for one that no calendar has, as a damaged time may be."""
    try:
        return day_of(quarter * schema.QUARTER_S)
    except (ValueError, OverflowError, OSError):
        return ""


def sums_of(db: sqlite3.Connection, caps: Caps = NO_CAPS) -> Budget:
    """Add up what was spent, what is reserved, and the highest charges, per price class; and that of each day."""
    budget = Budget(caps=caps)
    for price_class, quarter, outcome, reserved, spent, top, clips, opened, unpriced in db.execute(schema.SUMS):
        live, day = outcome not in FREE, _day(quarter)
        for sums in (budget, budget.days.setdefault(day, Sums())) if day else (budget,):
            sums.add(
                price_class,
                spent=spent,
                clips=live * clips,
                reserved=reserved,
                opened=live * opened,
                unpriced=live * unpriced,
            )
        if top:
            budget.seen[price_class] = max(top, budget.seen.get(price_class, 0))
    return budget
