"""Which clips a batch wants, and under which file names: the manifest's, and the further takes that were asked for.

What the manifest asks for now has the plain name. A clip that gave its name up is called `replaced/NAME~hash`: that is
also where its file goes, under `clips/` (`batchgen.files.renames` moves it). The hash is the end of the clip's key,
so that a name depends on nothing but the clip, and many replaced clips of one name live next to each other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from batchgen.clip import REPLACED, REPLACED_FOLDER, Clip, State, Wanted
from batchgen.ledger import schema
from batchgen.ledger.wishes import QueuedWish

#: The matrix cell of every clip that was ever submitted, by key.
SELECT_SENT = "SELECT key, label FROM clip WHERE state <> 'pending' OR n > 0"


# --- names: pure ---------------------------------------------------------------------------------------


class Holder(NamedTuple):
    """A clip that the ledger has, and its name there."""

    key: str
    name: str
    wanted: bool = False  #: although the manifest does not list it: a re-roll whose clip it lists


def plain_name(name: str, key: str) -> str:
    """Give the name that a clip had before it gave way to another one."""
    return name.removeprefix(f"{REPLACED_FOLDER}/").removesuffix(f"~{key[-8:]}")


def other_name(name: str, key: str) -> str:
    """Give the name next to the plain one, where a file that is not of this batch has that: it is never overwritten."""
    return f"{name}~{key[-8:]}"


def replaced_name(name: str, key: str) -> str:
    """Give the name of a clip whose plain name belongs to another one."""
    return f"{REPLACED_FOLDER}/{plain_name(name, key)}~{key[-8:]}"


def assign(asked: Mapping[str, str], held: Iterable[Holder]) -> dict[str, str]:
    """Give every clip its name; no two are the same on a disk that knows no case.

    A clip that the manifest lists gets the name that it asks for, or keeps the one that it has as long as no other
    clip asks for that: more prompts, or another template of names, do not rename finished files. A re-roll gets its
    plain name if that is free. A clip that is no longer wanted keeps its name until a wanted one has it.

    Args:
        asked: the name that the manifest asks for, by the key of each clip that it lists; no two are the same.
        held: every clip of the ledger, in the order in which they came.

    Returns:
        Names by key: of all that is asked for, and of all that is held.
    """
    askers = {name.casefold(): key for key, name in asked.items()}
    names, others = dict(asked), []
    for holder in held:
        key, name, _ = holder
        if key not in asked:
            others.append(holder)
        elif name == plain_name(name, key) and askers.get(name.casefold(), key) == key:
            names[key] = name
    owned = {name.casefold() for name in names.values()}
    for key, name, wanted in others:
        if wanted:
            plain = plain_name(name, key)
            names[key] = other_name(plain, key) if plain.casefold() in owned else plain
            owned.add(names[key].casefold())
    taken = set(owned)
    for key, name, wanted in others:
        if not wanted:
            gives_way = plain_name(name, key).casefold() in owned or name.casefold() in taken
            names[key] = replaced_name(name, key) if gives_way else name
            taken.add(names[key].casefold())
    return names


def with_known_ids(wanted: Iterable[Wanted], known: Mapping[str, str]) -> list[Wanted]:
    """Give what a manifest asks for under the ids that a batch has for it: an id that was made once is kept.

    Made are ids that the user did not give. All takes of a prompt follow the one that is known, in their names too;
    not where another prompt has that id.

    Args:
        wanted: as the manifest is read today.
        known: the ids of the ledger by key.
    """
    asked = list(wanted)
    others = {  # of two, the first one counts
        clip.prompt_id: known[clip.key]
        for clip in reversed(asked)
        if clip.derived_id and known.get(clip.key, clip.prompt_id) != clip.prompt_id
    }
    if not others:
        return asked
    ids = {clip.prompt_id.casefold() for clip in asked}
    kept = {now: before for now, before in others.items() if before.casefold() not in ids}
    names = {clip.name.casefold() for clip in asked}
    return [_under(clip, kept[clip.prompt_id], names) if clip.prompt_id in kept else clip for clip in asked]


def with_known_keys(wanted: Iterable[Wanted], sent: Mapping[str, str]) -> list[Wanted]:
    """Give what a manifest asks for under the keys that a batch has for it: what was paid for is not paid for again.

    Where two clips have one older key, the first of them is the clip that an older release made.

    Args:
        wanted: as the manifest is read today.
        sent: the labels of the ledger's clips by key; of those that were ever submitted.
    """
    once = dict(sent)
    return [replace(clip, key=key) if (key := _older(clip, sent, once)) else clip for clip in wanted]


def _older(clip: Wanted, sent: Mapping[str, str], once: dict[str, str]) -> str | None:
    """Take the older key of a clip out of `once`, if the batch has it under that alone."""
    older = clip.older
    if older is None or clip.key in sent or older.key not in once or older.label not in (None, once[older.key]):
        return None
    del once[older.key]
    return older.key


def _under(clip: Wanted, prompt_id: str, names: set[str]) -> Wanted:
    name = f"{prompt_id}_{clip.take}"
    default = clip.name == f"{clip.prompt_id}_{clip.take}" and name.casefold() not in names
    return replace(clip, prompt_id=prompt_id, name=name if default else clip.name)


def free_name(clip: Wanted, taken: set[str]) -> str:
    """Give a new re-roll its own name, or the other one if it is taken; add it to `taken` (names in `casefold`)."""
    name = clip.name if clip.name.casefold() not in taken else other_name(clip.name, clip.key)
    taken.add(name.casefold())
    return name


# --- what is wanted: each a part of one transaction of `SqliteLedger` ------------------------------------------


def bring_up_to_date(db: sqlite3.Connection, wanted: Iterable[Wanted]) -> int:
    """Store what the manifest wants now; return the number of new clips (see `SqliteLedger.sync`)."""
    known = db.execute(schema.SELECT_WISHES).fetchall()
    ids = {key: prompt_id for key, _, _, _, _, prompt_id, *_ in known}
    sent: dict[str, str] = dict(db.execute(SELECT_SENT))
    fresh = {clip.key: clip for clip in with_known_ids(with_known_keys(wanted, sent), ids)}
    asked = {key: clip.name for key, clip in fresh.items()}
    # In memory, and only what differs is written: a manifest of 100,000 clips that is as it was writes nothing.
    changes = []
    for key, row, _, reroll_of, *before, replaced in known:
        clip = fresh.pop(key, None)
        # Re-rolls are wanted for as long as their root is.
        wish = int(not replaced and (clip is not None or reroll_of in asked))
        after = [wish, *before[1:]]
        if clip:  # what an edit of the manifest may change of a clip that stays the same
            after[1:] = clip.prompt_id, clip.take, clip.order, clip.priority, clip.audio_file, clip.label
        if after != before:
            changes.append((*after, row))
    db.executemany(schema.UPDATE_WISHES, changes)
    db.execute("DELETE FROM clip WHERE wanted = 0 AND state = 'pending' AND n = 0")
    named = asked if asked == {key: name for key, _, name, *_ in known} else _renamed(db, asked)
    db.executemany(
        schema.INSERT_CLIP,
        (
            schema.WANTED_VALUES(clip if clip.name == named[key] else replace(clip, name=named[key]))
            for key, clip in fresh.items()
        ),
    )
    return len(fresh)


def add_takes(db: sqlite3.Connection, wish: QueuedWish, fact: str | None) -> tuple[list[Wanted], list[State]]:
    """Add further takes, and take out what they replace; gives both, the latter by its states (see `fulfil`)."""
    known = {key for (key,) in db.execute("SELECT key FROM clip")}
    taken = {name.casefold() for (name,) in db.execute("SELECT name FROM clip")}
    fresh = [replace(take, name=free_name(take, taken)) for take in wish.takes if take.key not in known]
    db.executemany(schema.INSERT_CLIP, map(schema.WANTED_VALUES, fresh))
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


def _renamed(db: sqlite3.Connection, asked: Mapping[str, str]) -> dict[str, str]:
    """Give the clips of the tables the names that they have now; return those of the clips asked for, too, by key."""
    held = db.execute("SELECT key, name, wanted, id FROM clip ORDER BY id").fetchall()
    named = assign(asked, (Holder(key, name, bool(wanted)) for key, name, wanted, _ in held))
    changed = [(named[key], row) for key, name, _, row in held if named[key] != name]
    db.executemany(schema.UNNAME, ((row,) for _, row in changed))
    db.executemany(schema.RENAME, changed)
    return named
