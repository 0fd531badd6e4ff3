"""A saved plan: as it was written or refused, run as it was planned or refused with what has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.billing.prices import PriceSource, Quote
from batchgen.clip import ClipSummary, State, Wanted
from batchgen.errors import UsageError
from batchgen.planning import Conditions, Plan, make_plan
from batchgen.planning.saved import Basis, Saved, differences, read, save, text_of
from batchgen.selection import Selection

BASIS = Basis(
    manifest="a" * 64,
    files={"shots.csv": "b" * 64},
    folder="night",
    settings={"max_usd": 20_000_000, "sandbox": False, "limit": None},
)
WANTED = [
    Wanted(f"k{n}", f"p{n}", 1, "m", json.dumps({"size": "s", "duration": 5}), f"clip_{n}", order=n) for n in range(8)
]
ROOTS = [clip.key for clip in WANTED]
STATES = [State.DONE, State.FAILED, State.GENERATING, State.UNCONFIRMED, State.PENDING]


def known(n: int, state: State, requests: int = 1) -> ClipSummary:
    clip = WANTED[n]
    return ClipSummary(
        clip.key, clip.prompt_id, 1, "m", clip.params, clip.name, n, 0, "", None, None, state, requests, 0, 0, "", 1.0,
        0, 0, 0,
    )  # fmt: skip


#: Done, failed, in flight, in doubt, put back; the last three were never submitted.
LEDGER = [known(n, state) for n, state in enumerate(STATES)]


def plan_of(there: Sequence[ClipSummary], price: int = 625_000, told: int = 625_000, limit: int | None = None) -> Plan:
    def quote(_model: str, _params: Mapping[str, Any]) -> Quote:
        return Quote(price, PriceSource.LEARNED, told, PriceSource.TABLE, 5)

    return make_plan(WANTED, there, quote=quote, conditions=Conditions(name="night"), selection=Selection(limit=limit))


def saved_of(there: Sequence[ClipSummary] = LEDGER, limit: int | None = None) -> Saved:
    return save(plan_of(there, limit=limit), there, BASIS, roots=ROOTS, made_at="2026-11-24T01:00:00Z")


def differences_of(
    saved: Saved, there: Sequence[ClipSummary], *, begun: bool = False, basis: Basis = BASIS, **how: Any
) -> list[str]:
    return differences(saved, plan_of(there, **how), there, basis, roots=ROOTS, begun=begun)


# --- the file -------------------------------------------------------------------------------------------


def test_a_plan_is_read_as_it_was_written() -> None:
    """And written the same every time: two plans of one world have one hash."""
    saved = saved_of()
    assert read(text_of(saved)) == saved
    assert saved_of().sha256 == saved.sha256
    assert list(saved.submit) == ["k4", "k5", "k6", "k7"]
    assert saved.chosen == {"k4", "k5", "k6", "k7"}


@pytest.mark.parametrize("what", ["submit", "settings", "prices", "counts", "made_at"])
def test_a_plan_that_was_edited_is_refused(what: str) -> None:
    """What was agreed to is what is run; another cap, or one more clip, is another plan."""
    value = json.loads(text_of(saved_of()))
    if what == "submit":
        value["submit"].append("k0")
    elif what == "settings":
        value["basis"]["settings"]["max_usd"] = 10**12
    elif what == "prices":
        value["prices"]["m s 5"] = [1, 1]
    elif what == "counts":
        value["counts"] = {}
    else:
        value["made_at"] = "2027-01-01T00:00:00Z"
    with pytest.raises(UsageError, match="edited or damaged"):
        read(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a saved plan"),
        ("[]", "not a saved plan"),
        ("{}", "not a saved plan"),
        ("[" * 100_000, "not a saved plan"),
        ('{"format": "batchgen plan"}', "version None"),
        ('{"format": "batchgen plan", "version": 2}', "version 2"),
        ('{"format": "batchgen plan", "version": 1}', "edited or damaged"),
        ('{"format": "batchgen plan", "version": 1, "stranger": 1}', "edited or damaged"),
        ('{"format": "batchgen plan", "version": 1, "basis": {"stranger": 1}}', "edited or damaged"),
        ('{"format": "batchgen plan", "version": 1, "basis": []}', "edited or damaged"),
    ],
)
def test_what_is_no_plan_is_told_in_words(text: str, said: str) -> None:
    """A manifest given by mistake, a file cut short, one of a later release: no traceback."""
    with pytest.raises(UsageError, match=said):
        read(text)


# --- the world ------------------------------------------------------------------------------------------


def test_a_world_that_stood_still_fits() -> None:
    """Whatever a run does before its first submission: it takes in new clips, nothing else."""
    synced = [*LEDGER, *(known(n, State.PENDING, 0) for n in (5, 6, 7))]
    assert differences_of(saved_of(), LEDGER) == differences_of(saved_of(), synced) == []


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        (replace(BASIS, manifest="c"), ["the manifest was edited"]),
        (replace(BASIS, files={"shots.csv": "c"}), ["files of the manifest were edited: shots.csv"]),
        (replace(BASIS, files={}), ["files of the manifest were edited: shots.csv"]),
        (replace(BASIS, folder="day"), ["the batch folder is day, the plan has night"]),
        (
            replace(BASIS, settings={**BASIS.settings, "max_usd": 5_000_000, "sandbox": True}),
            ["max_usd is $5.00, the plan has $20.00", "sandbox is true, the plan has false"],
        ),
        (replace(BASIS, settings={**BASIS.settings, "max_usd": None}), ["max_usd is not set, the plan has $20.00"]),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_edit_is_told_and_refused(basis: Basis, said: list[str], begun: bool) -> None:
    """Also in the middle of a plan: the rest of it would be another plan."""
    assert differences_of(saved_of(), LEDGER, basis=basis, begun=begun) == said


def test_what_was_done_meanwhile_is_told() -> None:
    """Another run has made one of its clips."""
    there = [*LEDGER, known(5, State.DONE)]
    assert differences_of(saved_of(), there) == ["the ledger has changed (paid 2 → 3)"]


def test_a_retry_meanwhile_is_told() -> None:
    """It adds a clip to what is submitted, and nobody has agreed to it."""
    there = [LEDGER[0], known(1, State.PENDING), *LEDGER[2:]]
    assert differences_of(saved_of(), there) == ["the ledger has changed (failed 1 → 0, pending 1 → 2)"]
    assert differences_of(saved_of(), there, begun=True)


def test_a_reroll_meanwhile_is_told() -> None:
    """The same, also in the middle of the plan."""
    roll = known(0, State.PENDING, 0)._replace(key="roll", take=2, reroll_of="k0")
    assert differences_of(saved_of(), [*LEDGER, roll]) == ["the ledger has changed (pending 1 → 2)"]
    assert differences_of(saved_of(), [*LEDGER, roll], begun=True)


def test_the_end_of_what_was_in_flight_is_no_surprise() -> None:
    """The plan said that it would be fetched."""
    there = [*LEDGER[:2], known(2, State.DONE), *LEDGER[3:]]
    assert differences_of(saved_of(), there) == []


def test_a_price_that_moved_is_told() -> None:
    """What was agreed to was another amount."""
    assert differences_of(saved_of(), LEDGER, price=800_000) == [
        "m s 5 is estimated at $0.80 a clip, the plan has $0.625"
    ]


def test_what_the_plans_own_clips_were_charged_is_no_surprise() -> None:
    """Else every plan that learns a price could never be resumed; a new price in manifest or table is one."""
    assert differences_of(saved_of(), LEDGER, begun=True, price=800_000) == []
    assert differences_of(saved_of(), LEDGER, begun=True, told=700_000)


@given(st.lists(st.sampled_from(State), min_size=6, max_size=6), st.integers(1, 3))
def test_progress_on_the_plan_may_stand_anywhere(states: list[State], requests: int) -> None:
    """Killed at any moment, it goes on; begun or not is what tells progress from another run's work."""
    own = [2, 3, 4, 5, 6, 7]
    there = [*LEDGER[:2], *(known(n, state, requests) for n, state in zip(own, states, strict=True))]
    assert differences_of(saved_of(), there, begun=True) == []


@given(st.sampled_from([0, 1]), st.sampled_from(State), st.integers(1, 3))
def test_whatever_becomes_of_another_clip_is_told(n: int, state: State, requests: int) -> None:
    """Done and being fetched again are the same; anything else is not what was planned."""
    there = [clip for clip in LEDGER if clip.key != f"k{n}"] + [known(n, state, requests)]
    paid = {State.DONE, State.DOWNLOADING, State.GENERATING}
    same = requests == 1 and (LEDGER[n].state is state or (n == 0 and state in paid))
    for begun in (False, True):
        assert bool(differences_of(saved_of(), there, begun=begun)) is not same


def test_clips_beyond_the_limit_are_not_the_plans() -> None:
    """A canary of two is two, and what happens to the others is the world's."""
    saved = saved_of(limit=2)
    assert list(saved.submit) == ["k4", "k5"]
    assert differences_of(saved, LEDGER, limit=2) == []
    assert differences_of(saved, [*LEDGER, known(6, State.DONE)], begun=True, limit=2)
