"""What other commands and the page queue next to a live run, which takes it up within seconds: facts of the ledger.

Only here does a process write to a ledger that another one holds: one fact in a transaction of its own. The holder
alone turns it into clips and events. A module of its own because both sides use it.

One of these facts the store itself judges by: which takes are not to be made, because the user picked another one of
their prompt. It names clips by key: takes that are asked for later are made. What was submitted is never touched by it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import reduce
from pathlib import Path
from typing import Any

from batchgen.clip import Wanted
from batchgen.ledger import filesystem, schema
from batchgen.money import decimal_usd

_KIND = "wish"  #: what the names of its facts begin with
#: The fact in which a live run says how it stands: one of `Control`; of a run that ended it means nothing.
CONTROL = "control"
#: The fact of the takes that are not to be made: a JSON list of keys.
SKIPPED = "skipped"
#: Its keys as a list in SQL.
SKIPPED_KEYS = f"(SELECT value FROM json_each(coalesce((SELECT v FROM meta WHERE k = '{SKIPPED}'), '[]')))"  # noqa: S608
#: Key and prompt id of the wanted clips that would be submitted without it.
SELECT_SKIPPED = f"SELECT key, prompt_id FROM clip WHERE state = 'pending' AND wanted = 1 AND key IN {SKIPPED_KEYS}"  # noqa: S608
#: A request in flight may fail, and its clip be pending again: that one is not made either.
_UNDER_WAY = "('pending', 'submitting', 'generating')"
#: The fact with what `batchgen set` has set in a live run, a `Retune` as JSON; of a run that ended it means nothing.
RETUNED = "retuned"


class Control(StrEnum):
    """How a run that can be steered stands; as a wish: how it is to stand."""

    RUNNING = "running"
    PAUSED = "paused"  #: nothing is submitted; what is in flight is collected
    STOPPING = "stopping"  #: as after the first Ctrl-C


@dataclass(frozen=True, slots=True)
class Retune:
    """Other settings for the rest of a run: of the one at work, else of the next one. None: as they are."""

    rpm: float | None = None  #: calls a minute; 0: no limit
    in_flight: int | None = None  #: clips at the service at once
    max_usd: int | None = None  #: the cap of the batch over all its runs, in micro-dollars
    paused: bool | None = None

    def then(self, later: Retune) -> Retune:
        """Give both: what the later one says counts."""
        return Retune(**{**self.said, **later.said})

    def without(self, names: Iterable[str]) -> Retune:
        """Leave out some of the settings."""
        left_out = {*names}
        return Retune(**{name: value for name, value in self.said.items() if name not in left_out})

    @property
    def said(self) -> dict[str, Any]:
        """What it sets, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """Write it as it is typed: "rpm=30 max-usd=20 paused=yes"."""
        words = {
            "rpm": None if self.rpm is None else f"{self.rpm:g}",
            "in-flight": self.in_flight,
            "max-usd": None if self.max_usd is None else f"{decimal_usd(self.max_usd):f}",
            "paused": None if self.paused is None else "yes" if self.paused else "no",
        }
        return " ".join(f"{name}={word}" for name, word in words.items() if word is not None)


@dataclass(frozen=True, slots=True)
class QueuedWish:
    """What a user asked for; carrying it out twice is harmless."""

    retry: Sequence[str] = ()  #: keys of failed and blocked clips to be queued again
    takes: Sequence[Wanted] = ()  #: further takes
    instead_of: Sequence[str] = ()  #: keys of failed and blocked clips that the takes replace
    again: Sequence[str] = ()  #: keys of pending clips that the run has passed over, and may make after all
    control: Control | None = None  #: how this run is to stand; a later run does not hear of it
    retune: Retune | None = None  #: other settings, for whichever run takes it up


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
        text, changed = skips_after(db, prompt_id, skip=skip)
        db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (SKIPPED, text))
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
    db.execute("INSERT INTO meta VALUES (?,?)", fact_of(wish))


def fact_of(wish: QueuedWish) -> tuple[str, str]:
    """Give the name and the text of the fact that queues a wish now."""
    said = {
        "retry": list(wish.retry),
        "takes": [schema.described(take) for take in wish.takes],
        "instead_of": list(wish.instead_of),
        "again": list(wish.again),
        "control": wish.control,
        "retune": wish.retune and wish.retune.said,
    }
    return f"{_KIND}:{time.time_ns()}-{os.getpid()}", json.dumps(said)


def asked_at(fact: str) -> float:
    """Give when a wish was queued, in epoch seconds, by the name of its fact."""
    return int(fact.removeprefix(f"{_KIND}:").partition("-")[0]) / 1e9


def retune_of(text: str | None) -> Retune | None:
    """Read the fact `RETUNED`; None where nothing is set."""
    with suppress(ValueError, TypeError, AttributeError):
        known = {field.name for field in fields(Retune)}
        return Retune(**{name: value for name, value in json.loads(text or "null").items() if name in known})
    return None


def retunes(wishes: Iterable[tuple[str, QueuedWish]]) -> Retune | None:
    """Give the settings that wait among queued wishes, all in one; None: none do."""
    waiting = [wish.retune for _, wish in wishes if wish.retune is not None]
    return reduce(Retune.then, waiting) if waiting else None


def waiting(db: sqlite3.Connection) -> Iterator[tuple[str, QueuedWish]]:
    """Give the queued wishes with the names of their facts, the oldest first; an unreadable one asks for nothing."""
    query = "SELECT k, v FROM meta WHERE k > ? AND k < ? ORDER BY k"  # ';' follows ':'
    for name, detail in db.execute(query, (f"{_KIND}:", f"{_KIND};")).fetchall():
        wish = QueuedWish()
        with suppress(ValueError, TypeError, KeyError):
            said = json.loads(detail)
            takes, control = [Wanted(**take) for take in said["takes"]], said.get("control")
            control = None if control is None else Control(control)
            retune = None if said.get("retune") is None else Retune(**said["retune"])
            wish = QueuedWish(said["retry"], takes, said["instead_of"], said.get("again", ()), control, retune)
        yield name, wish


# --- takes that are not to be made ----------------------------------------------------------------------------


def skips(db: sqlite3.Connection) -> set[str]:
    """Give the keys of the takes that are not to be made; an unreadable fact names none."""
    row = db.execute("SELECT v FROM meta WHERE k = ?", (SKIPPED,)).fetchone()
    with suppress(ValueError, TypeError):
        return {str(key) for key in json.loads(row[0])} if row else set()
    return set()


def skips_after(db: sqlite3.Connection, prompt_id: str, *, skip: bool) -> tuple[str, list[str]]:
    """Give the fact as it is once a prompt is skipped, or no longer; and the keys of its pending clips that change."""
    now = skips(db)
    query = f"SELECT key, state FROM clip WHERE prompt_id = ? AND wanted = 1 AND state IN {_UNDER_WAY} ORDER BY take"  # noqa: S608
    states = dict(db.execute(query, (prompt_id,)))
    every = {key for (key,) in db.execute("SELECT key FROM clip WHERE prompt_id = ?", (prompt_id,))}
    changed = [key for key, state in states.items() if state == "pending" and (key in now) is not skip]
    return json.dumps(sorted(now | states.keys() if skip else now - every)), changed
