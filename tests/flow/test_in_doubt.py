"""Never pays twice: what may have been accepted is looked for, and otherwise left for the user's word."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from batch import Batch, Kill, Limits, check

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import Retried
from batchgen.history.report import LOOKS, HistoryCheck, read
from batchgen.ledger import Reader, SqliteLedger
from batchgen.selection import Selection
from batchgen.testing import COST, FakeDownloads, FakeProvider, always, first, wanted

UNCONFIRMED = Selection(resubmit_unconfirmed=True)
LOST = Selection(resubmit_lost=True)


def test_a_lost_answer_is_found_at_the_end_of_the_night_and_collected(tmp_path: Path) -> None:
    """It was paid for; the history says by what was sent which one it is."""
    provider = FakeProvider(post=first("ok", "lost", "lost"))
    batch = Batch(tmp_path, 6, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 6
    assert len(provider.posts) == 6
    check(batch, life)


@pytest.mark.parametrize("look", ["down", "part", "blind"])
def test_a_lost_answer_is_never_posted_again_by_itself(tmp_path: Path, look: str) -> None:
    """Not in this run and not in ten more, whatever the history does."""
    provider = FakeProvider(post=first("lost", "unsure"), look=always(look))
    batch = Batch(tmp_path, 4, provider=provider, limits=Limits(settle_s=0.0))
    for _ in range(3):
        life = batch.live(UNCONFIRMED)
        assert len(provider.posts) == 4
        assert Counter(batch.states()) == {State.DONE: 2, State.UNCONFIRMED: 2}
        check(batch, life)
        batch.clock += 10_000


def test_what_never_arrived_stays_unconfirmed_without_the_users_word(tmp_path: Path) -> None:
    """Absence in the history proves nothing by itself: it may lag."""
    provider = FakeProvider(post=first("unsure"))
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    batch.clock += 100_000
    life = batch.live()
    assert batch.states() == [State.UNCONFIRMED, State.DONE]
    assert len(provider.posts) == 2
    check(batch, life)


def test_the_users_word_resubmits_only_what_the_history_has_not_after_the_settle_time(tmp_path: Path) -> None:
    """Of two lost answers one had arrived."""
    provider = FakeProvider(post=first("lost", "unsure"), look=first("down"))
    batch = Batch(tmp_path, 3, provider=provider)
    batch.live()
    life = batch.live(UNCONFIRMED)  # too early for the one that is absent
    assert batch.states() == [State.DONE, State.UNCONFIRMED, State.DONE]
    assert len(provider.posts) == 3
    check(batch, life)
    batch.clock += 7300
    life = batch.live(UNCONFIRMED)
    assert batch.states() == [State.DONE] * 3
    assert len(provider.posts) == 4
    check(batch, life)


def test_a_resubmission_waits_for_a_slot_while_the_others_wait_for_room_under_the_cap(tmp_path: Path) -> None:
    """Who has the only slot waits for what the history frees; that must not wait for the slot in turn."""
    provider = FakeProvider(post=first("unsure"))
    batch = Batch(tmp_path, 2, provider=provider, limits=Limits(in_flight=1, cap=2 * COST))
    batch.live()
    assert batch.states() == [State.UNCONFIRMED, State.PENDING]
    batch.clock += 7300
    batch.limits = replace(batch.limits, cap=COST)
    life = batch.live(UNCONFIRMED)
    assert life.exit is Exit.STOPPED
    assert batch.states() == [State.PENDING] * 2
    check(batch, life)


def test_a_history_that_lags_is_waited_for(tmp_path: Path) -> None:
    """An hour behind, it has no row yet; the settle time is longer."""
    provider = FakeProvider(post=first("lost"), history_lag_s=3600.0)
    batch = Batch(tmp_path, 1, provider=provider)
    batch.live(UNCONFIRMED)
    assert batch.states() == [State.UNCONFIRMED]
    batch.live(UNCONFIRMED)
    assert len(provider.posts) == 1
    batch.clock += 7300
    life = batch.live(UNCONFIRMED)
    assert batch.states() == [State.DONE]
    assert len(provider.posts) == 1
    check(batch, life)


def test_the_request_before_is_not_taken_for_the_one_in_doubt(tmp_path: Path) -> None:
    """The first one FAILED in this very run; the second one's answer was lost."""
    provider = FakeProvider(post=first("ok", "lost"), fate=first("transient"))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert len(provider.posts) == 2
    check(batch, life)


