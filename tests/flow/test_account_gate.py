"""Trouble with the account: one breaker, few calls, nothing paid for left behind, and all of it resumable."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from batch import Batch, Kill, Limits, check

from batchgen.breaker import ACCOUNT
from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.runner.context import RunContext
from batchgen.runner.trouble_gates import CAREFUL
from batchgen.testing import COST, FakeProvider, always, first, trouble

POSTS_OUT = 8


# --- where waiting can't help ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "advice"),
    [("key", "check the API key"), ("forbidden", "its plan and team"), ("model", "check model:"),
     ("retired", "choose another model")],
)  # fmt: skip
def test_a_key_revoked_in_the_night_costs_no_more_posts_than_were_on_their_way(
    ram: Path, word: str, advice: str
) -> None:
    """Hundreds of clips pending, and not one of them hammers: the run says why and what to do, and ends."""
    provider = FakeProvider(post_s=4.0)

    def since(_: object) -> str:
        return word if asyncio.get_running_loop().time() > 120 else "ok"

    provider.post = since
    if word == "key":
        provider.get = since
    batch = Batch(ram, 300, provider=provider, limits=Limits(rpm=120, submit_concurrency=POSTS_OUT))
    life = batch.live()
    assert len(provider.refused) <= POSTS_OUT + 1
    assert 50 < len(provider.jobs) < 250
    assert life.exit is Exit.STOPPED
    assert advice in life.why
    assert "run again" in life.why
    assert Counter(batch.states())[State.FAILED] == 0
    check(batch, life)


@pytest.mark.parametrize("word", ["forbidden", "model", "retired"])
def test_what_is_in_flight_is_collected_while_the_key_still_works(ram: Path, word: str) -> None:
    """It was paid for."""
    provider = FakeProvider(post=first("ok", "ok", "ok", then=word))
    batch = Batch(ram, 12, provider=provider)
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 3, State.PENDING: 9}
    check(batch, life)
    provider.post = always("ok")
    life = batch.live()
    assert batch.states() == [State.DONE] * 12
    check(batch, life)


# --- credits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["credits", "spend"])
def test_an_account_without_credits_is_told_at_the_first_refusal(ram: Path, word: str) -> None:
    """With nothing in flight there is nothing to wait for."""
    provider = FakeProvider(post=always(word), post_s=4.0)
    batch = Batch(ram, 50, provider=provider)
    life = batch.live()
    assert len(provider.posts) <= POSTS_OUT
    assert life.exit is Exit.STOPPED
    assert life.lasted_s < 60
    assert Counter(batch.states()) == {State.PENDING: 50}
    check(batch, life)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_credits_that_are_held_back_for_what_is_in_flight_are_used_when_it_ends(ram: Path, concurrency: int) -> None:
    """The service holds back three times the price: a 406 then is no end, and the last credits buy clips too."""
    provider = FakeProvider(credits=30 * COST, holds=3, run_s=200.0, slots=4)
    batch = Batch(ram, 60, provider=provider, limits=Limits(submit_concurrency=concurrency))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why.startswith("credits")
    assert "top up" in life.why
    assert len(provider.jobs) == 28  # with credits for two left, the next one would need three
    assert Counter(batch.states()) == {State.DONE: 28, State.PENDING: 32}
    check(batch, life)


def test_trials_come_one_at_a_time_and_further_and_further_apart(ram: Path) -> None:
    """A 406 at nine in the evening must not be asked again every second until the morning."""
    provider = FakeProvider(credits=40 * COST, holds=2, run_s=900.0, slots=2, keeps_s=90_000.0)
    batch = Batch(ram, 200, provider=provider, limits=Limits(deadline_s=80_000.0))
    life = batch.live()
    burst = [at for at in provider.refused if at < provider.refused[0] + 5]
    trials = provider.refused[len(burst) : -1]  # the last one comes when nothing is in flight any more
    assert len(burst) <= POSTS_OUT
    assert all(later - sooner >= ACCOUNT.base_s / 2 for sooner, later in pairwise(trials))
    assert len(provider.refused) < 60 + len(burst)
    assert len(provider.jobs) >= 38
    check(batch, life)


def test_after_a_refusal_submissions_go_one_at_a_time_until_the_account_is_sound(ram: Path) -> None:
    """Eight at once against credits for one would be seven refusals for every clip."""
    provider = FakeProvider(post=first("ok", "ok", "ok", "ok", "credits"), post_s=5.0)
    batch = Batch(ram, 60, provider=provider)
    life = batch.live()
    shut = provider.refused[0]
    after = sorted(at for at, _ in provider.posts if at > shut)
    assert after[0] - shut >= ACCOUNT.base_s / 2
    assert all(later - sooner >= 5.0 for sooner, later in pairwise(after[: CAREFUL + 1]))
    assert batch.states() == [State.DONE] * 60
    assert life.exit is None
    check(batch, life)


@pytest.mark.parametrize("kill", [None, Kill("event", 40), Kill("accept", 9)])
def test_topped_up_the_next_run_goes_on_to_the_end_and_pays_for_nothing_twice(ram: Path, kill: Kill | None) -> None:
    """Exit 4, money, the same command again; also when the run that ran dry was killed."""
    provider = FakeProvider(credits=10 * COST, post_s=2.0)
    batch = Batch(ram, 25, provider=provider)
    life = batch.live(kill=kill)
    check(batch, life)
    provider.credits = 1000 * COST
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 25}
    check(batch, life)


def test_a_top_up_while_the_last_clips_run_needs_no_new_start(ram: Path) -> None:
    """What was refused is looked at again when something has ended."""
    provider = FakeProvider(credits=10 * COST, run_s=300.0)
    batch = Batch(ram, 25, provider=provider)

    async def top_up(_tools: RunContext) -> None:
        while not provider.refused:
            await asyncio.sleep(5)
        provider.credits = 1000 * COST

    life = batch.live(beside=top_up)
    assert batch.states() == [State.DONE] * 25
    assert life.exit is None
    check(batch, life)


# --- before the start -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credits_left", "limits", "told"),
    [
        (5 * COST, Limits(), ["$3.13 in credits", "will cost about $7.50"]),
        (12 * COST, Limits(), []),
        (5 * COST, Limits(cap=4 * COST), []),
        (0, Limits(estimate=None), ["$0.00 in credits"]),
        (COST, Limits(estimate=None), []),
    ],
)
def test_credits_that_will_not_last_are_told_before_the_first_submission(
    ram: Path, caplog: pytest.LogCaptureFixture, credits_left: int, limits: Limits, told: list[str]
) -> None:
    """With numbers, as a warning: the night goes as far as it can."""
    provider = FakeProvider(credits=credits_left)
    batch = Batch(ram, 12, provider=provider, limits=limits)
    batch.live()
    warnings = [record.getMessage() for record in caplog.records if record.name == "batchgen.runner.alerts"]
    assert len(warnings) == bool(told)
    assert all(text in warnings[0] for text in told)
    assert len(provider.jobs) == min(12, credits_left // COST, (limits.cap or 10**9) // COST)


def test_a_balance_that_is_not_told_holds_nothing_up(ram: Path) -> None:
    """It only warns: a service that can't say it, or never answers, costs ten seconds at most."""

    class Mute(FakeProvider):
        async def balance(self) -> int:
            await asyncio.sleep(1e6)
            return 0

    class Down(FakeProvider):
        async def balance(self) -> int:
            raise trouble("server")

    for provider in (Mute(), Down()):
        batch = Batch(ram / type(provider).__name__, 3, provider=provider)
        life = batch.live()
        assert batch.states() == [State.DONE] * 3
        assert provider.posts[0][0] <= 11
        check(batch, life)


