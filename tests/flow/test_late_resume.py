"""A night that is resumed late: what is about to expire is collected first, and a loss is warned of before it comes."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from contextlib import closing
from pathlib import Path

import pytest
from batch import Batch, Life, Limits, check

from batchgen.clip import State
from batchgen.events import Generated, Lost, SubmitStarted, Submitted
from batchgen.ledger import SqliteLedger
from batchgen.testing import COST, EPOCH, MODEL, FakeJob, FakeProvider, wanted

MINUTE = 60.0
NOW = 10_000.0


def cut_off(folder: Path, ages: list[float], *, rpm: float, pending: int = 0) -> Batch:
    """A batch whose run was cut off so long ago after each of these submissions; all have ended since."""
    clips = [wanted(n) for n in range(len(ages) + pending)]
    batch = Batch(folder, clips, provider=FakeProvider(), limits=Limits(rpm=rpm))
    batch.clock = NOW

    async def submitted(ledger: SqliteLedger) -> None:
        for n, age in enumerate(ages):
            at = EPOCH + NOW - age
            batch.provider.jobs[f"r{n}"] = FakeJob(f"r{n}", MODEL, json.loads(clips[n].params), at, at, at + 5 * MINUTE)
            clip = await ledger.record(ledger.clip(n + 1), SubmitStarted(at, reserved=2 * COST))
            await ledger.record(clip, Submitted(f"r{n}", at))
        await ledger.settle()

    with closing(SqliteLedger(batch.folder, wall_clock=lambda: EPOCH + NOW)) as ledger:
        ledger.sync(clips)
        asyncio.run(submitted(ledger))
    return batch


def collected(batch: Batch, life: Life) -> list[tuple[float, float]]:
    """When each clip was submitted and when its link came, in the order of coming."""
    at = {job.url: job.at for job in batch.provider.jobs.values()}
    return [(at[event.url], event.at) for _, event in life.events if isinstance(event, Generated)]


def test_a_resume_after_fifty_minutes_collects_the_oldest_first(tmp_path: Path) -> None:
    """Though the first looks at the oldest ones fail, and all others have waited longer by then."""
    ages = [50 * MINUTE - 15.0 * n for n in range(40)]
    random.Random(3).shuffle(ages)
    batch = cut_off(tmp_path, ages, rpm=20.0)
    failed: set[str] = set()

    def get(job: FakeJob | None) -> str:
        if job is None or job.request_id in failed or job.at > EPOCH + NOW - 47 * MINUTE:
            return "ok"
        failed.add(job.request_id)
        return "server"

    batch.provider.get = get
    life = batch.live()
    assert batch.states() == [State.DONE] * 40
    order = [submitted for submitted, _ in collected(batch, life)]
    assert order == sorted(order)
    assert all(came - submitted < 60 * MINUTE for submitted, came in collected(batch, life))
    asked = [batch.provider.jobs[url.rpartition("/")[2].removesuffix(".mp4")].at for url in batch.downloads.asked]
    assert asked == sorted(asked)
    check(batch, life)


def test_as_many_as_the_pace_bears_are_collected_before_their_records_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Look and result in one breath, one clip after the other; the history has the rest, and it was said before."""
    batch = cut_off(tmp_path, [50 * MINUTE] * 40, rpm=6.0)
    with caplog.at_level(logging.WARNING):
        life = batch.live()
    assert batch.states() == [State.DONE] * 40
    assert not [event for _, event in life.events if isinstance(event, Lost)]
    in_time = sum(came - submitted < 60 * MINUTE for submitted, came in collected(batch, life))
    assert in_time in (27, 28, 29)  # 95 % of 6 calls a minute, for ten minutes, two calls each
    warned = [record.getMessage() for record in caplog.records if record.name == "batchgen.runner.alerts"]
    assert "records expire within ten minutes: 40," in warned[0]
    assert f"can't be collected in time at this rate: {40 - 28}" in warned[0]
    assert len(warned) <= 4
    check(batch, life)


def test_what_is_about_to_expire_goes_before_what_is_to_be_submitted(tmp_path: Path) -> None:
    """Records of 50 minutes, and new clips that want the same calls."""
    batch = cut_off(tmp_path, [50 * MINUTE] * 10, rpm=6.0, pending=6)
    life = batch.live()
    assert batch.states() == [State.DONE] * 16
    first_ten = [came for submitted, came in collected(batch, life) if submitted < EPOCH + NOW]
    assert len(first_ten) == 10
    assert max(first_ten) - (EPOCH + NOW) < 10 * MINUTE
    check(batch, life)


@pytest.mark.parametrize("hours", [1.5, 24.0, 6 * 24.0])
def test_a_resume_after_the_records_are_gone_collects_all_from_the_history(tmp_path: Path, hours: float) -> None:
    """The files live seven days."""
    batch = cut_off(tmp_path, [hours * 60 * MINUTE + n for n in range(12)], rpm=50.0)
    life = batch.live()
    assert batch.states() == [State.DONE] * 12
    assert not batch.provider.posts
    check(batch, life)


def test_no_warning_where_nothing_is_in_danger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A quiet night stays quiet."""
    batch = cut_off(tmp_path, [MINUTE] * 5, rpm=50.0)
    for job in batch.provider.jobs.values():
        job.ends = job.at + 3 * MINUTE
    with caplog.at_level(logging.WARNING):
        life = batch.live()
    assert not [record for record in caplog.records if record.name == "batchgen.runner.alerts"]
    assert life.tools.alarm == ""


def test_the_looks_of_a_wait_that_a_killed_run_had_begun_are_not_known(tmp_path: Path) -> None:
    """It may have looked any number of times: to count this run's alone would make its clips look cheap."""
    batch = cut_off(tmp_path, [MINUTE, MINUTE], rpm=60.0, pending=3)
    batch.live()
    looks = [clip.request.poll_count for clip in batch.clips().values() if clip.request]
    assert looks[:2] == [None, None]
    assert all(looks[2:])
    assert len(looks) == 5
