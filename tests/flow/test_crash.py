"""Kill -9 anywhere: nothing is paid twice, nothing paid for is forgotten, and the bill stays right.

What is on disk at the very moment of the kill is what the next run finds; a POST that had left may arrive.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from batch import Batch, Kill, Life, Limits, check
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, State
from batchgen.selection import Selection
from batchgen.testing import FakeDownloads, FakeJob, FakeProvider, always, first, identity

CLIPS = 6
CONCURRENCY = 4
World = Callable[[], tuple[FakeProvider, FakeDownloads]]

#: POSTs overlap: of a kill between two of them only nothing could be learned.
MIXES: dict[str, World] = {
    "calm": lambda: (FakeProvider(post_s=4.0), FakeDownloads()),
    "rough": lambda: (
        FakeProvider(
            post_s=4.0,
            post=first("ok", "rate", "ok", "server", "unreachable", "ok", "lost"),
            fate=first("done", "transient", "done", "blocked"),
            get=first("ok", "server", "ok", "unreachable"),
        ),
        FakeDownloads(meets=first("ok", "dead", "trouble", "broken")),
    ),
    "blind": lambda: (
        FakeProvider(post_s=4.0, post=first("ok", "lost", "ok", "unsure"), look=always("down"), keeps_s=90.0),
        FakeDownloads(meets=first("trouble", "ok", "dead")),
    ),
    "late": lambda: (
        FakeProvider(post_s=4.0, run_s=100.0, keeps_s=65.0, history_lag_s=30.0, fate=first("done", "no-url")),
        FakeDownloads(takes_s=30.0),
    ),
}


def batch_of(folder: Path, mix: str) -> Batch:
    provider, downloads = MIXES[mix]()
    limits = Limits(submit_concurrency=CONCURRENCY, in_flight=CLIPS, cap=CLIPS * 2_000_000)
    return Batch(folder, CLIPS, provider=provider, downloads=downloads, limits=limits)


def events_of(mix: str) -> int:
    """How many events an undisturbed run of this mix has."""
    with TemporaryDirectory() as folder:
        return len(batch_of(Path(folder), mix).live().events)


def resume_twice(batch: Batch, *, pause_s: float = 30.0) -> None:
    """The first resume settles; the second must find the same, and have nothing to pay."""
    batch.clock += pause_s
    check(batch, batch.live())
    assert all(state.settled for state in batch.states())
    posts, states, spent = len(batch.provider.posts), batch.states(), batch.money().spent
    batch.clock += pause_s
    check(batch, batch.live())
    assert len(batch.provider.posts) == posts
    for before, after in zip(states, batch.states(), strict=True):
        assert before == after or before in (State.UNCONFIRMED, State.LOST)
    assert batch.money().spent >= spent


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize("mix", MIXES)
def test_a_kill_after_any_event_pays_nothing_twice(ram: Path, mix: str, each: int) -> None:
    """Every commit of the ledger is a place to die at; of the POSTs on their way each second one arrives."""
    events = events_of(mix)
    assert events >= 3 * CLIPS
    for n in range(1, events + 1, each):
        batch = batch_of(ram / str(n), mix)
        batch.arrives = cycle([n % 2 == 0, n % 2 == 1]).__next__
        assert batch.live(kill=Kill("event", n)).killed
        check(batch)
        resume_twice(batch)


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("where", ["arrival", "accept", "rename"])
@pytest.mark.parametrize("mix", MIXES)
def test_a_kill_inside_any_post_or_after_any_rename_pays_nothing_twice(
    ram: Path, mix: str, where: str, each: int
) -> None:
    """Before the service has it, after it accepted and before the answer; and with the file whole, unrecorded."""
    killed = 0
    for n in range(1, 12, each):
        batch = batch_of(ram / str(n), mix)
        in_doubt = doubts_before(batch, Kill(where, n))
        if in_doubt is None:
            break
        killed += 1
        assert in_doubt <= CONCURRENCY
        resume_twice(batch)
    assert killed >= (CLIPS - 2 if where != "rename" else 3) // each


def doubts_before(batch: Batch, kill: Kill) -> int | None:
    """How many clips the kill itself has put in doubt; None when the run ended before."""
    life = batch.live(kill=kill)
    check(batch)
    if not life.killed:
        return None
    return sum(1 for clip in batch.clips().values() if clip.state is State.SUBMITTING)


@pytest.mark.parametrize("n", range(1, 9))
def test_a_kill_during_the_recovery_from_a_kill_pays_nothing_twice(ram: Path, n: int) -> None:
    """Compound failures are where recoveries break."""
    batch = batch_of(ram, "rough")
    batch.live(kill=Kill("accept", 4))
    batch.live(kill=Kill("event", n))
    check(batch)
    resume_twice(batch)


def test_a_run_that_is_killed_again_and_again_gets_done_in_the_end(ram: Path) -> None:
    """A kill each third event; what was in doubt is found in the history."""
    batch = batch_of(ram, "calm")
    for _ in range(40):
        life = batch.live(kill=Kill("event", 3))
        check(batch)
        if not life.killed:
            break
        batch.clock += 5
    resume_twice(batch)
    batch.clock += 7300
    batch.live(Selection(resubmit_unconfirmed=True))
    assert batch.states() == [State.DONE] * CLIPS
    assert batch.money().spent == batch.provider.spent()


def test_a_killed_downloads_file_is_fetched_again_and_not_paid_for_again(ram: Path) -> None:
    """The rename was done, the event was not."""
    batch = batch_of(ram, "calm")
    batch.live(kill=Kill("rename", 1))
    assert Counter(batch.states())[State.DONE] == 0
    resume_twice(batch)
    assert batch.states() == [State.DONE] * CLIPS
    assert len(batch.provider.posts) == CLIPS


@pytest.mark.parametrize("arrives", [True, False])
def test_after_a_kill_the_users_word_resubmits_only_what_did_not_arrive(ram: Path, arrives: bool) -> None:
    """--resubmit-unconfirmed after the settle time."""
    batch = batch_of(ram, "calm")
    batch.arrives = lambda: arrives
    batch.live(kill=Kill("arrival", 4))
    batch.clock += 7300
    life = batch.live(Selection(resubmit_unconfirmed=True))
    assert batch.states() == [State.DONE] * CLIPS
    assert max(batch.provider.paid().values()) == 1
    check(batch, life)


# --- any night ----------------------------------------------------------------------------------------------

POSTS = st.lists(
    st.sampled_from(
        ["ok", "ok", "ok", "lost", "unsure", "rate", "rate-30", "unreachable", "server", "refused", "blocked"]
    ),
    max_size=14,
)
FATES = st.lists(st.sampled_from(["done", "done", "transient", "final", "blocked", "no-url", "stuck"]), max_size=8)
GETS = st.lists(st.sampled_from(["ok", "ok", "server", "rate", "unreachable", "gone", "says ODD"]), max_size=25)
LOOKS = st.lists(st.sampled_from(["ok", "down", "part", "blind"]), max_size=6)
FILES = st.lists(st.sampled_from(["ok", "ok", "dead", "broken", "trouble", "full"]), max_size=10)
KILLS = st.lists(
    st.builds(Kill, st.sampled_from(["event", "arrival", "accept", "rename"]), st.integers(1, 20)), max_size=3
)


@fuzz(60)
@given(POSTS, FATES, GETS, LOOKS, FILES, KILLS, st.integers(1, 8), st.integers(0, 12), st.integers(0, 2**16))
def test_any_night_with_any_kills_keeps_the_promises(
    posts: list[str], fates: list[str], gets: list[str], looks: list[str], files: list[str], kills: list[Kill],
    concurrency: int, cap: int, seed: int,
) -> None:  # fmt: skip
    """Random faults × kills × concurrency × budgets: settles, never pays twice, never forgets, keeps the books."""
    dice = random.Random(seed)
    provider = FakeProvider(
        seed=seed, post_s=dice.choice([0.5, 5.0]), post=first(*posts), fate=first(*fates, then="done"),
        get=first(*gets), look=first(*looks), keeps_s=dice.choice([90.0, 3600.0]),
    )  # fmt: skip
    limits = Limits(
        submit_concurrency=concurrency, in_flight=dice.randint(1, 8), cap=cap * 625_000 or None, deadline_s=900.0
    )
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        downloads = FakeDownloads(meets=first(*files))
        batch = Batch(Path(folder), CLIPS, provider=provider, downloads=downloads, limits=limits)
        batch.arrives = lambda: dice.random() < 0.5
        for kill in kills:
            life = batch.live(kill=kill)
            check(batch, life)
            stuck_in_doubt(batch, life, concurrency)
            batch.clock += dice.choice([1.0, 600.0, 5000.0])
        for _ in range(2):
            life = batch.live()
            check(batch, life)
            assert cap == 0 or provider.spent() <= limits.cap  # type: ignore[operator]
        if life.exit is None:
            assert all(state.settled for state in batch.states())


def stuck_in_doubt(batch: Batch, life: Life, concurrency: int) -> None:
    """A kill puts no more in doubt than were on their way at once."""
    cut_off = sum(1 for clip in batch.clips().values() if clip.state is State.SUBMITTING)
    assert cut_off <= (concurrency if life.killed else 0)


def test_intent_id_and_link_are_on_disk_before_the_step_that_needs_them(ram: Path) -> None:
    """Intent before the POST, request id before the first poll, cost and link before the download.

    On a disk so slow that a step which did not wait would be taken long before.
    """
    batch = batch_of(ram, "calm")
    batch.limits = replace(batch.limits, commit_s=20.0)

    def on_disk() -> dict[str, Clip]:
        return {identity(json.loads(clip.wanted.params)): clip for clip in batch.clips().values()}

    def at_post(params: Mapping[str, Any]) -> str:
        clip = on_disk()[identity(params)]
        assert clip.state is State.SUBMITTING
        assert clip.request
        assert clip.request.reserved > 0
        return "ok"

    def at_poll(job: FakeJob | None) -> str:
        assert job
        assert job.request_id in batch.request_ids()
        return "ok"

    def at_download(url: str) -> str:
        assert url in {clip.request.url for clip in batch.clips().values() if clip.request and clip.request.cost}
        return "ok"

    batch.provider.post, batch.provider.get, batch.downloads.meets = at_post, at_poll, at_download
    check(batch, batch.live())
    assert batch.states() == [State.DONE] * CLIPS


@pytest.mark.parametrize("where", ["event", "accept"])
def test_a_kill_pays_nothing_twice_where_the_ledger_has_a_rollback_journal(ram: Path, where: str) -> None:
    """On a synchronised folder or a network drive there is no WAL; a kill may leave half a commit's journal behind."""
    for n in (1, 3, 4, 9, 14):
        batch = batch_of(ram / "Dropbox" / str(n), "rough")
        life = batch.live(kill=Kill(where, n))
        assert not list(batch.folder.glob("*-wal"))
        check(batch, life)
        resume_twice(batch)