@pytest.mark.parametrize(("fate", "state"), [("final", State.FAILED), ("blocked", State.BLOCKED)])
def test_what_the_history_knows_as_failed_is_settled_and_free(tmp_path: Path, fate: str, state: State) -> None:
    """Its reservation is given back."""
    provider = FakeProvider(post=first("lost", "ok"), fate=first(fate), run_s=10.0)
    batch = Batch(tmp_path, 2, provider=provider)
    life = batch.live()
    assert batch.states() == [state, State.DONE]
    assert batch.money().reserved == 0
    check(batch, life)


def test_what_the_history_knows_as_failed_for_now_is_tried_again_as_any_other(tmp_path: Path) -> None:
    """It was free, and its cause may pass."""
    provider = FakeProvider(post=first("lost"), fate=first("transient", then="done"), run_s=10.0)
    batch = Batch(tmp_path, 2, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 2
    assert len(provider.posts) == 3
    check(batch, life)


def test_a_row_that_was_claimed_stays_claimed(tmp_path: Path) -> None:
    """The failed one's, found in the history, must not be taken for the next try's, whose row lags behind."""
    provider = FakeProvider(post=first("lost", "lost"), fate=first("final", then="done"), run_s=10.0)
    batch = Batch(tmp_path, 1, provider=provider)
    batch.live()  # the answer is lost; the job still runs when the run looks at its end, and is waited for
    assert batch.states() == [State.FAILED]
    assert batch.request_ids() == {"r1"}
    _retry(batch)
    provider.history_lag_s = 300.0
    batch.live()
    assert batch.states() == [State.UNCONFIRMED]
    batch.clock += 400
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert batch.request_ids() == {"r1", "r2"}
    check(batch, life)


def test_what_failed_before_the_history_was_asked_is_claimed_by_its_id(tmp_path: Path) -> None:
    """Found as FAILED, its row is no longer free for another request with the same parameters."""
    provider = FakeProvider(post=first("lost"), fate=first("final", then="done"), run_s=10.0, look=first("down"))
    batch = Batch(tmp_path, 1, provider=provider)
    batch.live()
    batch.clock += 60
    batch.live()
    assert batch.states() == [State.FAILED]
    assert batch.request_ids() == {"r1"}
    assert batch.money().reserved == 0


def _retry(batch: Batch) -> None:
    with closing(SqliteLedger(batch.folder)) as ledger:
        for clip in list(ledger.clips(State.FAILED)):
            asyncio.run(ledger.record(clip, Retried()))


def test_what_completed_without_a_link_is_asked_for_and_its_cost_is_in_the_bill(tmp_path: Path) -> None:
    """Found by what was sent, charged, and its file never named: lost, with what it cost."""
    provider = FakeProvider(post=first("lost"), fate=first("no-url", then="done"), look=first("down"), run_s=10.0)
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    assert batch.states() == [State.UNCONFIRMED, State.DONE]
    batch.clock += 5_000  # the record is gone, too
    life = batch.live()
    assert batch.states() == [State.LOST, State.DONE]
    assert (batch.money().spent, batch.money().reserved) == (provider.spent(), 0)
    check(batch, life)


def test_the_users_word_is_for_the_clips_that_are_named(tmp_path: Path) -> None:
    """--only leaves the others in doubt."""
    provider = FakeProvider(post=first("unsure", "unsure"))
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    batch.clock += 10_000
    batch.live(replace(UNCONFIRMED, only="shot1"))
    assert batch.states() == [State.UNCONFIRMED, State.DONE]


def test_a_history_that_lacks_what_was_paid_for_is_no_reason_to_pay_again(tmp_path: Path) -> None:
    """It knows nothing of the clip that is done either: such a history proves nothing."""
    provider = FakeProvider(post=first("unsure"))
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    assert batch.states() == [State.UNCONFIRMED, State.DONE]
    batch.clock += 10_000
    provider.history_lag_s = 1e9
    batch.live(UNCONFIRMED)
    assert len(provider.posts) == 2
    provider.history_lag_s = 0.0
    batch.live(UNCONFIRMED)
    assert batch.states() == [State.DONE] * 2


def test_what_the_last_look_saw_is_kept_for_what_stays_in_doubt(tmp_path: Path) -> None:
    """`status` tells it without a call; what is settled has no look any more."""
    provider = FakeProvider(post=first("unsure", "lost"))
    batch = Batch(tmp_path, 3, provider=provider)
    batch.live()
    looks = _looks(batch)
    assert sorted(looks) == ["shot0_1"]
    request = batch.clips()["k0.1"].request
    assert request
    assert (looks["shot0_1"].pages, looks["shot0_1"].counts_at) == (1, request.intent_at + 7_200)
    batch.clock += 8_000
    batch.live(UNCONFIRMED)
    assert _looks(batch) == {}


def _looks(batch: Batch) -> dict[str, HistoryCheck]:
    with closing(Reader(batch.folder)) as ledger:
        kept = {row: read(text) for row, text in ledger.facts(LOOKS).items()}
        return {clip.wanted.name: look for clip in ledger.clips() if (look := kept.get(clip.row))}


def test_what_still_runs_is_waited_for_like_any_other(tmp_path: Path) -> None:
    """Found in the history at the start of the next run."""
    provider = FakeProvider(post=first("lost"), look=first("down"), run_s=600.0)
    batch = Batch(tmp_path, 1, provider=provider)
    batch.live()
    life = batch.live()
    assert life.names("k0.1") == ["Submitted", "Generated", "Downloaded"]
    check(batch, life)


def test_what_is_no_longer_wanted_and_turns_up_is_collected_and_never_resubmitted(tmp_path: Path) -> None:
    """An edit does not void a payment."""
    provider = FakeProvider(post=first("lost", "unsure"), look=first("down"))
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    batch.wanted = []
    batch.clock += 10_000
    life = batch.live(UNCONFIRMED)
    states = {key: clip.state for key, clip in batch.clips().items()}
    assert states == {"k0.1": State.DONE, "k1.1": State.PENDING}
    assert len(provider.posts) == 2
    check(batch, life)


def test_what_was_refused_for_now_and_is_no_longer_wanted_is_never_submitted(tmp_path: Path) -> None:
    """It waits with a request of its own, so an edit does not take it out of the ledger."""
    batch = Batch(tmp_path, 1, provider=FakeProvider(post=first("credits")))
    batch.live()
    batch.wanted = [wanted(7)]
    life = batch.live()
    assert [clip.unwanted for clip in batch.clips().values() if clip.state is State.PENDING] == [True]
    assert len(batch.provider.posts) == 2
    check(batch, life)


def test_what_is_no_longer_wanted_and_fails_for_now_is_not_tried_again(tmp_path: Path) -> None:
    """It was in flight at a kill, and is collected: a failure of the service's own would be worth a new try."""
    batch = Batch(tmp_path, 1, provider=FakeProvider(fate=first("transient")))
    assert batch.live(kill=Kill("event", 2)).killed
    batch.wanted = []
    life = batch.live()
    assert life.names("k0.1") == ["FailedForNow"]
    assert len(batch.provider.posts) == 1
    check(batch, life)


def test_resubmitting_obeys_the_limit_and_the_budget(tmp_path: Path) -> None:
    """The user's word on doubts is no word on money."""
    provider = FakeProvider(post=first("unsure", "unsure", "unsure"))
    batch = Batch(tmp_path, 3, provider=provider)
    batch.live()
    batch.clock += 10_000
    batch.live(replace(UNCONFIRMED, limit=1))
    assert len(provider.posts) == 4
    assert Counter(batch.states()) == {State.DONE: 1, State.PENDING: 2}
    batch.limits = replace(batch.limits, cap=batch.provider.spent())
    batch.live(UNCONFIRMED)
    assert len(provider.posts) == 4


@pytest.mark.parametrize(("off", "known"), [(7 * 86_400.4, 604_803.0), (-3_600.0, -3_600.0), (3.0, None), (None, None)])
def test_with_each_intent_goes_how_far_the_services_clock_is_off(
    tmp_path: Path, off: float | None, known: float | None
) -> None:
    """It says where in the history to search, when ours is right again."""
    batch = Batch(tmp_path, 1, provider=FakeProvider(post=first("unsure"), clock_off_s=off))
    batch.live()
    (clip,) = batch.clips().values()
    assert clip.request
    assert clip.request.clock_off == known
    assert clip.request.left_at == clip.request.intent_at + (known or 0.0)


# --- lost ---------------------------------------------------------------------------------------------------


def test_a_lost_clip_is_paid_for_again_only_on_the_users_word_and_both_are_in_the_bill(tmp_path: Path) -> None:
    """--resubmit-lost."""
    downloads = FakeDownloads(meets=lambda url: "broken" if "/r1." in url else "ok")
    batch = Batch(tmp_path, 1, downloads=downloads)
    batch.live()
    batch.clock += 8 * 86_400.0
    life = batch.live()
    assert batch.states() == [State.LOST]
    check(batch, life)
    batch.live()
    batch.live(UNCONFIRMED)
    assert len(batch.provider.posts) == 1
    life = batch.live(LOST)
    assert batch.states() == [State.DONE]
    assert batch.money().spent == batch.provider.spent() == 2 * 625_000
    check(batch, life, twice=2)


def test_a_lost_clip_that_still_runs_is_not_paid_for_again(tmp_path: Path) -> None:
    """Past our deadline it may yet end well."""
    provider = FakeProvider(fate=always("stuck"), keeps_s=9e9)
    batch = Batch(tmp_path, 1, provider=provider)
    batch.live()
    assert batch.states() == [State.LOST]
    life = batch.live(LOST)
    assert len(provider.posts) == 1
    check(batch, life)


@pytest.mark.parametrize("look", ["down", "part"])
def test_a_lost_clip_is_not_paid_for_again_while_the_history_can_not_be_read(tmp_path: Path, look: str) -> None:
    """It may be found after all."""
    provider = FakeProvider(fate=first("stuck", "done"), keeps_s=1000.0)
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    provider.look = always(look)
    batch.clock += 20_000
    batch.live(LOST)
    assert len(provider.posts) == 2


def test_a_lost_clip_that_turns_up_is_collected_without_paying(tmp_path: Path) -> None:
    """The record was gone and the history was down; now it answers."""
    provider = FakeProvider(run_s=100.0, keeps_s=65.0, look=always("down"))
    batch = Batch(tmp_path, 2, provider=provider)
    batch.live()
    assert batch.states() == [State.LOST] * 2
    assert batch.money().reserved == 2 * 1_250_000
    provider.look = always("ok")
    life = batch.live()
    assert batch.states() == [State.DONE] * 2
    assert batch.money().reserved == 0
    check(batch, life)


def test_hundreds_of_lost_clips_are_settled_in_one_run(ram: Path) -> None:
    """At 50 calls a minute."""
    provider = FakeProvider(fate=always("no-url"))
    batch = Batch(ram, [wanted(n) for n in range(150)], provider=provider, limits=Limits(rpm=50))
    batch.live()
    assert Counter(batch.states()) == {State.LOST: 150}
    for job in provider.jobs.values():
        job.fate = "done"
    batch.clock += 7200
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 150}
    check(batch, life)
