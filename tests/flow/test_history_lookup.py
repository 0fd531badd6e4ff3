"""The request history refuses calls as too many, or is out of reach: obeyed, waited out, and told as what it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from batch import Batch, Life, Limits, check
from test_recovery_check import lose

from batchgen.breaker import HISTORY
from batchgen.clip import State
from batchgen.errors import RateLimited
from batchgen.events import Lost
from batchgen.polling.poller import Overdue
from batchgen.providers.base import Completed, Gone, HistoryRow
from batchgen.ratelimit.base import Call
from batchgen.runner.context import RunContext
from batchgen.runner.outcomes import lost as no_file
from batchgen.testing import COST, FakeDownloads, FakeJob, FakeProvider, always, first


def now() -> float:
    return asyncio.get_running_loop().time()


def until(end: float, word: str) -> Callable[[], str]:
    """The history does so until a moment of the loop's clock."""
    return lambda: word if now() < end else "ok"


def lost(life: Life) -> list[Lost]:
    return [event for _, event in life.events if isinstance(event, Lost)]


@pytest.mark.parametrize("word", ["rate", "rate-30", "unreachable"])
def test_a_record_that_is_gone_is_no_loss_while_the_history_will_not_answer(tmp_path: Path, word: str) -> None:
    """It keeps its rows long after the record's hour: the clip waits, is collected, and is paid for once."""
    provider = FakeProvider(run_s=50.0, keeps_s=65.0, get=always("gone"), look=until(1_000.0, word))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert lost(life) == []
    assert len(provider.posts) == 1
    check(batch, life)


def test_who_waits_for_the_history_gives_his_place_back(tmp_path: Path) -> None:
    """Others are made meanwhile, though only one may be in flight."""
    provider = FakeProvider(look=until(3_000.0, "rate"))
    provider.get = lambda job: "gone" if job and job.request_id == "r1" else "ok"
    batch = Batch(tmp_path, 4, provider=provider, limits=Limits(in_flight=1))
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    assert provider.posts[-1][0] < 3_000.0
    check(batch, life)


@pytest.mark.parametrize("get", ["gone", "no link", "says WARMING_UP"])
def test_a_history_that_never_answers_is_told_as_that_and_not_as_an_absence(tmp_path: Path, get: str) -> None:
    """The API answers all others: this one's wait ends when the run's patience does, and its money stays reserved."""
    provider = FakeProvider(look=always("rate"), run_s=600.0)
    provider.get = lambda job: get if job and job.request_id == "r1" else "ok"
    batch = Batch(tmp_path, 8, provider=provider, limits=Limits(in_flight=1, deadline_s=600.0, give_up_s=1_800.0))
    life = batch.live()
    assert Counter(batch.states()) == {State.LOST: 1, State.DONE: 7}
    [end] = lost(life)
    assert "history gave no answer: 429" in end.reason
    assert "no file" not in end.reason or get == "no link"
    assert len(provider.posts) == 8
    assert (batch.money().reserved > 0) == (end.cost is None)
    check(batch, life)


def test_an_answer_that_says_nothing_is_asked_for_a_few_times_and_told_as_that(tmp_path: Path) -> None:
    """A key that may not read the history will not be let in by waiting."""
    provider = FakeProvider(fate=always("stuck"), keeps_s=100.0, look=always("down"))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    [end] = lost(life)
    assert end.reason.endswith("the request history gave no answer: the history answers 502")
    assert life.lasted_s < 600.0
    check(batch, life)


def test_a_video_that_is_the_answer_itself_does_not_wait_for_the_history(tmp_path: Path) -> None:
    """Its record ends: what is at hand is fetched."""
    provider = FakeProvider(fate=always("inline"), look=always("rate-30"))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert life.lasted_s < 300.0
    assert (len(provider.posts), batch.money().reserved) == (1, 2 * COST)  # its price, which only the history knows


def test_a_young_request_that_nobody_knows_yet_is_asked_for_again_though_the_history_will_not_answer(
    tmp_path: Path,
) -> None:
    """To wait for the history's hour would be to look away from a record that is there by then."""
    provider = FakeProvider(run_s=10.0, look=until(3_000.0, "rate"))
    provider.get = lambda job: "gone" if now() < 40.0 else "ok"
    batch = Batch(tmp_path, 1, provider=provider, limits=Limits(expect_s=10.0))
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert life.lasted_s < 300.0
    check(batch, life)


