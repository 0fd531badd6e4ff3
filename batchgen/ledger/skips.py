"""Takes that are not to be made, because the user picked another one of their prompt: one fact of the ledger.

A module of its own because the store judges by it, and another process may write it next to a live run. It names clips
by key: takes that are asked for later are made. What was submitted is never touched by it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress

#: The name of the fact: a JSON list of keys.
FACT = "skipped"
#: The keys as a list in SQL.
KEYS = f"(SELECT value FROM json_each(coalesce((SELECT v FROM meta WHERE k = '{FACT}'), '[]')))"  # noqa: S608
#: Key and prompt id of the wanted clips that would be submitted without it.
SELECT = f"SELECT key, prompt_id FROM clip WHERE state = 'pending' AND wanted = 1 AND key IN {KEYS}"  # noqa: S608
#: A request in flight may fail, and its clip be pending again: that one is not made either.
_UNDER_WAY = "('pending', 'submitting', 'generating')"


def among(db: sqlite3.Connection, keys: Iterable[str]) -> set[str]:
    """Give those of the keys that are not to be made."""
    return {*keys} & _keys(db)


def after(db: sqlite3.Connection, prompt_id: str, *, skip: bool) -> tuple[str, list[str]]:
    """Give the fact as it is once a prompt is skipped, or no longer; and the keys of its pending clips that change."""
    now = _keys(db)
    query = f"SELECT key, state FROM clip WHERE prompt_id = ? AND wanted = 1 AND state IN {_UNDER_WAY} ORDER BY take"  # noqa: S608
    states = dict(db.execute(query, (prompt_id,)))
    every = {key for (key,) in db.execute("SELECT key FROM clip WHERE prompt_id = ?", (prompt_id,))}
    changed = [key for key, state in states.items() if state == "pending" and (key in now) is not skip]
    return json.dumps(sorted(now | states.keys() if skip else now - every)), changed


def _keys(db: sqlite3.Connection) -> set[str]:
    row = db.execute("SELECT v FROM meta WHERE k = ?", (FACT,)).fetchone()
    with suppress(ValueError, TypeError):
        return {str(key) for key in json.loads(row[0])} if row else set()
    return set()
