"""Never loses a paid clip: whatever happens between the acceptance and the checked file."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.events import Failed, Generated, Lost
from batchgen.ledger import Reader
from batchgen.providers.base import Completed
from batchgen.retry import FREE_RETRIES, SUBMIT_TRIES
from batchgen.runner.outcomes import filled
from batchgen.testing import COST, FakeDownloads, FakeJob, FakeProvider, always, first, wall, wanted

# --- what the service says of a job -------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 3, 9])
def test_a_transient_failure_is_free_and_tried_again_at_most_twice(tmp_path: Path, times: int) -> None:
    """Failures are free, patience is not."""
    provider = FakeProvider(fate=first(*["transient"] * times))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE if times <= FREE_RETRIES else State.FAILED]
    assert len(provider.posts) == min(times, FREE_RETRIES) + 1
    assert batch.money().reserved == 0
    check(batch, life)


@pytest.mark.parametrize(
    ("fate", "times", "state"),
    [("unknown", 1, State.DONE), ("unknown", 2, State.FAILED), ("moderation", 1, State.DONE),
     ("moderation", 2, State.BLOCKED)],
)  # fmt: skip
def test_a_failure_of_a_cause_that_nobody_knows_is_tried_again_once(
    tmp_path: Path, fate: str, times: int, state: State
) -> None:
    """It is free; so is one whose words speak of the moderator's own trouble."""
    provider = FakeProvider(fate=first(*[fate] * times))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [state]
    assert len(provider.posts) == 2
    assert not batch.clips()["k0.1"].transient
    check(batch, life)


def test_the_looks_at_a_request_are_written_with_its_end(tmp_path: Path) -> None:
    """Those at one that failed, too: they are calls that the clip took."""
    provider = FakeProvider(fate=first("transient", "final"), get=first("ok", "server", "ok"))
    batch = Batch(tmp_path, 6, provider=provider)
    batch.live()
    with closing(Reader(batch.folder)) as reader:
        ((looks, clips),) = reader.poll_counts().values()
        by_request = {clip.request_id: clip.request.poll_count for clip, _ in reader.requests() if clip.request}
    assert (looks, clips) == (provider.status_calls.total(), 5)
    assert by_request == provider.status_calls


@pytest.mark.parametrize(("run_s", "lost"), [(1500.0, 1), (2000.0, 2)])
def test_who_ran_out_of_the_deadline_in_a_queue_does_not_make_room_for_the_next_one(
    tmp_path: Path, run_s: float, lost: int
) -> None:
    """It queues there still: whoever takes its place would run out of the deadline, too."""
    batch = Batch(tmp_path, 14, provider=FakeProvider(slots=1, run_s=run_s))
    batch.live()
    assert Counter(batch.states()) == {State.DONE: 14 - lost, State.LOST: lost}


@pytest.mark.parametrize(("fate", "state"), [("final", State.FAILED), ("blocked", State.BLOCKED)])
def test_a_failure_for_good_is_the_clips_own_and_free(tmp_path: Path, fate: str, state: State) -> None:
    """One bad clip never stops the night, and is never tried again by itself."""
    provider = FakeProvider(fate=first("done", fate))
    batch = Batch(tmp_path, 6, provider=provider)
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 5, state: 1}
    assert batch.money().spent == 5 * COST
    assert life.exit is None
    check(batch, life)
    batch.live()
    assert len(provider.posts) == 6


@pytest.mark.parametrize(("word", "state"), [("refused", State.FAILED), ("blocked", State.BLOCKED)])
def test_a_refused_post_is_the_clips_own_and_free(tmp_path: Path, word: str, state: State) -> None:
    """422, or the content rules at the door."""
    batch = Batch(tmp_path, 6, provider=FakeProvider(post=first("ok", word)))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 5, state: 1}
    assert batch.money().reserved == 0
    check(batch, life)


