"""The sandbox's jobs on disk, so that a killed run finds its paid work again.

A job's times are fixed when it is accepted; its state is a function of them and of the wall clock, so a
restarted sandbox goes on as if it had never been away. Micro-dollars; seconds since the epoch.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job(
  request_id TEXT PRIMARY KEY, n INTEGER NOT NULL, model TEXT NOT NULL, params TEXT NOT NULL,
  price INTEGER NOT NULL, submitted_at REAL NOT NULL, start_at REAL NOT NULL, finish_at REAL NOT NULL,
  ready_at REAL, error TEXT, fates TEXT NOT NULL, file_size INTEGER, links INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS job_finish ON job(finish_at);
CREATE INDEX IF NOT EXISTS job_submitted ON job(submitted_at);
CREATE INDEX IF NOT EXISTS job_unready ON job(n) WHERE ready_at IS NULL;
CREATE TABLE IF NOT EXISTS chance(fault TEXT PRIMARY KEY, seen INTEGER NOT NULL);
"""
_ENDED = "ready_at IS NOT NULL AND max(ready_at, finish_at) <= ?"


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted submission. It ends when its time is over *and* its file is ready."""

    request_id: str
    n: int  #: order of acceptance, from 1
    model: str
    params: str  #: JSON text, as received
    price: int
    submitted_at: float
    start_at: float
    finish_at: float
    ready_at: float | None = None  #: when the file (or the failure) was ready
    error: str | None = None
    fates: str = ""  #: names of the faults that are this job's own, space-separated
    file_size: int | None = None
    links: int = 0  #: how often its link was handed out

    @property
    def ended_at(self) -> float | None:
        """When it ends or ended; None while nobody can say."""
        return None if self.ready_at is None else max(self.ready_at, self.finish_at)

    def has(self, fate: str) -> bool:
        """True when this fault is one of the job's own."""
        return fate in self.fates.split()

    def state(self, now: float) -> str:
        """QUEUED, PROCESSING, COMPLETED or FAILED, by the clock."""
        if self.ended_at is None or now < self.ended_at:
            return "QUEUED" if now < self.start_at else "PROCESSING"
        return "FAILED" if self.error is not None else "COMPLETED"

    def charged(self, now: float) -> int:
        """What was taken for it: a success is charged, a failure only by the fault of that name."""
        charged = self.state(now) == "COMPLETED" or (self.state(now) == "FAILED" and self.has("failed_charged"))
        return self.price if charged else 0


_COLUMNS = ", ".join(field.name for field in fields(Job))


class Store:
    """Jobs and counters in one SQLite file. Every call is one committed statement, from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            # NORMAL survives kill -9, which is what a resumed run needs; a power cut costs only play money.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except BaseException:  # nobody has the store yet, so nobody else can close its file
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; the store is of no use afterwards."""
        with self._lock:
            self._db.close()

    def add(self, job: Job) -> None:
        """Keep a new job; it is on disk when this returns."""
        marks = ", ".join("?" * len(fields(Job)))
        self._sql(f"INSERT INTO job({_COLUMNS}) VALUES({marks})", *astuple(job))

    def get(self, request_id: str) -> Job | None:
        """Find a job by its id."""
        return next(iter(self._jobs("WHERE request_id = ?", request_id)), None)

    def ready(self, request_id: str, *, at: float, size: int) -> None:
        """Note that the file lies there, with its length in bytes."""
        self._sql("UPDATE job SET ready_at = ?, file_size = ? WHERE request_id = ?", at, size, request_id)

    def failed(self, request_id: str, *, at: float, error: str) -> None:
        """Note that no file could be made."""
        self._sql("UPDATE job SET ready_at = ?, error = ? WHERE request_id = ?", at, error, request_id)

    def link(self, request_id: str) -> int:
        """Count one more handing out of the link, and give its number from 1."""
        update = "UPDATE job SET links = links + 1 WHERE request_id = ? RETURNING links"
        return int(self._sql(update, request_id)[0][0])

    def chance(self, fault: str) -> int:
        """Count one more chance of a fault, and give its number from 1."""
        upsert = "INSERT INTO chance VALUES(?, 1) ON CONFLICT(fault) DO UPDATE SET seen = seen + 1 RETURNING seen"
        return int(self._sql(upsert, fault)[0][0])

    def counters(self) -> dict[str, int]:
        """All counters of chances and strikes, by name."""
        return {str(name): int(seen) for name, seen in self._sql("SELECT fault, seen FROM chance")}

    def unready(self) -> list[Job]:
        """All jobs that still lack their file, in order of acceptance."""
        return self._jobs("WHERE ready_at IS NULL ORDER BY n")

    def all(self) -> list[Job]:
        """All jobs, in order of acceptance."""
        return self._jobs("ORDER BY n")

    def between(self, since: float, until: float) -> list[Job]:
        """All jobs that were submitted in a window, in order of acceptance."""
        return self._jobs("WHERE submitted_at >= ? AND submitted_at < ? ORDER BY n", since, until)

    def count(self) -> int:
        """How many jobs were ever accepted."""
        return int(self._sql("SELECT count(*) FROM job")[0][0])

    def slot_free_at(self, slots: int) -> float:
        """When the first of `slots` workers is free: a FIFO queue's slots end with the latest finish times."""
        rows = self._sql("SELECT finish_at FROM job ORDER BY finish_at DESC LIMIT 1 OFFSET ?", slots - 1)
        return float(rows[0][0]) if rows else 0.0

    def spent(self, now: float) -> int:
        """The sum of all charges, settled ones only."""
        where = f"(error IS NULL OR fates = 'failed_charged') AND {_ENDED}"
        return int(self._sql(f"SELECT coalesce(sum(price), 0) FROM job WHERE {where}", now)[0][0])  # noqa: S608

    def reserved(self, now: float) -> int:
        """The sum of the prices of all jobs that have not ended."""
        where = f"NOT ({_ENDED})"
        return int(self._sql(f"SELECT coalesce(sum(price), 0) FROM job WHERE {where}", now)[0][0])  # noqa: S608

    def _jobs(self, rest: str, *values: object) -> list[Job]:
        return [Job(*row) for row in self._sql(f"SELECT {_COLUMNS} FROM job {rest}", *values)]  # noqa: S608

    def _sql(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()
