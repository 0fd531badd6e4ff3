"""A night in virtual time: all that is wanted gets done, within the limits, in the order that loses nothing."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.events import SubmitDeferred
from batchgen.runner.admission import NEAR_THE_END
from batchgen.runner.submit import STALE_S
from batchgen.selection import Selection
from batchgen.testing import COST, FakeDownloads, FakeProvider, first, wanted


def most_in_a_minute(times: list[float]) -> int:
    best, start = 0, 0
    for end, at in enumerate(times):
        while times[start] <= at - 60.0:
            start += 1
        best = max(best, end - start + 1)
    return best


def test_a_batch_of_six_gets_done(tmp_path: Path) -> None:
    """The whole way of a clip, once."""
    batch = Batch(tmp_path)
    life = batch.live()
    assert batch.states() == [State.DONE] * 6
    assert life.exit is None
    assert life.names("k0.1") == ["SubmitStarted", "Submitted", "Generated", "Downloaded"]
    check(batch, life)


def test_every_intent_says_what_it_was_likely_to_cost(tmp_path: Path) -> None:
    """The bill is held against what was estimated at the time, not against what is known later."""
    batch = Batch(tmp_path, 2)
    batch.live()
    assert [clip.request.estimate for clip in batch.clips().values() if clip.request] == [COST, COST]


def test_a_sidecar_lies_beside_every_file(tmp_path: Path) -> None:
    """The file tells how it came about."""
    batch = Batch(tmp_path, 2)
    batch.live()
    said = json.loads((batch.folder / "clips" / "shot1_1.json").read_text())
    assert said["params"]["seed"] == 1001


@pytest.mark.parametrize(("clips", "hours"), [(300, 1.0), pytest.param(2000, 2.5, marks=pytest.mark.slow)])
def test_a_night_of_two_thousand_clips(ram: Path, clips: int, hours: float) -> None:
    """At the pace of a real account, with a little of every trouble; all done, nothing twice, no 429 of our own."""
    provider = FakeProvider(run_s=212.0, rpm=120, spread=0.4)
    provider.post = lambda _: provider.dice.choices(["ok", "server", "unreachable"], [97, 2, 1])[0]
    provider.fate = lambda _: provider.dice.choices(["done", "transient"], [99, 1])[0]
    provider.get = lambda _: provider.dice.choices(["ok", "server"], [99, 1])[0]
    downloads = FakeDownloads(meets=lambda _: provider.dice.choices(["ok", "trouble", "broken"], [98, 1, 1])[0])
    limits = Limits(rpm=120, in_flight=200, expect_s=212.0)
    batch = Batch(ram, clips, provider=provider, downloads=downloads, limits=limits)
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: clips}
    assert provider.limited == 0
    assert most_in_a_minute(provider.calls) <= 120
    assert life.lasted_s < hours * 3600
    check(batch, life)


def test_a_second_run_of_a_done_batch_asks_for_nothing(tmp_path: Path) -> None:
    """Run is also resume."""
    batch = Batch(tmp_path)
    batch.live()
    posts, calls = len(batch.provider.posts), len(batch.provider.calls)
    life = batch.live()
    assert (len(batch.provider.posts), len(batch.provider.calls)) == (posts, calls)
    assert life.events == []


def test_an_edit_runs_only_what_is_new(tmp_path: Path) -> None:
    """A clip is its parameters."""
    batch = Batch(tmp_path, 3)
    batch.live()
    batch.wanted = [*batch.wanted[1:], wanted(9)]
    batch.live()
    assert len(batch.provider.posts) == 4
    assert batch.states() == [State.DONE] * 3
    assert batch.clips()["k0.1"].unwanted


def test_only_what_was_asked_for_is_submitted(tmp_path: Path) -> None:
    """--only takes globs of prompt ids and names, several with commas."""
    batch = Batch(tmp_path, 12)
    batch.live(Selection(only="shot1*, shot3_?"))
    assert Counter(batch.states()) == {State.DONE: 4, State.PENDING: 8}


def test_only_collecting_submits_nothing(tmp_path: Path) -> None:
    """`verify` fetches again, and must never buy."""
    batch = Batch(tmp_path, 6)
    batch.live(Selection(limit=2))
    batch.live(Selection(submit=False))
    assert len(batch.provider.posts) == 2


def test_first_takes_of_all_prompts_come_before_second_ones(tmp_path: Path) -> None:
    """A night that ends early has one of everything."""
    clips = [wanted(n, take) for n in range(4) for take in (1, 2)]
    batch = Batch(tmp_path, clips, limits=Limits(submit_concurrency=1))
    batch.live()
    seeds = [json.loads(params)["seed"] for _, params in batch.provider.posts]
    assert seeds == sorted(seeds)


def test_no_more_posts_are_out_at_once_than_asked(tmp_path: Path) -> None:
    """That, times the price, is all that a crash can put in doubt."""
    provider = FakeProvider(post_s=20.0)
    batch = Batch(tmp_path, 40, provider=provider, limits=Limits(submit_concurrency=3))
    batch.live()
    assert provider.most_posts == 3


def test_a_full_service_is_not_filled_further(tmp_path: Path) -> None:
    """In-flight follows the queue time: ten slots, and the record's hour runs in the queue too."""
    provider = FakeProvider(slots=10, run_s=100.0, spread=0.05)
    batch = Batch(tmp_path, 150, provider=provider, limits=Limits(in_flight=100, expect_s=100.0))
    life = batch.live()
    late = sorted(provider.jobs.values(), key=lambda job: job.at)[50:]
    assert max(job.starts - job.at for job in late) < 200
    assert life.lasted_s < 1.5 * 150 / 10 * 100
    check(batch, life)


