"""Which clip owns which name: the right film under the right name, and each name only once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Wanted
from batchgen.ledger.wanted import Holder, assign, plain_name, with_known_ids
from batchgen.testing import wanted

#: What the manifest asks for, what the ledger has, and the names that must come of it.
RULES: dict[str, tuple[dict[str, str], list[Holder], dict[str, str]]] = {
    "a new clip has the name that it asks for": ({"k1": "a"}, [], {"k1": "a"}),
    "an edited clip takes the name from the one that it replaces": (
        {"new": "a"}, [Holder("old", "a")], {"new": "a", "old": "replaced/a~old"},
    ),
    "the clip of before the edit has its name back": (
        {"old": "a"}, [Holder("old", "replaced/a~old"), Holder("new", "a")], {"old": "a", "new": "replaced/a~new"},
    ),
    "a name that differs in case is the same name": (
        {"new": "Rain"}, [Holder("old", "rAIN")], {"new": "Rain", "old": "replaced/rAIN~old"},
    ),
    "a batch of an earlier release is put right": (
        {"k3": "a"},
        [Holder("k1", "a"), Holder("k2", "a~k2"), Holder("k3", "a~k3")],
        {"k3": "a", "k1": "replaced/a~k1", "k2": "replaced/a~k2"},
    ),
    "what has no successor stays where it is": (
        {"k1": "a"}, [Holder("k1", "a"), Holder("gone", "b")], {"k1": "a", "gone": "b"},
    ),
    "a replaced clip whose successor is gone, too, stays where it is": (
        {}, [Holder("old", "replaced/a~old"), Holder("new", "a")], {"old": "replaced/a~old", "new": "a"},
    ),
    "a finished clip keeps its name under another template": ({"k1": "a_16x9"}, [Holder("k1", "a")], {"k1": "a"}),
    "but not a name that another clip asks for": (
        {"k1": "b", "k2": "a"}, [Holder("k1", "a")], {"k1": "b", "k2": "a"},
    ),
    "two clips that swap their ids swap their names": (
        {"k1": "b", "k2": "a"}, [Holder("k1", "a"), Holder("k2", "b")], {"k1": "b", "k2": "a"},
    ),
    "a re-roll is wanted, and only steps aside": (
        {"k1": "a_3"}, [Holder("roll", "a_3", wanted=True)], {"k1": "a_3", "roll": "a_3~roll"},
    ),
    "a re-roll takes its name from a clip that is no longer wanted": (
        {"k1": "a"},
        [Holder("k1", "a"), Holder("old", "a_2"), Holder("roll", "a_2~roll", wanted=True)],
        {"k1": "a", "old": "replaced/a_2~old", "roll": "a_2"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_names_go_to_those_who_ask_for_them_now(rule: str) -> None:
    """Else the client is handed the film of yesterday."""
    asked, held, names = RULES[rule]
    assert assign(asked, held) == names


_KEYS = [f"v1-{n}{'0' * 7}" for n in range(6)]
_NAME = st.sampled_from("aAbBc")


@st.composite
def batches(draw: st.DrawFn) -> tuple[dict[str, str], list[Holder]]:
    """A manifest whose names differ, and a ledger whose names once followed the rules of some release."""
    keys = draw(st.permutations(_KEYS))
    asked_names = draw(st.lists(_NAME, unique_by=str.casefold, max_size=3))
    asked = dict(zip(draw(st.permutations(_KEYS)), asked_names, strict=False))
    held: dict[str, Holder] = {}
    for key in keys[: draw(st.integers(0, 6))]:
        name = draw(_NAME)
        name = draw(st.sampled_from([name, f"{name}~{key[-8:]}", f"replaced/{name}~{key[-8:]}"]))
        held.setdefault(name.casefold(), Holder(key, name, draw(st.booleans()) and key not in asked))
    return asked, list(held.values())


@given(batches())
def test_every_clip_has_a_name_of_its_own_and_keeps_it(batch: tuple[dict[str, str], list[Holder]]) -> None:
    """One file holds one film, a wanted clip's name is a plain one, and the next run changes nothing."""
    asked, held = batch
    names = assign(asked, held)
    assert set(names) == {*asked, *(holder.key for holder in held)}
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert all(names[key] == plain_name(names[key], key) for key in asked)
    again = [holder._replace(name=names[holder.key]) for holder in held]
    again += [Holder(key, names[key]) for key in asked if key not in {holder.key for holder in held}]
    assert assign(asked, again) == names


def made(n: int, prompt_id: str, take: int = 1, *, derived: bool = True) -> Wanted:
    return replace(wanted(n, take), prompt_id=prompt_id, name=f"{prompt_id}_{take}", derived_id=derived)


#: What the manifest asks for (number, id, take), the ids that the ledger has, the ids and names that must come of it.
KEPT: dict[str, tuple[list[tuple[int, str, int]], dict[str, str], list[tuple[str, str]]]] = {
    "a batch that has none of it": ([(0, "cat", 1)], {}, [("cat", "cat_1")]),
    "an id that an earlier release made": ([(0, "cat", 1)], {"k0.1": "a-cat"}, [("a-cat", "a-cat_1")]),
    "a further take of it": (
        [(0, "cat", 1), (0, "cat", 2)], {"k0.1": "a-cat"}, [("a-cat", "a-cat_1"), ("a-cat", "a-cat_2")],
    ),
    "a prompt that is new in it": (
        [(0, "cat", 1), (1, "dog", 1)], {"k0.1": "a-cat"}, [("a-cat", "a-cat_1"), ("dog", "dog_1")],
    ),
    "an id that another prompt has by now": (
        [(0, "cat", 1), (1, "A-cat", 1)], {"k0.1": "a-cat"}, [("cat", "cat_1"), ("A-cat", "A-cat_1")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_an_id_that_was_made_once_is_kept(case: str) -> None:
    """`--only`, the bill and further takes go by it."""
    asked, known, kept = KEPT[case]
    assert [(c.prompt_id, c.name) for c in with_known_ids([made(*each) for each in asked], known)] == kept


def test_an_id_that_the_user_gives_is_taken_up() -> None:
    """It is the user's, and may change."""
    asked = [made(0, "cat", derived=False)]
    assert with_known_ids(asked, {"k0.1": "a-cat"}) == asked
