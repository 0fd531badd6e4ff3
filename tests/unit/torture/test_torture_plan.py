"""The plan of mischief: the same from the same seed, and nothing is left out."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from batchgen.failpoints import STEPS, Wish
from batchgen.sandbox import Faults
from batchgen.torture.counters import combinations
from batchgen.torture.plan import CUTS, LEDGER_DELETED, LEDGER_ROLLED_BACK, LOCK_DELETED, MOODS, Round, rounds


def first(count: int, seed: int = 1) -> list[Round]:
    return list(islice(rounds(seed, STEPS, clips=400, kills=100), count))


def test_a_seed_is_a_plan() -> None:
    """What broke once can be broken again."""
    assert first(200) == first(200)
    assert first(50) != first(50, seed=2)


def test_every_fault_strikes_at_every_step() -> None:
    """One deck holds all pairs: a long torture deals it more than once."""
    struck = {wish for act in first(130) for wish in act.failpoint.split(",")}
    pairs = {(Wish.parse(text).fault, Wish.parse(text).name) for text in struck if text}
    want = {("kill", step) for step in STEPS} | {
        (f, s) for s, fails in STEPS.items() if fails for f in ("eio", "enospc")
    }
    assert pairs >= want
    assert len(want) == combinations()


def test_all_moods_cuts_and_companions_come_up() -> None:
    """Every sort of mischief is in it, and from outside the process too."""
    acts = first(400)
    assert {act.mood for act in acts} == set(MOODS)
    assert {cut for act in acts for cut in act.wire.cuts} == set(CUTS)
    assert {act.second for act in acts} == {"", "run", "reconcile", "status"}
    assert {act.damage for act in acts} == {"", LOCK_DELETED, LEDGER_DELETED, LEDGER_ROLLED_BACK}
    for trait in ("edit", "word", "service_dies", "gentle", "reconcile_first", "skew_s"):
        assert any(getattr(act, trait) for act in acts), trait
    assert any(not act.failpoint for act in acts)


def test_there_is_always_something_to_do() -> None:
    """A kill of a run that has nothing to do proves little."""
    acts = first(200)
    assert all(later.wanted >= act.wanted for act, later in pairwise(acts))
    assert acts[-1].wanted >= 400


@pytest.mark.parametrize("mood", MOODS)
def test_a_mood_is_one_that_the_sandbox_knows(mood: str) -> None:
    """A mistyped dose would end the torture in its middle."""
    assert any(Faults.parse(MOODS[mood]).doses().values()) == (mood != "calm")