def test_submissions_pause_while_the_queue_comes_near_the_hour(tmp_path: Path) -> None:
    """No more is submitted than can be collected in time."""
    provider = FakeProvider(run_s=3000.0, spread=0.0)
    batch = Batch(tmp_path, 20, provider=provider, limits=Limits(in_flight=10, deadline_s=3500.0, expect_s=3000.0))
    life = batch.live()
    at = [when for when, _ in provider.posts]
    assert not [when for when in at if NEAR_THE_END * 3600.0 + 2 < when < 3000]
    assert batch.states() == [State.DONE] * 20
    check(batch, life)


def test_one_stuck_job_does_not_hold_up_the_others(ram: Path) -> None:
    """It is its own trouble, not the queue's."""
    provider = FakeProvider(fate=first("stuck"))
    batch = Batch(ram, 300, provider=provider, limits=Limits(rpm=6))
    life = batch.live()
    at = [when for when, _ in provider.posts]
    assert max(after - before for before, after in itertools.pairwise(at)) < 300
    assert Counter(batch.states()) == {State.DONE: 299, State.LOST: 1}
    check(batch, life)


def test_slow_downloads_do_not_hold_up_submission(tmp_path: Path) -> None:
    """The place in flight is given back when the clip is generated."""
    downloads = FakeDownloads(takes_s=5000.0)
    batch = Batch(tmp_path, 40, downloads=downloads, limits=Limits(in_flight=4))
    life = batch.live()
    assert max(when for when, _ in batch.provider.posts) < 2000
    check(batch, life)


def test_a_resumed_batch_collects_the_oldest_first(tmp_path: Path) -> None:
    """What is about to expire goes first."""
    batch = Batch(tmp_path, 30, provider=FakeProvider(run_s=600.0, spread=0.0), limits=Limits(rpm=60))

    async def leave(tools: object) -> None:
        import asyncio

        from batchgen.errors import Exit
        from batchgen.runner.context import RunContext

        assert isinstance(tools, RunContext)
        await asyncio.sleep(300)
        tools.shutdown.request("Ctrl-C", Exit.INTERRUPTED, grace_s=0.0)

    batch.live(beside=leave)
    submitted = [job.url for job in batch.provider.jobs.values()]
    assert len(submitted) >= 4
    batch.clock += 1000
    batch.limits = replace(batch.limits, rpm=10)
    batch.live()
    assert batch.downloads.asked[: len(submitted)] == submitted
    assert batch.states() == [State.DONE] * 30


@pytest.mark.parametrize("edit", [[], [wanted(99)]])
def test_what_is_no_longer_wanted_is_collected_and_never_submitted(tmp_path: Path, edit: list[object]) -> None:
    """It was paid for, so it is fetched; a new try would be paid for, too."""
    provider = FakeProvider(fate=lambda params: "transient" if params["seed"] == 1001 else "done", run_s=100.0)
    batch = Batch(tmp_path, 3, provider=provider)

    from batch import Kill

    batch.live(kill=Kill("event", 6))
    batch.wanted = list(edit)  # type: ignore[arg-type]
    life = batch.live()
    states = {key: clip.state for key, clip in batch.clips().items()}
    assert states["k0.1"] is State.DONE
    assert states["k1.1"] is State.PENDING
    assert len(provider.posts) == 3 + len(edit)
    check(batch, life)


def test_an_intent_that_slept_is_not_sent_and_the_clip_is_submitted_later(tmp_path: Path) -> None:
    """A laptop that was closed between the two: its place in the account's rate is gone, and others may have acted."""
    batch = Batch(tmp_path, 1)
    times = iter([0.0, STALE_S])  # the intent is on disk; the lid closes; the request would leave
    batch.boot_clock = lambda: next(times, 100.0)
    life = batch.live()
    assert life.names("k0.1")[:3] == ["SubmitStarted", "SubmitDeferred", "SubmitStarted"]
    assert "not sent" in next(event.reason for _, event in life.events if isinstance(event, SubmitDeferred))
    assert batch.states() == [State.DONE]
    assert len(batch.provider.posts) == 1
    check(batch, life)


def test_an_intent_that_waited_less_is_sent(tmp_path: Path) -> None:
    """A busy machine takes its time, too."""
    batch = Batch(tmp_path, 1)
    times = iter([0.0, STALE_S - 0.1])
    batch.boot_clock = lambda: next(times, 100.0)
    life = batch.live()
    assert life.names("k0.1")[:2] == ["SubmitStarted", "Submitted"]
    check(batch, life)