def test_completed_without_a_link_is_lost_with_its_cost(tmp_path: Path) -> None:
    """It is on the bill; its id is kept."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(fate=first("no-url")))
    life = batch.live()
    assert Counter(batch.states()) == {State.LOST: 1, State.DONE: 1}
    assert batch.money().spent == 2 * COST
    assert all(clip.request_id for clip in batch.clips().values())
    check(batch, life)


def test_completed_without_a_link_is_asked_for_in_the_history(tmp_path: Path) -> None:
    """The link may be there."""
    provider = FakeProvider(fate=always("no-url"))

    def history_has_it() -> str:
        for job in provider.jobs.values():
            job.fate = "done"
        return "ok"

    provider.look = history_has_it
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE]
    check(batch, life)


@pytest.mark.parametrize("lag_s", [0.0, 50.0])
def test_a_record_that_is_gone_is_found_in_the_history(tmp_path: Path, lag_s: float) -> None:
    """Never a reason to pay again."""
    provider = FakeProvider(run_s=100.0, keeps_s=65.0, history_lag_s=lag_s)
    batch = Batch(tmp_path, 4, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    assert len(provider.posts) == 4
    check(batch, life)


def test_a_record_that_is_gone_everywhere_is_lost_and_its_money_stays_reserved(tmp_path: Path) -> None:
    """As far as is known."""
    provider = FakeProvider(fate=always("stuck"), keeps_s=100.0, look=always("down"))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.LOST]
    assert batch.money().reserved == 2 * COST
    assert len(provider.posts) == 1
    check(batch, life)


def test_a_record_that_only_the_history_says_to_run_ends_by_the_deadline(tmp_path: Path) -> None:
    """Else the night would never end."""
    provider = FakeProvider(fate=always("stuck"), get=always("gone"))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.LOST]
    assert life.lasted_s < 3600
    check(batch, life)


def test_a_record_that_only_the_history_knows_and_that_ends_is_collected(tmp_path: Path) -> None:
    """Asked for once a minute."""
    provider = FakeProvider(run_s=600.0, get=always("gone"))
    batch = Batch(tmp_path, 1, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE]
    assert len(provider.calls) < 60
    check(batch, life)


@pytest.mark.parametrize("says", ["stuck", "says SOMETHING"])
def test_a_stuck_job_gives_its_place_back_at_the_deadline_and_its_money_stays_reserved(
    tmp_path: Path, says: str
) -> None:
    """Others take its place; it may be charged yet."""
    provider = FakeProvider(fate=first("stuck" if says == "stuck" else "done", "done"))
    if says != "stuck":
        provider.get = lambda job: says if job and job.request_id == "r1" else "ok"
        provider.look = always("down")
    batch = Batch(tmp_path, 6, provider=provider, limits=Limits(in_flight=1, deadline_s=600.0))
    life = batch.live()
    assert Counter(batch.states()) == {State.LOST: 1, State.DONE: 5}
    assert batch.money().reserved == 2 * COST
    assert life.lasted_s < 600 + 5 * 100
    check(batch, life)


def test_a_night_slept_through_is_collected_from_the_history(tmp_path: Path) -> None:
    """The laptop was closed for eight hours; the records are gone, the files live seven days."""
    from batch import Kill

    provider = FakeProvider(run_s=300.0)
    batch = Batch(tmp_path, 4, provider=provider)
    batch.live(kill=Kill("event", 8))
    batch.clock += 8 * 3600
    life = batch.live()
    assert batch.states() == [State.DONE] * 4
    assert len(provider.posts) == 4
    check(batch, life)


# --- the file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dead", "broken", "refused"])
def test_a_bad_download_costs_a_download_and_never_a_generation(tmp_path: Path, kind: str) -> None:
    """The link is asked for again."""
    downloads = FakeDownloads(meets=first(kind, kind))
    batch = Batch(tmp_path, 2, downloads=downloads)
    life = batch.live()
    assert batch.states() == [State.DONE] * 2
    assert len(batch.provider.posts) == 2
    check(batch, life)


def test_a_dead_link_whose_record_is_gone_is_renewed_from_the_history(tmp_path: Path) -> None:
    """An hour after the submission only the history knows it."""
    provider = FakeProvider(keeps_s=62.0, run_s=60.0, spread=0.0)
    provider.get = lambda job: "gone" if downloads.asked else "ok"
    downloads = FakeDownloads(meets=first("dead"))
    batch = Batch(tmp_path, 1, provider=provider, downloads=downloads)
    life = batch.live()
    assert batch.states() == [State.DONE]
    check(batch, life)


@pytest.mark.parametrize("word", ["server", "unreachable", "rate"])
def test_a_dead_link_while_the_api_is_in_trouble_is_not_lost(tmp_path: Path, word: str) -> None:
    """No answer is not the answer that there is none."""
    downloads = FakeDownloads(meets=first("dead"))
    troubled = first(*[word] * 10)
    provider = FakeProvider(look=first("down", "down"))

    def get(_: FakeJob | None) -> str:
        return troubled() if downloads.asked else "ok"

    provider.get = get
    batch = Batch(tmp_path, 1, provider=provider, downloads=downloads)
    life = batch.live()
    assert batch.states() == [State.DONE]
    check(batch, life)


def test_an_answer_that_is_the_video_is_kept_with_the_cost_that_only_the_history_knows(tmp_path: Path) -> None:
    """Neither the clip nor its price may be lost because the service changed the shape of its answer."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(fate=always("inline")))
    life = batch.live()
    assert batch.states() == [State.DONE] * 3
    assert batch.money().spent == 3 * COST
    assert batch.downloads.asked == []
    check(batch, life)


