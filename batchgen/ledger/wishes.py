"""What `retry` and `reroll` queue next to a live run, which takes it up within seconds: facts of the ledger.

Only here does a process write to a ledger that another one holds: one fact in a transaction of its own. The holder
alone turns it into clips and events. A module of its own because both sides use it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.clip import Wanted
from batchgen.ledger import filesystem, schema

_KIND = "wish"  #: what the names of its facts begin with


@dataclass(frozen=True, slots=True)
class QueuedWish:
    """What a user asked for; carrying it out twice is harmless."""

    retry: Sequence[str] = ()  #: keys of failed and blocked clips to be queued again
    takes: Sequence[Wanted] = ()  #: further takes
    instead_of: Sequence[str] = ()  #: keys of failed and blocked clips that the takes replace


def count(wishes: Iterable[QueuedWish]) -> tuple[int, int]:
    """Count what is queued: retries (with another seed, too), and re-rolls."""
    retries = rerolls = 0
    for wish in wishes:
        retries += len(wish.retry) + len(wish.instead_of)
        rerolls += len(wish.takes) - len(wish.instead_of)
    return retries, max(rerolls, 0)


def add(path: Path, wish: QueuedWish) -> None:
    """Queue a wish in the ledger file of a batch that another process holds; on disk when this returns.

    Raises:
        LedgerError, LedgerWriteError: it can't be read or written.
    """
    takes = [schema.described(take) for take in wish.takes]
    detail = json.dumps({"retry": list(wish.retry), "takes": takes, "instead_of": list(wish.instead_of)})
    name = f"{_KIND}:{time.time_ns()}-{os.getpid()}"
    with (
        closing(schema.connect(path, writable=True, journal=filesystem.journal(path.parent))) as db,
        schema.plain_errors(path),
    ):
        db.execute("INSERT INTO meta VALUES (?,?)", (name, detail))


def waiting(db: sqlite3.Connection) -> Iterator[tuple[str, QueuedWish]]:
    """Give the queued wishes with the names of their facts, the oldest first; an unreadable one asks for nothing."""
    query = "SELECT k, v FROM meta WHERE k > ? AND k < ? ORDER BY k"  # ';' follows ':'
    for name, detail in db.execute(query, (f"{_KIND}:", f"{_KIND};")).fetchall():
        wish = QueuedWish()
        with suppress(ValueError, TypeError, KeyError):
            said = json.loads(detail)
            wish = QueuedWish(said["retry"], [Wanted(**take) for take in said["takes"]], said["instead_of"])
        yield name, wish
