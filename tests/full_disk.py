"""A disk without room, for one kind of event: every write of it to the ledger fails."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from batchgen.ledger import FILE


def full(folder: Path, event: str) -> None:
    """Let every write of an event fail, as on a full disk."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.name LIKE '{event}' "
            "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        )
        db.commit()


def freed(folder: Path) -> None:
    """Let it succeed again."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("DROP TRIGGER full")
        db.commit()