def test_trouble_with_the_file_server_is_sat_out(tmp_path: Path) -> None:
    """Twenty tries in a row; nobody pays for them."""
    batch = Batch(tmp_path, 1, downloads=FakeDownloads(meets=first(*["trouble"] * 20)))
    life = batch.live()
    assert batch.states() == [State.DONE]
    check(batch, life)


def test_files_in_trouble_for_too_long_are_left_for_the_next_run(tmp_path: Path) -> None:
    """Cost and link are on disk. The host is waited for as long as the API would be, however small the batch."""
    downloads = FakeDownloads(meets=always("trouble"))
    batch = Batch(tmp_path, 2, downloads=downloads, limits=Limits(give_up_s=1800.0))
    life = batch.live()
    assert batch.states() == [State.DOWNLOADING] * 2
    assert 1800.0 <= life.lasted_s < 2000.0
    check(batch, life)
    downloads.meets = always("ok")
    life = batch.live()
    assert batch.states() == [State.DONE] * 2
    assert [type(event) for _, event in life.events if isinstance(event, Generated | Lost)] == []
    check(batch, life)


def test_a_strangers_file_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    """The clip gets another name, and the ledger knows it."""
    downloads = FakeDownloads(meets=first("taken"))
    batch = Batch(tmp_path, 1, downloads=downloads)
    clips = batch.folder / "clips"
    clips.mkdir(parents=True)
    (clips / "shot0_1.mp4").write_text("mine")
    batch.live()
    clip = batch.clips()["k0.1"]
    assert clip.state is State.DONE
    assert clip.file
    assert clip.file != "shot0_1.mp4"
    assert (clips / clip.file).exists()
    assert (clips / "shot0_1.mp4").read_text() == "mine"


# --- local audio --------------------------------------------------------------------------------------------


def sung(n: int, sha256: str = "ab") -> object:
    return replace(wanted(n), audio_file=f"/songs/{sha256}.mp3", audio_sha256=sha256)


def test_audio_is_uploaded_once_and_its_link_is_sent_and_kept(tmp_path: Path) -> None:
    """What was sent is how a lost answer is found again."""
    uploads = 0

    def count() -> str:
        nonlocal uploads
        uploads += 1
        return "ok"

    provider = FakeProvider(uploads=count, post=first("lost"))
    batch = Batch(tmp_path, [sung(0), sung(1), sung(2, "cd")], provider=provider)  # type: ignore[list-item]
    batch.live()
    assert batch.states() == [State.DONE] * 3
    assert uploads == 2
    assert len(provider.posts) == 3
    assert all("https://files.example/" in params for _, params in provider.posts)


