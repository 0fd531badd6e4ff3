"""How a run ends early: why, with which exit code, resumable, and with nothing left behind that was paid for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch import Batch, Kill, Limits, check
from full_disk import freed, full

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.runner.context import RunContext
from batchgen.selection import Selection
from batchgen.testing import COST, FakeDownloads, FakeProvider, always, first, wanted


def request(
    after_s: float, *, grace_s: float = float("inf"), now: bool = False
) -> Callable[[RunContext], Coroutine[Any, Any, None]]:
    """Press Ctrl-C after some seconds."""

    async def wait_and_pull(tools: RunContext) -> None:
        await asyncio.sleep(after_s)
        tools.shutdown.request("Ctrl-C", Exit.INTERRUPTED, grace_s=grace_s, now=now)

    return wait_and_pull


# --- the budget ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4, 8, 32])
@pytest.mark.parametrize("cap", [0, COST, 2 * COST, 5 * COST + 1, 20 * COST])
def test_the_budget_is_a_wall(tmp_path: Path, cap: int, concurrency: int) -> None:
    """Whatever the concurrency; and it is used as far as the worst price lets it."""
    limits = Limits(cap=cap, submit_concurrency=concurrency)
    batch = Batch(tmp_path, 12, limits=limits)
    highest = 0

    def watch(*_: object) -> None:
        nonlocal highest
        highest = max(highest, tools[0].ledger.money.spent + tools[0].ledger.money.reserved)

    tools: list[RunContext] = []

    async def beside(given: RunContext) -> None:
        tools.append(given)
        given.ledger.observers.append(watch)

    life = batch.live(beside=beside)
    assert highest <= cap
    assert batch.provider.spent() <= cap
    affordable = min(12, cap // COST) if cap >= 2 * COST else 0
    assert Counter(batch.states())[State.DONE] == affordable
    assert life.exit is (None if affordable == 12 else Exit.STOPPED)
    if affordable < 12:
        assert "budget" in life.why
    check(batch, life)


def test_the_cap_is_of_the_batch_over_all_its_runs(tmp_path: Path) -> None:
    """--max-usd 2 typed twice does not spend 4; a higher one goes on."""
    batch = Batch(tmp_path, 12, limits=Limits(cap=4 * COST))
    for _ in range(3):
        batch.live()
    assert batch.provider.spent() == 4 * COST
    batch.limits = replace(batch.limits, cap=None)
    life = batch.live()
    assert batch.states() == [State.DONE] * 12
    check(batch, life)


def test_a_charge_above_its_reservation_stops_submission_until_it_fits(tmp_path: Path) -> None:
    """The table was wrong by more than twice: re-price all, and submit no more than the cap bears."""
    provider = FakeProvider(cost=lambda _: 3 * COST, spread=0.0)
    batch = Batch(tmp_path, 20, provider=provider, limits=Limits(cap=20 * COST, in_flight=4))
    life = batch.live()
    assert provider.spent() <= 20 * COST
    assert life.exit is Exit.STOPPED
    assert Counter(batch.states())[State.DONE] == 6
    check(batch, life)


def test_an_unknown_price_under_a_cap_is_not_submitted(tmp_path: Path) -> None:
    """Unknown is unknown, never 0."""
    batch = Batch(tmp_path, 2, limits=Limits(cap=100 * COST, estimate=None))
    life = batch.live()
    assert batch.provider.posts == []
    assert "not known" in life.why
    batch.limits = replace(batch.limits, cap=None)
    batch.live()
    assert batch.states() == [State.DONE] * 2


def test_a_cost_that_is_never_told_stays_reserved(tmp_path: Path) -> None:
    """It will be on the bill all the same."""
    provider = FakeProvider(cost=always(None))  # type: ignore[arg-type]
    batch = Batch(tmp_path, 12, provider=provider, limits=Limits(cap=5 * COST))
    life = batch.live()
    assert batch.money().reserved == 4 * COST
    assert len(provider.jobs) == 2
    assert life.exit is Exit.STOPPED
    check(batch, life)


def test_what_was_lost_or_is_in_doubt_stays_in_the_budget(tmp_path: Path) -> None:
    """It may be charged yet."""
    provider = FakeProvider(post=first("unsure", "unsure"))
    batch = Batch(tmp_path, 12, provider=provider, limits=Limits(cap=6 * COST))
    batch.live()
    assert Counter(batch.states())[State.UNCONFIRMED] == 2
    assert batch.money().reserved == 4 * COST
    assert provider.spent() <= 2 * COST


# --- limit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 3, 5, 6, 7])
def test_the_limit_is_the_number_of_clips_that_are_submitted(tmp_path: Path, limit: int) -> None:
    """`--limit 3` is how people try a manifest: three clips, all of them collected."""
    batch = Batch(tmp_path, 6)
    life = batch.live(Selection(limit=limit))
    assert len(batch.provider.posts) == min(limit, 6)
    assert Counter(batch.states())[State.DONE] == min(limit, 6)
    assert life.exit is None  # it did what was asked
    check(batch, life)


def test_a_limited_run_retries_what_failed_for_now(tmp_path: Path) -> None:
    """The limit counts clips, not requests."""
    batch = Batch(tmp_path, 6, provider=FakeProvider(fate=first("transient")))
    batch.live(Selection(limit=2))
    assert Counter(batch.states())[State.DONE] == 2


# --- the account --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["credits", "retired"])
def test_an_account_that_can_still_collect_does_so_and_submits_no_more(tmp_path: Path, trouble: str) -> None:
    """What is in flight was paid for."""
    provider = FakeProvider(post=first("ok", "ok", "ok", then=trouble))
    batch = Batch(tmp_path, 12, provider=provider)
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 3, State.PENDING: 9}
    assert life.exit is Exit.STOPPED
    assert trouble in life.why
    assert len(provider.posts) <= 3 + batch.limits.submit_concurrency
    check(batch, life)
    provider.post = always("ok")
    batch.live()
    assert batch.states() == [State.DONE] * 12


def test_a_dead_key_stops_the_night_at_once_and_all_stays_resumable(tmp_path: Path) -> None:
    """Nothing can be asked any more."""
    provider = FakeProvider()
    provider.get = lambda _: "key" if asyncio.get_running_loop().time() > 30 else "ok"
    provider.post = lambda _: "key" if asyncio.get_running_loop().time() > 30 else "ok"
    batch = Batch(tmp_path, 50, provider=provider)
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.lasted_s < 120
    check(batch, life)
    provider.get = provider.post = always("ok")
    life = batch.live()
    assert batch.states() == [State.DONE] * 50
    check(batch, life)


# --- the shutdown ----------------------------------------------------------------------------------------------


def test_ctrl_c_waits_for_the_answers_of_posts_on_the_way(tmp_path: Path) -> None:
    """No doubt on a clean stop."""
    batch = Batch(tmp_path, 30, provider=FakeProvider(post_s=20.0))
    life = batch.live(beside=request(5.0, grace_s=1.0))
    assert life.exit is Exit.INTERRUPTED
    assert life.lasted_s < 30
    counts = Counter(batch.states())
    assert counts[State.GENERATING] == len(batch.provider.jobs) == 4
    assert counts[State.SUBMITTING] == counts[State.UNCONFIRMED] == 0
    check(batch, life)


def test_a_grace_collects_what_completes_within_it(tmp_path: Path) -> None:
    """--grace 100 gets those that run for 60."""
    batch = Batch(tmp_path, 30, provider=FakeProvider(slots=4, spread=0.0))
    life = batch.live(beside=request(30.0, grace_s=100.0))
    assert Counter(batch.states()) == {
        State.DONE: len(batch.provider.posts),
        State.PENDING: 30 - len(batch.provider.posts),
    }
    assert 4 <= len(batch.provider.posts) < 30
    assert life.lasted_s < 131
    check(batch, life)


def test_draining_collects_all_that_is_in_flight(tmp_path: Path) -> None:
    """--drain."""
    batch = Batch(tmp_path, 100, provider=FakeProvider(run_s=900.0))
    life = batch.live(beside=request(1500.0))
    counts = Counter(batch.states())
    assert counts[State.DONE] == len(batch.provider.jobs)
    assert counts[State.DONE] + counts[State.PENDING] == 100
    check(batch, life)


def test_a_second_signal_leaves_at_once_and_the_answer_is_in_doubt(tmp_path: Path) -> None:
    """Listed, looked for, and never sent again by itself."""
    batch = Batch(tmp_path, 30, provider=FakeProvider(post_s=20.0))
    life = batch.live(beside=request(5.0, now=True))
    assert life.lasted_s < 6
    assert Counter(batch.states())[State.SUBMITTING] == 4
    posts = len(batch.provider.posts)
    life = batch.live()
    counts = Counter(batch.states())
    assert counts[State.DONE] + counts[State.UNCONFIRMED] == 30
    assert len(batch.provider.posts) - posts == 26
    check(batch, life)


# --- the disk -----------------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_run_and_costs_no_generation(tmp_path: Path) -> None:
    """What was paid for is safe, and fetched by the next run."""
    downloads = FakeDownloads(meets=first("full"))
    batch = Batch(tmp_path, 12, downloads=downloads)
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert "disk" in life.why
    check(batch, life)
    life = batch.live()
    assert batch.states() == [State.DONE] * 12
    check(batch, life)


@pytest.mark.parametrize("event", ["SubmitStarted", "Submitted", "Generated", "Downloaded", "%"])
def test_a_ledger_that_can_not_be_written_stops_the_run_and_loses_nothing(tmp_path: Path, event: str) -> None:
    """No POST without an intent; an id in hand is never dropped, and needs no history to be found again."""
    batch = Batch(tmp_path, 12, provider=FakeProvider(look=always("down")))
    batch.live(Selection(limit=2))
    full(batch.folder, event)
    posts = len(batch.provider.posts)
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert "full" in life.why
    if event in ("SubmitStarted", "%"):
        assert len(batch.provider.posts) == posts
    freed(batch.folder)
    life = batch.live()
    assert batch.states() == [State.DONE] * 12
    assert all(job.request_id in {clip.request_id for clip in batch.clips().values()}
               for job in batch.provider.jobs.values())  # fmt: skip
    check(batch, life)


def test_a_full_disk_while_doubts_are_settled_stops_the_run_in_order(tmp_path: Path) -> None:
    """Not with a traceback and POSTs cut off."""
    provider = FakeProvider(post=first("lost"), look=first("down"))
    batch = Batch(tmp_path, 4, provider=provider)
    batch.live()
    full(batch.folder, "Generated")
    life = batch.live()
    assert life.exit is Exit.STOPPED
    freed(batch.folder)
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    check(batch, life)


def test_a_run_that_dies_of_a_bug_leaves_nothing_running(tmp_path: Path) -> None:
    """The traceback comes out, and the next run resumes."""
    batch = Batch(tmp_path, 6)

    def bug(_: str) -> str:
        raise ZeroDivisionError

    batch.downloads.meets = bug
    with pytest.raises(BaseExceptionGroup) as caught:
        batch.live()
    assert caught.group_contains(ZeroDivisionError)
    batch.downloads.meets = always("ok")
    life = batch.live()
    counts = Counter(batch.states())
    assert counts[State.DONE] + counts[State.UNCONFIRMED] == 6
    check(batch, life)


def test_a_resumed_batch_that_is_over_its_ceiling_waits_for_room(tmp_path: Path) -> None:
    """What is in flight already counts."""
    provider = FakeProvider(run_s=500.0, spread=0.0)
    batch = Batch(tmp_path, [wanted(n) for n in range(20)], provider=provider)
    batch.live(kill=Kill("event", 16))
    batch.limits = replace(batch.limits, in_flight=2)
    at_work = len(provider.jobs)
    life = batch.live()
    first_new = provider.posts[at_work][0] if len(provider.posts) > at_work else 0.0
    assert first_new > 400
    check(batch, life)
