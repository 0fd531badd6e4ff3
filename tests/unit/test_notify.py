"""When people are informed, and how addresses are read."""

from __future__ import annotations

import pytest

from batchgen.errors import Exit
from batchgen.notify.addresses import AddressKind, addresses
from batchgen.notify.conditions import NightConditions, Occasion

HOOK = "https://hooks.example/T0/sesame"


def test_a_burst_of_failures_is_reported_once() -> None:
    """Five, if they are a fifth of what ended within ten minutes; not again in the same run."""
    night = NightConditions()
    for n in range(4):
        night.clip_ended(float(n), failed=True)
    assert night.check(10.0, unconfirmed=0) == []
    night.clip_ended(11.0, failed=True)
    assert night.check(12.0, unconfirmed=0) == [Occasion.FAILURES]
    assert night.check(13.0, unconfirmed=0) == []


@pytest.mark.parametrize(("done", "apart_s"), [(21, 1.0), (0, 200.0)])
def test_a_few_failures_among_many_clips_or_over_hours_are_no_burst(done: int, apart_s: float) -> None:
    """A night of thousands has some, and nobody wants to wake up for them."""
    night = NightConditions()
    for n in range(done):
        night.clip_ended(float(n), failed=False)
    for n in range(5):
        night.clip_ended(30.0 + n * apart_s, failed=True)
        assert night.check(30.0 + n * apart_s, unconfirmed=0) == []


def test_clips_in_doubt_are_reported_when_they_stay_so() -> None:
    """The history mostly finds them within minutes."""
    night = NightConditions()
    assert night.check(0.0, unconfirmed=1) == []
    assert night.check(500.0, unconfirmed=0) == []
    assert night.check(1000.0, unconfirmed=2) == []
    assert night.check(1899.0, unconfirmed=2) == []
    assert night.check(1900.0, unconfirmed=2) == [Occasion.UNCONFIRMED]
    assert night.ended(Exit.NEEDS_DECISION, by_budget=False, unconfirmed=2) == [Occasion.DONE]


@pytest.mark.parametrize(
    ("code", "by_budget", "unconfirmed", "due"),
    [
        (Exit.OK, False, 0, [Occasion.DONE]),
        (Exit.SOME_FAILED, False, 0, [Occasion.DONE]),
        (Exit.NEEDS_DECISION, False, 1, [Occasion.UNCONFIRMED, Occasion.DONE]),
        (Exit.STOPPED, True, 0, [Occasion.BUDGET]),
        (Exit.STOPPED, False, 0, [Occasion.STOPPED]),
        (Exit.INTERRUPTED, False, 0, [Occasion.STOPPED]),
        (Exit.BUG, False, 0, [Occasion.STOPPED]),
    ],
)
def test_the_end_is_one_message(code: Exit, by_budget: bool, unconfirmed: int, due: list[Occasion]) -> None:
    """With what needs a decision before it."""
    assert NightConditions().ended(code, by_budget=by_budget, unconfirmed=unconfirmed) == due


def test_who_types_the_command_is_not_informed_that_it_began() -> None:
    """Who set a timer is."""
    assert NightConditions().started(by_timer=False) is None
    assert NightConditions().started(by_timer=True) is Occasion.STARTED


def test_addresses_have_their_variables_filled_in_and_are_never_shown() -> None:
    """A webhook's address is a password."""
    given = addresses(["$HOOK", "heartbeat+https://beat.example/${ID}?x=1"], {"HOOK": f"{HOOK}\n", "ID": "sesame"})
    hook, beat = given.usable
    assert (hook.kind, hook.url) == (AddressKind.WEBHOOK, HOOK)
    assert (beat.kind, beat.url) == (AddressKind.HEARTBEAT, "https://beat.example/sesame?x=1")
    assert beat.signal("fail") == "https://beat.example/sesame/fail?x=1"
    assert beat.signal("") == beat.url
    assert "sesame" not in f"{given} {hook} {beat!r}"
    assert str(beat) == "notify 2 (heartbeat at beat.example)"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "notify 1: the variable HOOK is not set"),
        ("sesame", "notify 1: this is not an address that can be called"),
        ("https://", "notify 1: this is not an address that can be called"),
        ("https://[sesame", "notify 1: this is not an address that can be called"),
        ("ntfy://sesame/topic", "notify 1: ntfy:// is not supported yet"),
        ("http://hooks.example/sesame", "notify 1: a notification over http can be read by others"),
    ],
)
def test_an_address_that_cannot_be_used_is_reported_without_its_text(value: str, fault: str) -> None:
    """The others are used; the run is not stopped by it."""
    given = addresses(["$HOOK", HOOK], {"HOOK": value})
    assert [each.number for each in given.usable] == [2]
    assert given.faults[0].startswith(fault)
    assert "sesame" not in given.faults[0]