@pytest.mark.parametrize("word", ["refused", "server"])
def test_audio_that_is_refused_fails_its_clips_and_no_others(tmp_path: Path, word: str) -> None:
    """And asks only so often."""
    batch = Batch(tmp_path, [sung(0), wanted(1)], provider=FakeProvider(uploads=always(word)))  # type: ignore[list-item]
    life = batch.live()
    assert batch.states() == [State.FAILED, State.DONE]
    assert life.lasted_s < 1000
    reasons = [event.reason for _, event in life.events if isinstance(event, Failed)]
    assert word != "server" or f"{SUBMIT_TRIES} tries" in reasons[0]
    assert batch.money().reserved == 0


@pytest.mark.parametrize("word", ["rate", "unreachable"])
def test_trouble_with_an_upload_is_sat_out(tmp_path: Path, word: str) -> None:
    """Nothing was paid for yet."""
    batch = Batch(tmp_path, [sung(0)], provider=FakeProvider(uploads=first(*[word] * 9)))  # type: ignore[list-item]
    batch.live()
    assert batch.states() == [State.DONE]


def test_an_account_that_may_not_upload_stops_the_run(tmp_path: Path) -> None:
    """And nothing failed."""
    batch = Batch(tmp_path, [sung(0), wanted(1)], provider=FakeProvider(uploads=always("key")))  # type: ignore[list-item]
    life = batch.live()
    assert "key" in life.why
    assert batch.states()[0] is State.PENDING


def test_one_file_in_trouble_does_not_end_the_night_of_the_others(tmp_path: Path) -> None:
    """Promise 6: its clip waits for the next run."""
    downloads = FakeDownloads(meets=lambda url: "trouble" if url.endswith("r1.mp4") else "ok")
    batch = Batch(tmp_path, 40, downloads=downloads, limits=Limits(in_flight=2))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 39, State.DOWNLOADING: 1}
    assert life.exit is None
    check(batch, life)


def test_a_file_that_was_named_before_the_kill_needs_no_link(tmp_path: Path) -> None:
    """Its sidecar says whose it is; the link may be dead by then."""
    batch = Batch(tmp_path, 1)
    batch.live()
    (done,) = batch.clips().values()
    batch.downloads.meets = always("dead")
    with sqlite3.connect(batch.folder / "ledger.db") as db:
        db.execute("UPDATE clip SET state='downloading', file=NULL, bytes=NULL, sha256=NULL")
    db.close()
    batch.live()
    assert [clip.sha256 for clip in batch.clips().values()] == [done.sha256]
    assert batch.states() == [State.DONE]


def test_run_times_that_the_clock_refutes_are_not_learned(tmp_path: Path) -> None:
    """A service that says 212 s of what took 5 s must not make the next look come minutes late."""
    provider = FakeProvider(run_s=5.0, spread=0.0, says_run_s=212.0)
    batch = Batch(tmp_path, 30, provider=provider, limits=Limits(in_flight=4, expect_s=212.0))
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 30}
    assert life.lasted_s < 30 * 6.0
    check(batch, life)


def test_a_result_without_a_link_is_asked_for_again(tmp_path: Path) -> None:
    """It may not have got round yet."""
    provider = FakeProvider(get=first("ok", "no link", then="ok"))
    batch = Batch(tmp_path, 1, provider=provider)
    batch.live()
    assert batch.states() == [State.DONE]


def test_a_request_that_is_not_known_everywhere_yet_is_waited_for(tmp_path: Path) -> None:
    """404 for its first 40 s, by status and history alike: it is neither lost nor paid for again."""

    def lagging(job: FakeJob | None) -> str:
        return "gone" if job and wall() - job.at < 40.0 else "ok"

    provider = FakeProvider(run_s=10.0, get=lagging, history_lag_s=300.0)
    batch = Batch(tmp_path, 3, provider=provider, limits=Limits(expect_s=10.0))
    life = batch.live()
    assert batch.states() == [State.DONE] * 3
    assert not [event for _, event in life.events if isinstance(event, Lost)]
    check(batch, life)


def test_a_cost_told_without_a_link_is_not_forgotten() -> None:
    """The history may know the link and not the price."""
    told = filled(Completed(url="u"), Completed(cost=COST, queue_s=1.0, run_s=2.0))
    assert (told.url, told.cost, told.queue_s, told.run_s) == ("u", COST, 1.0, 2.0)
    assert filled(Completed(url="u", cost=1), Completed(cost=2)).cost == 1