# --- what may pass by itself ----------------------------------------------------------------------------------


def test_an_account_that_is_held_up_for_a_while_is_waited_for_with_few_calls(ram: Path) -> None:
    """A 403 that says "try again later" for twenty minutes: one goes first to see."""
    provider = FakeProvider(post_s=2.0)
    provider.post = lambda _: "throttled" if 100 < asyncio.get_running_loop().time() < 1300 else "ok"
    batch = Batch(ram, 40, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 40
    assert len(provider.refused) <= POSTS_OUT + 8
    assert life.exit is None
    check(batch, life)


def test_an_account_that_stays_held_up_ends_the_run_resumable(ram: Path) -> None:
    """--give-up."""
    provider = FakeProvider(post=always("throttled"))
    batch = Batch(ram, 40, provider=provider, limits=Limits(give_up_s=7200.0))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why.startswith("throttled")
    assert 7200 <= life.lasted_s < 7200 + 1200
    assert len(provider.refused) <= POSTS_OUT + 25
    assert Counter(batch.states()) == {State.PENDING: 40}
    check(batch, life)


def test_ctrl_c_ends_the_wait_for_the_account(ram: Path) -> None:
    """Nobody has to wait for a pause to end."""
    provider = FakeProvider(post=always("throttled"))
    batch = Batch(ram, 10, provider=provider)

    async def press(tools: RunContext) -> None:
        await asyncio.sleep(100)
        assert tools.waits
        tools.shutdown.request("Ctrl-C", Exit.INTERRUPTED, grace_s=1.0)

    life = batch.live(beside=press)
    assert life.exit is Exit.INTERRUPTED
    assert life.lasted_s < 110
    check(batch, life)


def test_a_refusal_for_the_accounts_sake_is_the_end_of_an_outage(tmp_path: Path) -> None:
    """It is an answer: were it not told, all would wait a minute for the one that had gone to see."""
    words: list[str] = []

    def post(_: object) -> str:
        out = asyncio.get_running_loop().time() < 200.0
        words.append("unreachable" if out else "throttled" if "throttled" not in words else "ok")
        return words[-1]

    provider = FakeProvider(post=post)
    batch = Batch(tmp_path, 2, provider=provider)
    life = batch.live()
    met = words.index("throttled")
    assert provider.posts[met + 1][0] - provider.posts[met][0] < 40.0
    assert batch.states() == [State.DONE] * 2
    check(batch, life)
