"""The hours of submission in a run: it waits for them, ends with them, and collects whatever the hour."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.ledger.wishes import Control
from batchgen.runner import steering
from batchgen.runner.context import RunContext
from batchgen.testing import EPOCH, FakeProvider
from batchgen.window import Window

#: Virtual time begins at 14:13:20 UTC, a Monday.
NIGHT = Window("15:00", "06:30", (), "UTC")
OPENS_S = datetime(2026, 9, 21, 15, tzinfo=UTC).timestamp() - EPOCH
#: Closes 400 s after virtual time begins.
AFTERNOON = Window("14:00", "14:20", (), "UTC")


def limits(window: Window | None, *, in_flight: int = 1, wait: bool = True, until_s: float | None = None) -> Limits:
    """Give the settings of a run with a window, and until when it submits, in seconds after virtual time begins."""
    until = None if until_s is None else EPOCH + until_s
    return Limits(in_flight=in_flight, expect_s=60.0, window=window, wait=wait, until=until)


def test_a_run_waits_for_the_window_and_says_until_when(tmp_path: Path) -> None:
    """It is started after two in the afternoon and pays nothing before three."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(run_s=60.0), limits=limits(NIGHT, in_flight=3))
    seen: list[tuple[str, int]] = []

    async def beside(tools: RunContext) -> None:
        await asyncio.sleep(OPENS_S - 1)
        seen.append((tools.waits, len(batch.provider.posts)))
        await asyncio.sleep(30.0)
        seen.append((tools.waits, len(batch.provider.posts)))

    life = batch.live(beside=beside)
    assert seen == [("window: submissions start Mon 15:00 UTC", 0), ("", 3)]
    assert life.exit is None
    assert batch.states() == [State.DONE] * 3
    check(batch, life)


def test_at_its_end_a_run_collects_what_is_generating_and_stops(tmp_path: Path) -> None:
    """No POST leaves after 14:20; the paid clip is fetched, however long it takes."""
    provider = FakeProvider(run_s=300.0)
    batch = Batch(tmp_path, 4, provider=provider, limits=limits(AFTERNOON))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why == "window: submissions ended Mon 14:20 UTC; run again, the next start is Tue 14:00 UTC"
    assert sorted(batch.states()) == [State.DONE, State.DONE, State.PENDING, State.PENDING]
    assert life.lasted_s > 600.0
    assert not life.tools.shutdown.needs_edit
    check(batch, life)


def test_a_run_with_nothing_left_to_submit_is_not_ended_by_the_window(tmp_path: Path) -> None:
    """All was submitted in time: it is a night like any other, with code 0."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(run_s=900.0), limits=limits(AFTERNOON, in_flight=2))
    life = batch.live()
    assert life.exit is None
    assert batch.states() == [State.DONE] * 2


@pytest.mark.parametrize(
    ("asked", "why"), [(limits(AFTERNOON), "window:"), (limits(None, until_s=400.0), "until:")], ids=["window", "until"]
)
def test_the_end_is_heard_while_submissions_wait_for_something_else(tmp_path: Path, asked: Limits, why: str) -> None:
    """A pause, or an outage, may last until noon; the run must not."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(run_s=60.0), limits=asked)

    async def pause(tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        await steering.obey(tools, Control.PAUSED, grace_s=0.0)

    life = batch.live(beside=pause)
    assert life.exit is Exit.STOPPED
    assert life.why.startswith(why)
    assert life.lasted_s < 420.0


def test_no_wait_ends_a_run_outside_the_window_after_it_has_collected(tmp_path: Path) -> None:
    """What an earlier run paid for is fetched at any hour."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(run_s=600.0), limits=limits(AFTERNOON))

    async def beside(tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        tools.shutdown.request("interrupted", Exit.INTERRUPTED, grace_s=0.0)

    batch.live(beside=beside)
    batch.limits = limits(NIGHT, wait=False)
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why == "window: submissions start Mon 15:00 UTC"
    assert sorted(batch.states()) == [State.DONE, State.PENDING]
    assert len(batch.provider.posts) == 1
    check(batch, life)


def test_a_machine_that_slept_reads_the_clock_within_a_minute(tmp_path: Path) -> None:
    """Timers stand still in sleep: it opens the lid at 15:30, and the night begins."""
    batch = Batch(tmp_path, 1, provider=FakeProvider(run_s=60.0), limits=limits(NIGHT))

    async def beside(_tools: RunContext) -> None:
        await asyncio.sleep(100.0)
        batch.slept_s = OPENS_S + 1800.0

    life = batch.live(beside=beside)
    assert batch.states() == [State.DONE]
    assert life.lasted_s < 300.0


def test_a_machine_that_slept_through_the_end_submits_no_more(tmp_path: Path) -> None:
    """It wakes in the next night, which is not this run's."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(run_s=60.0), limits=limits(AFTERNOON))

    async def beside(_tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        batch.slept_s = 24 * 3600.0

    life = batch.live(beside=beside)
    assert (life.exit, life.why[:7]) == (Exit.STOPPED, "window:")
    assert len(batch.provider.posts) == 1


# --- `--until` ------------------------------------------------------------------------------------------


def test_until_ends_submissions_and_collects_what_is_generating(tmp_path: Path) -> None:
    """Without a window: no POST leaves after it, and no paid clip is left."""
    batch = Batch(tmp_path, 4, provider=FakeProvider(run_s=300.0), limits=limits(None, until_s=400.0))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why.startswith("until: submissions ended Mon ")
    assert life.why.endswith(", as --until said; run again to go on")
    assert sorted(batch.states()) == [State.DONE, State.DONE, State.PENDING, State.PENDING]
    assert not life.tools.shutdown.needs_edit
    check(batch, life)


def test_the_window_ends_before_until(tmp_path: Path) -> None:
    """Whichever comes first; with nothing left to submit neither of them ends the run."""
    batch = Batch(tmp_path, 4, provider=FakeProvider(run_s=300.0), limits=limits(AFTERNOON, until_s=7200.0))
    assert batch.live().why.startswith("window:")
    quiet = Batch(tmp_path / "2", 2, provider=FakeProvider(run_s=900.0), limits=limits(None, in_flight=2, until_s=60.0))
    assert quiet.live().exit is None
    assert quiet.states() == [State.DONE] * 2


def test_a_run_that_begins_after_until_only_collects(tmp_path: Path) -> None:
    """As the third of three batches may."""
    batch = Batch(tmp_path, 2, provider=FakeProvider(run_s=600.0), limits=limits(None, until_s=60.0))

    async def beside(tools: RunContext) -> None:
        await asyncio.sleep(30.0)
        tools.shutdown.request("interrupted", Exit.INTERRUPTED, grace_s=0.0)

    batch.live(beside=beside)
    batch.clock = 100.0
    life = batch.live()
    assert (life.exit, len(batch.provider.posts)) == (Exit.STOPPED, 1)
    assert sorted(batch.states()) == [State.DONE, State.PENDING]
