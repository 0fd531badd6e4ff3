"""Which clips a batch wants: the manifest's, and the further takes that `reroll` asked for, brought into the tables.

Each function is a part of one transaction of `SqliteLedger`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace

from batchgen.clip import REPLACED, Clip, State, Wanted
from batchgen.ledger import names, schema
from batchgen.ledger.wishes import QueuedWish


def bring_up_to_date(db: sqlite3.Connection, wanted: Iterable[Wanted]) -> int:
    """Store what the manifest wants now; return the number of new clips (see `SqliteLedger.sync`)."""
    known = db.execute(schema.SELECT_WISHES).fetchall()
    ids = {key: prompt_id for key, _, _, _, _, prompt_id, *_ in known}
    fresh = {clip.key: clip for clip in names.with_known_ids(wanted, ids)}
    asked = {key: clip.name for key, clip in fresh.items()}
    # In memory, and only what differs is written: a manifest of 100,000 clips that is as it was writes nothing.
    changes = []
    for key, row, _, reroll_of, *before, replaced in known:
        clip = fresh.pop(key, None)
        # Re-rolls are wanted for as long as their root is.
        wish = int(not replaced and (clip is not None or reroll_of in asked))
        after = [wish, *(_editable(clip) if clip else before[1:])]
        if after != before:
            changes.append((*after, row))
    db.executemany(schema.UPDATE_WISHES, changes)
    db.execute("DELETE FROM clip WHERE wanted = 0 AND state = 'pending' AND n = 0")
    named = asked if asked == {key: name for key, _, name, *_ in known} else _renamed(db, asked)
    db.executemany(schema.INSERT_CLIP, (schema.wanted_row(clip, named[key]) for key, clip in fresh.items()))
    return len(fresh)


def add_takes(db: sqlite3.Connection, wish: QueuedWish, fact: str | None) -> tuple[list[Wanted], list[State]]:
    """Add further takes, and take out what they replace; gives both, the latter by its states (see `fulfil`)."""
    known = {key for (key,) in db.execute("SELECT key FROM clip")}
    taken = {name.casefold() for (name,) in db.execute("SELECT name FROM clip")}
    fresh = [replace(take, name=names.free_name(take, taken)) for take in wish.takes if take.key not in known]
    db.executemany(schema.INSERT_CLIP, (schema.wanted_row(take, take.name) for take in fresh))
    db.executemany(schema.MARK_REPLACED, ((key,) for key in wish.instead_of))
    replaced = [State(state) for (state,) in db.execute(schema.UNWANT_REPLACED)]
    if fact is not None:
        db.execute("DELETE FROM meta WHERE k=?", (fact,))
    return fresh, replaced


def take_out(db: sqlite3.Connection, takes: Iterable[Clip]) -> None:
    """Delete further takes that were never sent, and want again what they replaced."""
    takes = list(takes)
    db.executemany("DELETE FROM clip WHERE id=?", ((clip.row,) for clip in takes))
    for root in {clip.wanted.reroll_of for clip in takes}:
        db.execute(schema.WANT_REPLACED, {"root": root, "replaced": REPLACED})


def _editable(clip: Wanted) -> tuple[object, ...]:
    """Give what an edit of the manifest may change of a clip that stays the same."""
    return clip.prompt_id, clip.take, clip.order, clip.priority, clip.audio_file, clip.label


def _renamed(db: sqlite3.Connection, asked: Mapping[str, str]) -> dict[str, str]:
    """Give the clips of the tables the names that they have now; return those of the clips asked for, too, by key."""
    held = db.execute("SELECT key, name, wanted, id FROM clip ORDER BY id").fetchall()
    named = names.assign(asked, (names.Holder(key, name, bool(wanted)) for key, name, wanted, _ in held))
    changed = [(named[key], row) for key, name, _, row in held if named[key] != name]
    db.executemany(schema.UNNAME, ((row,) for _, row in changed))
    db.executemany(schema.RENAME, changed)
    return named
