"""The sandbox's pure parts: faults by text, prices, the schedule of its queue."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from batchgen.errors import UsageError
from batchgen.sandbox.clips import packaged
from batchgen.sandbox.faults import Dice, Faults
from batchgen.sandbox.protocol import MODELS, read_order
from batchgen.sandbox.store import Job, Store


def test_faults_are_read_from_text() -> None:
    """A point makes a rate, none a count, none at all one."""
    assert Faults.parse("429=0.1, lost=3,truncated") == Faults(rate429=0.1, lost=3, truncated=1)
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize("text", ["nonsense=1", "lost=x", "lost=1.5", "lost=-1", "lost=0.1.2"])
def test_a_fault_that_cannot_be_is_a_usage_error(text: str) -> None:
    """A typo must not make a quiet sandbox."""
    with pytest.raises(UsageError, match="fault"):
        Faults.parse(text)


def test_the_same_seed_throws_the_same_dice() -> None:
    """A night that went wrong can be had again."""

    def throws(seed: int) -> list[bool]:
        chances = itertools.count(1)
        dice = Dice(Faults(lost=0.3), seed, lambda _name: next(chances))
        return [dice.strikes("lost") for _ in range(200)]

    assert throws(1) == throws(1) != throws(2)
    assert 30 < sum(throws(1)) < 90


def test_an_absent_fault_has_no_chance() -> None:
    """Nothing is written for faults that nobody asked for."""
    assert Dice(Faults(), 0, lambda name: pytest.fail(name)).first(*Faults.catalogue()) is None


@pytest.mark.parametrize(
    ("size", "duration", "price"),
    [("832*480", 5, 312_500), ("1280*720", 5, 625_000), ("1280*720", 10, 1_250_000), ("1080*1920", "10", 1_875_000)],
)
def test_prices_are_those_that_are_known(size: str, duration: int | str, price: int) -> None:
    """Micro-dollars; the duration may be text, as in the service's own sample."""
    assert read_order("wan-2.5-t2v", {"prompt": "x", "size": size, "duration": duration}).price == price


def test_the_package_has_a_clip_for_every_size_and_duration() -> None:
    """Without a renderer the sandbox still serves what was asked for, and the wheel stays small."""
    clips = [
        packaged(int(size.split("*")[0]), int(size.split("*")[1]), duration)
        for size in MODELS["wan-2.5-t2v"].rates
        for duration in MODELS["wan-2.5-t2v"].durations
    ]
    assert len({clip.name for clip in clips}) == 12
    assert sum(clip.stat().st_size for clip in clips) < 500_000
    assert packaged(1280, 720, 15) == packaged(1280, 720, 10)


def test_the_queue_is_that_of_a_pool_of_workers(tmp_path: Path) -> None:
    """The latest finish times are the slots' own: held against a plain simulation."""
    store, rng, slots = Store(tmp_path / "sandbox.db"), random.Random(4), 3
    free, now = [0.0] * slots, 0.0
    for n in range(300):
        now += rng.random()
        run = rng.random() * 5
        start = max(now, store.slot_free_at(slots))
        assert start == max(now, min(free))
        free[free.index(min(free))] = start + run
        store.add(Job(str(n), n, "m", "{}", 1, now, start, start + run, ready_at=now))
    spent, reserved = store.spent(now), store.reserved(now)
    store.close()
    assert spent + reserved == 300


def test_a_job_ends_when_time_and_file_are_both_there() -> None:
    """A slow renderer delays the end, never the clock."""
    job = Job("id", 1, "m", "{}", 100, submitted_at=0, start_at=1, finish_at=2)
    assert [job.state(now) for now in (0, 1, 9)] == ["QUEUED", "PROCESSING", "PROCESSING"]
    late = Job("id", 1, "m", "{}", 100, submitted_at=0, start_at=1, finish_at=2, ready_at=5)
    assert [late.state(now) for now in (4, 5)] == ["PROCESSING", "COMPLETED"]
    assert [late.charged(now) for now in (4, 5)] == [0, 100]
