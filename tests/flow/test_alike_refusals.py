"""Refusals that are the same for different clips are the account's or the network's, whatever the status code."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.errors import ClipError, Exit
from batchgen.runner.trouble_gates import REFUSED_CLIPS
from batchgen.selection import Selection
from batchgen.testing import FakeProvider, always, first, trouble

SLOTS = 8


class Refusing(FakeProvider):
    """Refuses the POSTs of some clips (by number) with a text; the others meet the usual."""

    refusal: Callable[[int], str | None] = staticmethod(lambda _: None)
    blocked = False

    async def submit(self, model: str, params: Mapping[str, Any], key: str = "") -> Any:
        text = self.refusal(params["seed"] - 1000)
        if text is None:
            return await super().submit(model, params, key)
        self.posts.append((asyncio.get_running_loop().time(), str(params["seed"] - 1000)))
        await asyncio.sleep(self.post_s)
        raise ClipError(f"submit: HTTP 400: {text}", status=400, blocked=self.blocked)


@pytest.mark.parametrize("concurrency", [1, SLOTS])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_dead_account_that_answers_400_stops_the_run_and_fails_no_clip(
    ram: Path, concurrency: int, *, blocked: bool
) -> None:
    """60 clips, each refused with its own request number: a few POSTs, exit 4, all pending, and the reason is named."""
    provider = Refusing()
    provider.blocked = blocked
    provider.refusal = lambda n: f"Arrearage: request {n}: the account is not in good standing"
    batch = Batch(ram, 60, provider=provider, limits=Limits(submit_concurrency=concurrency))
    life = batch.live()
    assert Counter(batch.states()) == {State.PENDING: 60}
    assert life.exit is Exit.STOPPED
    assert "Arrearage" in life.why
    assert "check the account" in life.why
    assert REFUSED_CLIPS < len(provider.posts) <= REFUSED_CLIPS + concurrency + 12
    assert 100.0 <= life.lasted_s < 180.0
    check(batch, life)
    provider.refusal = lambda _: None
    life = batch.live()
    assert batch.states() == [State.DONE] * 60
    check(batch, life)


@pytest.mark.parametrize("blocked", [False, True])
def test_a_hiccup_of_two_minutes_costs_no_clip_and_the_night_goes_on(ram: Path, *, blocked: bool) -> None:
    """A proxy between us and the service refuses for a while in the words of a filter."""
    provider = Refusing()
    provider.blocked = blocked
    provider.refusal = lambda _: "blocked by policy" if 30 < asyncio.get_running_loop().time() < 150 else None
    batch = Batch(ram, 60, provider=provider, limits=Limits(rpm=60))
    life = batch.live()
    assert batch.states() == [State.DONE] * 60
    assert life.exit is None
    assert len(provider.posts) <= 60 + REFUSED_CLIPS + SLOTS + 12
    check(batch, life)


def test_bad_clips_in_front_do_not_hold_up_the_good_ones_and_fail_in_the_end(ram: Path) -> None:
    """Ten rows of a table with a wrong value, then fifty good ones: another clip goes to see each time."""
    provider = Refusing()
    provider.refusal = lambda n: "size must be one of these" if n < 10 else None
    batch = Batch(ram, 60, provider=provider, limits=Limits(in_flight=4, submit_concurrency=1))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 50, State.FAILED: 10}
    assert Counter(name for _, name in provider.posts).most_common(1)[0][1] <= 3
    check(batch, life)


def test_fewer_than_four_are_the_clips_own(ram: Path) -> None:
    """One POST each, also when nothing else is in the batch."""
    provider = Refusing()
    provider.refusal = always("size must be one of these")
    batch = Batch(ram, REFUSED_CLIPS - 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.FAILED] * (REFUSED_CLIPS - 1)
    assert len(provider.posts) == REFUSED_CLIPS - 1
    assert life.exit is None


def test_different_words_are_different_clips_own_faults(ram: Path) -> None:
    """Ten mistakes of ten kinds are no outage."""
    provider = Refusing()
    provider.refusal = lambda n: f"the word {'abcdefghijkl'[n]} is not allowed"
    batch = Batch(ram, 12, provider=provider)
    batch.live()
    assert batch.states() == [State.FAILED] * 12


def test_clips_that_are_refused_while_others_are_accepted_are_to_blame(ram: Path) -> None:
    """Every third one is bad: each fails at once, and nothing waits."""
    provider = Refusing()
    provider.refusal = lambda n: None if n % 3 else "blocked"
    batch = Batch(ram, 60, provider=provider, limits=Limits(submit_concurrency=1))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 40, State.FAILED: 20}
    assert len(provider.posts) == 60
    check(batch, life)


def test_a_clip_that_is_tried_again_counts_once_for_the_limit(ram: Path) -> None:
    """`--limit 6` is six clips, however often each was refused for another's sake."""
    provider = Refusing()
    provider.refusal = lambda _: "no" if asyncio.get_running_loop().time() < 20 else None
    batch = Batch(ram, 12, provider=provider)
    batch.live(Selection(limit=6))
    assert Counter(batch.states()) == {State.DONE: 6, State.PENDING: 6}


# --- the network ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["network", "redirect"])
def test_a_network_that_refuses_from_the_start_ends_the_run_at_once(ram: Path, word: str) -> None:
    """Somebody still sits there, and waiting corrects no address: exit 4, nothing in doubt, nothing reserved."""
    batch = Batch(ram, 12, provider=FakeProvider(post=always(word)))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why.startswith(word)
    assert life.lasted_s < 10
    assert Counter(batch.states()) == {State.PENDING: 12}
    assert batch.money().reserved == 0
    check(batch, life)


@pytest.mark.parametrize("word", ["network", "redirect"])
def test_a_network_that_worked_before_is_waited_for(ram: Path, word: str) -> None:
    """A filter's bad ten minutes at three in the morning."""
    provider = FakeProvider()
    provider.post = lambda _: word if 20 < asyncio.get_running_loop().time() < 620 else "ok"
    batch = Batch(ram, 40, provider=provider, limits=Limits(rpm=60))
    life = batch.live()
    assert batch.states() == [State.DONE] * 40
    assert len(provider.refused) <= SLOTS + 6
    check(batch, life)


def test_arrears_are_named_with_what_to_do(ram: Path) -> None:
    """The words of the service come first, then the advice."""
    batch = Batch(ram, 12, provider=FakeProvider(post=first("ok", then="arrears")))
    life = batch.live()
    assert str(trouble("arrears")) in life.why
    assert Counter(batch.states()) == {State.DONE: 1, State.PENDING: 11}
