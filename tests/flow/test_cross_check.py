"""Money follows evidence: before another POST the record and the history are asked; what is in doubt is not paid."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from batch import Batch, Kill, Limits, check

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import AnswerLost, Failed, SubmitStarted
from batchgen.ledger import FILE
from batchgen.providers.base import Capabilities, HistoryAccess
from batchgen.retry import SUBMIT_TRIES
from batchgen.testing import COST, FakeProvider, always, first

NO_HISTORY = Capabilities(history=HistoryAccess.NONE)


# --- the service's own 500 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [None, 2 * COST])
def test_accepted_and_answered_with_500_is_found_and_paid_once(ram: Path, cap: int | None) -> None:
    """Each of its tries was accepted: six films were paid for one, past every cap, and the bill said nothing."""
    provider = FakeProvider(post=always("error"))
    batch = Batch(ram, 3, provider=provider, limits=Limits(cap=cap, clip_cap=2))
    life = batch.live()
    assert len(provider.posts) == 2
    assert batch.states() == [State.DONE, State.DONE, State.PENDING]
    assert life.exit is Exit.STOPPED
    assert batch.money().spent == provider.spent() == 2 * COST
    check(batch, life)


def test_nothing_is_sent_again_after_a_500_while_the_history_gives_no_answer(ram: Path) -> None:
    """It stays in doubt, with its reservation, until the history can say what became of it; the next run asks."""
    provider = FakeProvider(post=always("error"), look=always("down"))
    batch = Batch(ram, 3, provider=provider, limits=Limits(cap=4 * COST))
    life = batch.live()
    assert batch.states() == [State.UNCONFIRMED, State.UNCONFIRMED, State.PENDING]
    assert batch.money().reserved == 4 * COST
    assert len(provider.posts) == 2
    check(batch, life)
    provider.look = always("ok")
    life = batch.live()
    assert Counter(batch.states())[State.DONE] >= 2
    assert batch.money().spent == provider.spent()
    check(batch, life)


def test_a_history_that_lags_behind_what_it_must_show_proves_nothing(ram: Path) -> None:
    """It lacks a film that was charged minutes ago: it cannot say that the latest request is not there."""
    provider = FakeProvider(post=first(*["ok"] * 4, then="error"), run_s=30.0, history_lag_s=1800.0)
    batch = Batch(ram, 6, provider=provider, limits=Limits(in_flight=1))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 4, State.UNCONFIRMED: 2}
    assert len(provider.posts) == 6
    check(batch, life)


@pytest.mark.parametrize(("word", "posts"), [("error", 1), ("server", 2)])
def test_a_run_that_dies_before_the_history_was_asked_leaves_that_to_the_next(ram: Path, word: str, posts: int) -> None:
    """What was answered with a 500 needs no decision of the user: it is looked up, and sent again if it is absent."""
    provider = FakeProvider(post=first(word))
    batch = Batch(ram, 1, provider=provider)
    assert batch.live(kill=Kill("event", 2)).killed
    assert batch.states() == [State.UNCONFIRMED]
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert len(provider.posts) == posts
    check(batch, life)


def test_a_500_that_the_history_confirms_counts_as_a_try(ram: Path) -> None:
    """A bad parameter always gives that answer: the clip fails, and costs nothing."""
    provider = FakeProvider(post=lambda params: "server" if params["seed"] == 1002 else "ok")
    batch = Batch(ram, 4, provider=provider)
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 3, State.FAILED: 1}
    assert sum('"seed": 1002' in params for _, params in provider.posts) == SUBMIT_TRIES
    assert batch.money().reserved == 0
    check(batch, life)


def test_after_a_500_a_service_without_a_history_leaves_the_clip_in_doubt(ram: Path) -> None:
    """Nobody can say whether it was accepted; the reason says so."""
    provider = FakeProvider(post=first("error", then="ok"), capabilities=NO_HISTORY, look=always("down"))
    batch = Batch(ram, 2, provider=provider)
    life = batch.live()
    assert batch.states() == [State.UNCONFIRMED, State.DONE]
    assert len(provider.posts) == 2
    assert "no request history" in next(event.reason for _, event in life.events if isinstance(event, AnswerLost))
    check(batch, life)


# --- FAILED -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["too soon", "contradicts"])
def test_a_failed_that_is_no_end_is_collected_and_not_sent_again(ram: Path, fate: str) -> None:
    """FAILED for a while, or by one answer of two, and charged in the end: seven films were paid for four."""
    provider = FakeProvider(fate=always(fate))
    batch = Batch(ram, 4, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    assert len(provider.posts) == 4
    assert batch.money().spent == provider.spent() == 4 * COST
    check(batch, life)


def test_a_failed_that_is_no_end_is_not_sent_again_while_the_history_may_lag(ram: Path) -> None:
    """A row that is not there yet is no proof that the failure was free: three films were paid for one."""
    provider = FakeProvider(fate=always("too soon"), history_lag_s=20.0, run_s=50.0)
    batch = Batch(ram, 4, provider=provider, limits=Limits(expect_s=5.0))
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    assert len(provider.posts) == 4
    check(batch, life)


def test_a_failed_that_is_said_once_is_no_end_where_nobody_else_can_be_asked(ram: Path) -> None:
    """A service without a history, and with free failures: the record alone is asked, and asked twice."""
    known = replace(NO_HISTORY, failures_free=True)
    provider = FakeProvider(fate=always("too soon"), capabilities=known, look=always("down"), run_s=22.0, spread=0.0)
    batch = Batch(ram, 1, provider=provider, limits=Limits(expect_s=24.0))
    life = batch.live()
    assert (batch.states(), len(provider.posts)) == ([State.DONE], 1)
    assert provider.status_calls["r1"] >= 2
    check(batch, life)


def test_a_failed_that_the_history_cannot_confirm_keeps_its_reservation_and_is_not_sent_again(ram: Path) -> None:
    """One answer never decides about money; a later run asks again."""
    provider = FakeProvider(fate=always("transient"), look=always("down"))
    batch = Batch(ram, 2, provider=provider, limits=Limits(cap=3 * COST))
    life = batch.live()
    assert len(provider.posts) == 1
    assert batch.states()[0] is State.FAILED
    assert batch.money().reserved == 2 * COST
    check(batch, life)
    provider.look, provider.fate = always("ok"), always("done")
    life = batch.live()
    assert batch.states() == [State.FAILED, State.DONE]
    assert batch.money().reserved == 0
    check(batch, life)


@pytest.mark.parametrize("free", [True, False])
def test_without_a_history_a_failed_is_free_only_if_the_service_says_so(ram: Path, free: bool) -> None:
    """What nobody confirms stays reserved."""
    known = replace(NO_HISTORY, failures_free=free)
    provider = FakeProvider(fate=first("transient"), capabilities=known, look=always("down"))
    batch = Batch(ram, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE if free else State.FAILED]
    assert batch.money().reserved == (0 if free else 2 * COST)
    check(batch, life)


# --- failures that are charged ------------------------------------------------------------------------------


def test_failures_that_are_charged_are_booked_and_not_tried_again(ram: Path) -> None:
    """$19.00 were charged for nothing, under a cap of $3.00, and the bill said $0.00."""
    provider = FakeProvider(fate=always("charged"))
    batch = Batch(ram, 10, provider=provider, limits=Limits(cap=6 * COST, in_flight=3))
    life = batch.live()
    assert len(provider.posts) <= 6
    assert batch.money().spent == provider.spent() == len(provider.posts) * COST
    assert batch.money().clips == len(provider.posts)
    assert life.exit is Exit.STOPPED
    told = [event for _, event in life.events if isinstance(event, Failed)]
    assert all(event.cost == COST for event in told)
    assert "charged" in told[-1].reason


@pytest.mark.parametrize("fate", ["charged", "done"])
def test_what_is_reserved_after_a_higher_charge_is_that_charge_also_when_the_job_failed(ram: Path, fate: str) -> None:
    """The price had risen, and the first that was charged by it was a job that FAILED; also the next run knows it."""
    provider = FakeProvider(fate=first(fate, then="done"), cost=lambda _: 3 * COST)
    batch = Batch(ram, 3, provider=provider, limits=Limits(in_flight=1))
    life = batch.live()
    check(batch, life)
    batch.wanted = [*batch.wanted, *Batch(ram / "more", 4).wanted[3:]]
    events = [*life.events, *batch.live().events]
    reserved = [event.reserved for _, event in events if isinstance(event, SubmitStarted)]
    assert reserved == [2 * COST, 3 * COST, 3 * COST, 3 * COST]


def test_once_a_failure_was_charged_no_failure_of_the_model_is_tried_again_also_by_the_next_run(ram: Path) -> None:
    """The next one is free, as far as anyone knows; it is not worth the risk at night."""
    provider = FakeProvider(fate=first("charged", "transient"))
    batch = Batch(ram, 2, provider=provider, limits=Limits(in_flight=1))
    life = batch.live()
    assert batch.states() == [State.FAILED] * 2
    assert "failures of wan-2.5-t2v are charged: $0.63 so far" in batch.clips()["k1.1"].reason
    provider.fate = first("transient")
    batch.wanted = [*batch.wanted, *Batch(ram / "more", 3).wanted[2:]]
    life = batch.live()
    assert batch.states() == [State.FAILED] * 3
    assert len(provider.posts) == 3
    check(batch, life)


def test_a_retry_of_what_no_one_looked_up_asks_first(ram: Path) -> None:
    """A ledger of an earlier release freed it on one answer's word; the job completed and was charged."""
    provider = FakeProvider(fate=always("final"), run_s=30.0)
    batch = Batch(ram, 1, provider=provider)
    batch.live()
    with closing(sqlite3.connect(batch.folder / FILE)) as db, db:
        db.execute("UPDATE request SET cost = NULL")
    job = provider.jobs["r1"]
    job.fate = "done"
    batch.retry()
    life = batch.live()
    assert len(provider.posts) == 1
    assert batch.states() == [State.DONE]
    assert batch.money().spent == COST
    check(batch, life)
