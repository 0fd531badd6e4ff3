"""What other commands and the page queue next to a live run, which takes it up within seconds: facts of the ledger.

Only here does a process write to a ledger that another one holds: one fact in a transaction of its own. The holder
alone turns it into clips and events. A module of its own because both sides use it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from batchgen.clip import Wanted
from batchgen.ledger import filesystem, schema, skips

_KIND = "wish"  #: what the names of its facts begin with
#: The fact in which a live run says how it stands: one of `Control`; of a run that ended it means nothing.
CONTROL = "control"


class Control(StrEnum):
    """How a run that can be steered stands; as a wish: how it is to stand."""

    RUNNING = "running"
    PAUSED = "paused"  #: nothing is submitted; what is in flight is collected
    STOPPING = "stopping"  #: as after the first Ctrl-C


@dataclass(frozen=True, slots=True)
class QueuedWish:
    """What a user asked for; carrying it out twice is harmless."""

    retry: Sequence[str] = ()  #: keys of failed and blocked clips to be queued again
    takes: Sequence[Wanted] = ()  #: further takes
    instead_of: Sequence[str] = ()  #: keys of failed and blocked clips that the takes replace
    again: Sequence[str] = ()  #: keys of pending clips that the run has passed over, and may make after all
    control: Control | None = None  #: how this run is to stand; a later run does not hear of it


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
    with _written(path) as db:
        _insert(db, wish)


def skip(path: Path, prompt_id: str, *, skip: bool) -> list[str]:
    """Say in the ledger file of a batch that another process holds which takes are not to be made; on disk at once.

    The store judges by it from then on. Taking it back is a wish, so that the run makes what it has passed over.

    Returns:
        The keys of the pending clips that change by it.

    Raises:
        LedgerError, LedgerWriteError: it can't be read or written.
    """
    with _written(path) as db:
        text, changed = skips.after(db, prompt_id, skip=skip)
        db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (skips.FACT, text))
        _insert(db, QueuedWish(again=[] if skip else changed))
    return changed


@contextmanager
def _written(path: Path) -> Iterator[sqlite3.Connection]:
    """Give the ledger for one transaction, which is on disk when the block ends."""
    with (
        closing(schema.connect(path, writable=True, journal=filesystem.journal(path.parent))) as db,
        schema.plain_errors(path),
    ):
        db.execute("BEGIN IMMEDIATE")
        yield db  # closed without a commit, it is taken back
        db.execute("COMMIT")


def _insert(db: sqlite3.Connection, wish: QueuedWish) -> None:
    said = {
        "retry": list(wish.retry),
        "takes": [schema.described(take) for take in wish.takes],
        "instead_of": list(wish.instead_of),
        "again": list(wish.again),
        "control": wish.control,
    }
    name = f"{_KIND}:{time.time_ns()}-{os.getpid()}"
    db.execute("INSERT INTO meta VALUES (?,?)", (name, json.dumps(said)))


def waiting(db: sqlite3.Connection) -> Iterator[tuple[str, QueuedWish]]:
    """Give the queued wishes with the names of their facts, the oldest first; an unreadable one asks for nothing."""
    query = "SELECT k, v FROM meta WHERE k > ? AND k < ? ORDER BY k"  # ';' follows ':'
    for name, detail in db.execute(query, (f"{_KIND}:", f"{_KIND};")).fetchall():
        wish = QueuedWish()
        with suppress(ValueError, TypeError, KeyError):
            said = json.loads(detail)
            takes, control = [Wanted(**take) for take in said["takes"]], said.get("control")
            control = None if control is None else Control(control)
            wish = QueuedWish(said["retry"], takes, said["instead_of"], said.get("again", ()), control)
        yield name, wish
