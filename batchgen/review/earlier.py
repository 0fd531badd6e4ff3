"""Follow-ups that were written before, next to a batch's manifest: what they take of its budget, run or not.

Each of them has the whole rest of the budget as its own cap, so that two would spend it twice if the second one did not
know of the first.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.errors import BatchgenError, UsageError
from batchgen.ledger import Reader
from batchgen.locate import batch_folder
from batchgen.planning.saved_files import read_plan
from batchgen.review.followup import head_line


@dataclass(frozen=True, slots=True)
class EarlierFollowUp:
    """One that is there: its name, what it takes in micro-dollars (None: unknown), and whether a run has begun."""

    name: str
    usd: int | None
    begun: bool


def earlier_follow_ups(source: Path, batch: str, *, sandbox: bool) -> list[EarlierFollowUp]:
    """Find the follow-ups of a batch. One whose manifest was removed takes nothing, unless it has run.

    Args:
        source: the batch's manifest: they lie next to it.
        batch: its name.
        sandbox: it ran in the sandbox, and so do they.
    """
    return [_read(path, sandbox=sandbox) for path in _manifests(source.parent, head_line(batch))]


def _manifests(folder: Path, head: str) -> Iterator[Path]:
    for path in sorted(folder.glob("*.yaml")):
        with suppress(OSError, UnicodeDecodeError), path.open(encoding="utf-8") as file:
            if file.readline(len(head) + 1).rstrip("\n") == head:
                yield path


def _read(path: Path, *, sandbox: bool) -> EarlierFollowUp:
    planned: int | None = None
    with suppress(UsageError):  # no plan, or one that was edited
        saved = read_plan(path.with_suffix(".plan.json"))
        planned = saved.estimate if not saved.unpriced else None
    folder = batch_folder(path, sandbox=sandbox).absolute()
    with suppress(BatchgenError, OSError, sqlite3.Error):  # one that can't be read takes what was planned
        if Reader.exists(folder):
            return EarlierFollowUp(path.stem, _taken(folder, planned), begun=True)
    return EarlierFollowUp(path.stem, planned, begun=False)


def _taken(folder: Path, planned: int | None) -> int:
    """Give what it has spent and reserves; while it has clips to make, no less than was planned."""
    with closing(Reader(folder)) as ledger:
        money, counts = ledger.spending(time.time()), ledger.totals().counts
    taken = money.spent + money.reserved
    return max(taken, planned or 0) if any(n and not state.settled for state, n in counts.items()) else taken