def test_while_the_history_refuses_one_asks_for_all(tmp_path: Path) -> None:
    """Each refusal slows the whole run down: thirty clips that ask by turns each minute would stop the others."""
    refused: list[float] = []

    def look() -> str:
        if now() >= 5_000.0:
            return "ok"
        refused.append(now())
        return "rate"

    provider = FakeProvider(run_s=50.0, get=always("gone"), look=look)
    batch = Batch(tmp_path, 30, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    assert sum(at > 300.0 for at in refused) < 20
    assert life.lasted_s < 5_000.0 + 1.1 * HISTORY.cap_s
    check(batch, life)


def test_a_dead_link_waits_for_nobody_elses_turn(tmp_path: Path) -> None:
    """The first file's link is dead while the history refuses; as soon as that answers, it is renewed."""
    provider = FakeProvider(look=until(100.0, "rate"))
    downloads = FakeDownloads(meets=always("dead"))
    provider.get = lambda _: "gone" if downloads.asked else "ok"

    def meets(_: str) -> str:
        return "ok" if now() >= 100.0 else "dead"

    downloads.meets = meets
    batch = Batch(tmp_path, 1, provider=provider, downloads=downloads)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert life.lasted_s < 300.0
    check(batch, life)


@pytest.mark.parametrize("ended", [Completed(), Gone(), Overdue("QUEUED")])
def test_a_cost_that_only_the_history_knows_is_in_the_bill_though_no_file_is(ended: Completed | Gone | Overdue) -> None:
    """It was paid for, whatever became of it."""
    row = HistoryRow("r1", "m", Completed(cost=COST), None, None)
    assert no_file(ended, row).cost == COST
    assert no_file(ended, None).cost is None


def test_a_cost_that_was_told_with_the_end_counts_before_the_historys() -> None:
    """It is what the service said last; 0 is a cost."""
    row = HistoryRow("r1", "m", Completed(cost=2 * COST), None, None)
    assert no_file(Completed(cost=COST), row).cost == COST
    assert no_file(Completed(cost=0), row).cost == 0


# --- and the pacer learns of it -------------------------------------------------------------------------------


def _gone() -> Batch:
    provider = FakeProvider(run_s=50.0, look=first("rate-30"))
    provider.get = always("gone")
    return Batch(Path(), 1, provider=provider)


def _dead_link() -> Batch:
    downloads = FakeDownloads(meets=first("dead", "dead"))

    def get(_: FakeJob | None) -> str:
        return "gone" if downloads.asked else "ok"

    return Batch(Path(), 1, provider=FakeProvider(get=get, look=first("rate-30")), downloads=downloads)


@pytest.mark.parametrize("of", [_gone, _dead_link])
def test_a_refusal_by_the_history_slows_the_run_down(tmp_path: Path, of: Callable[[], Batch]) -> None:
    """Asked a few seconds apart in spite of a Retry-After, it would go on refusing."""
    made = of()
    batch = Batch(tmp_path, 1, provider=made.provider, downloads=made.downloads, limits=Limits(rpm=600))
    asked: list[float] = []
    look = made.provider.look

    def watched() -> str:
        asked.append(now())
        return look()

    made.provider.look = watched
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert asked[1] - asked[0] >= 30.0
    assert life.rpm < 600
    check(batch, life)


def _refusing(word: str) -> Callable[[], Coroutine[Any, Any, int]]:
    words = first(word)

    async def balance() -> int:
        if words() == "ok":
            return 10**10
        raise RateLimited("429", status=429, retry_after=30.0)

    return balance


def test_credits_that_are_refused_slow_the_run_down(tmp_path: Path) -> None:
    """They are asked for first of all; the first submission keeps to it."""
    batch = Batch(tmp_path, 1, limits=Limits(rpm=600))
    batch.provider.balance = _refusing("rate")  # type: ignore[method-assign]
    life = batch.live()
    assert life.rpm < 600
    assert batch.provider.posts[0][0] >= 30.0
    assert batch.states() == [State.DONE]


def test_a_rebuilt_ledger_bears_one_refusal(tmp_path: Path) -> None:
    """One 429 must not stop a night; the pause that it asks for is kept."""
    batch = Batch(tmp_path, 4, limits=Limits(settle_s=0.0))
    batch.live()
    lose(batch, 2)
    began = batch.clock
    batch.provider.look = first("rate-30")
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    assert len(batch.provider.posts) == 4
    assert batch.clock - began >= 30.0
    check(batch, life)


def test_a_doubt_is_settled_though_the_history_refuses_once(tmp_path: Path) -> None:
    """At the start of the run after."""
    provider = FakeProvider(post=first("lost"), look=always("down"))
    batch = Batch(tmp_path, 2, provider=provider, limits=Limits(rpm=600))
    batch.live()
    assert Counter(batch.states()) == {State.UNCONFIRMED: 1, State.DONE: 1}
    began = batch.clock
    provider.look = first("rate-30")
    life = batch.live()
    assert batch.states() == [State.DONE] * 2
    assert batch.clock - began >= 30.0
    assert life.rpm < 600
    check(batch, life)


def test_after_an_outage_the_history_may_be_the_one_that_went_to_see(tmp_path: Path) -> None:
    """Its answer lets all others go at once: nobody waits for another minute."""
    provider = FakeProvider(run_s=50.0, get=always("gone"), look=until(400.0, "unreachable"))
    batch = Batch(tmp_path, 1, provider=provider)
    waited: list[float] = []

    async def beside(tools: RunContext) -> None:
        while not tools.pacer.snapshot().outage_s:
            await asyncio.sleep(0.1)
        while tools.pacer.snapshot().outage_s:  # the clip's own call is the only one that tries
            await asyncio.sleep(0.1)
        began = now()
        await tools.pacer.acquire(Call.POLL)
        waited.append(now() - began)
        await asyncio.sleep(1e9)

    life = batch.live(beside=beside)
    assert batch.states() == [State.DONE]
    assert waited
    assert waited[0] < 1.0
    check(batch, life)
