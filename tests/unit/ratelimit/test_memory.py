"""What was learned of an account lasts for the next night, not for weeks, and is nobody else's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from test_limiter import asking, limited, now, run, running

from batchgen.ratelimit.base import Call
from batchgen.ratelimit.concurrency import START
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.ratelimit.memory import KEPT_S, AccountMemory, Remembered, Start, start_of
from batchgen.ratelimit.setup import PaceSetup
from batchgen.settings import Settings

ORIGIN, ACCOUNT = "https://api.example", "a1"


class Wall:
    """A clock that is put where a test wants it."""

    at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def lessons(folder: Path, wall: Wall | None = None, account: str = ACCOUNT, origin: str = ORIGIN) -> AccountMemory:
    return AccountMemory.of(origin, account, folder=folder, wall=wall or Wall())


def pace(of: AccountMemory, **settings: object) -> PaceSetup:
    return PaceSetup(Settings(**{"rpm": 120.0, **settings}), lessons=of)  # type: ignore[arg-type]


def test_what_one_run_learned_the_next_one_knows(tmp_path: Path) -> None:
    """Of this account and origin, and of no other."""
    lessons(tmp_path).rate(32.0, 60.0, ceiling=120.0)
    lessons(tmp_path).places(24.0, 32)
    assert lessons(tmp_path).known == Remembered(32.0, 60.0, 1_000_000.0, 24.0, 1_000_000.0)
    assert lessons(tmp_path, account="b2").known == Remembered()
    assert lessons(tmp_path, origin="https://else.example").known == Remembered()


def test_it_is_forgotten_after_some_days(tmp_path: Path) -> None:
    """A limit that came of an incident must not hold nights down for weeks; a clock of nonsense neither."""
    wall = Wall()
    lessons(tmp_path, wall).rate(32.0, 60.0, ceiling=120.0)
    wall.at += KEPT_S / 2
    lessons(tmp_path, wall).places(24.0, 32)
    wall.at += KEPT_S / 2 + 1
    assert lessons(tmp_path, wall).known == Remembered(places=24.0, places_at=1_000_000.0 + KEPT_S / 2)
    wall.at -= 30 * KEPT_S
    assert lessons(tmp_path, wall).known == Remembered()


def test_a_file_of_an_older_release_says_nothing_of_what_held(tmp_path: Path) -> None:
    """What it does say is taken."""
    lessons(tmp_path).rate(32.0, 60.0, 32.0, ceiling=120.0)
    assert lessons(tmp_path).known.proven
    (file,) = tmp_path.glob("*.learned")
    old = json.loads(file.read_text())
    del old["proven_rpm"]
    old["knee"] = old.pop("known_limit")
    file.write_text(json.dumps(old))
    assert lessons(tmp_path).known == Remembered(32.0, 60.0, 1_000_000.0)
    assert not lessons(tmp_path).known.proven


async def test_a_rate_is_said_to_hold_once_a_whole_minute_of_it_did(tmp_path: Path) -> None:
    """Right after a cut nothing was tried; the real limit may be far below."""
    of = pace(lessons(tmp_path))
    async with running(of.pacer()) as pacer:
        await asking(pacer, [], Call.SUBMIT, now() + 60)
        limited(await pacer.acquire(Call.SUBMIT), None)
        assert not lessons(tmp_path).known.proven
        await asking(pacer, [], Call.SUBMIT, now() + 70)
        assert lessons(tmp_path).known.rpm == pytest.approx(111.6)
        assert not lessons(tmp_path).known.proven
        await asking(pacer, [], Call.SUBMIT, now() + 60)
        assert lessons(tmp_path).known.rpm == pytest.approx(111.6)
        assert lessons(tmp_path).known.proven
        limited(await pacer.acquire(Call.SUBMIT), None)
        assert not lessons(tmp_path).known.proven


def test_a_rate_that_came_up_to_what_is_configured_is_forgotten(tmp_path: Path) -> None:
    """There is no limit any more."""
    lessons(tmp_path).rate(32.0, 60.0, ceiling=120.0)
    lessons(tmp_path).rate(120.0, 60.0, ceiling=120.0)
    assert lessons(tmp_path).known == Remembered(rpm_at=1_000_000.0)


def test_a_bound_that_only_the_ceiling_holds_down_says_nothing_against_more(tmp_path: Path) -> None:
    """A small batch must not make the next night start small."""
    book = lessons(tmp_path)
    book.places(80.0, 400)
    book.places(8.0, 8)
    assert book.known.places == 80
    book.places(6.0, 8)
    assert book.known.places == 6


def test_a_bound_is_not_written_for_each_clip(tmp_path: Path) -> None:
    """It moves with every one of them."""
    book = lessons(tmp_path)
    book.places(80.0, 400)
    (file,) = tmp_path.glob("*.learned")
    file.unlink()
    book.places(83.0, 400)
    assert not list(tmp_path.glob("*.learned"))
    book.places(100.0, 400)
    assert json.loads(file.read_text())["places"] == 100


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", b"{}", b"\xff" * 99, b'{"rpm": 1e999, "known_limit": NaN}', b"[" * 9999]
)
def test_a_file_of_nonsense_is_no_reason_not_to_run(tmp_path: Path, junk: bytes) -> None:
    """It is a note; it is written anew."""
    lessons(tmp_path).places(24.0, 32)
    (file,) = tmp_path.glob("*.learned")
    file.write_bytes(junk)
    assert lessons(tmp_path).known == Remembered()
    for bad in ({"rpm": -1}, {"rpm": "x"}, {"places": float("inf")}, {"known_limit": None}):
        file.write_text(json.dumps({"rpm": 1, "known_limit": 1, "rpm_at": 1e6, "places": 1, "places_at": 1e6, **bad}))
        assert lessons(tmp_path).known == Remembered()
    lessons(tmp_path).rate(32.0, 60.0, ceiling=120.0)
    assert lessons(tmp_path).known.rpm == 32


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A read-only home must not end a night."""
    (tmp_path / "file").touch()
    book = lessons(tmp_path / "file")
    book.rate(32.0, 60.0, ceiling=120.0)
    assert book.known.rpm == 32


def test_two_runs_of_an_account_keep_what_the_other_one_learned(tmp_path: Path) -> None:
    """A write is about what this run learned; of all else the newest word stays."""
    wall = Wall()
    lessons(tmp_path, wall).rate(90.0, 95.0, ceiling=120.0)
    one, other = lessons(tmp_path, wall), lessons(tmp_path, wall)
    wall.at += 60
    one.rate(32.0, 60.0, ceiling=120.0)
    other.places(24.0, 32)
    assert lessons(tmp_path, wall).known == Remembered(32.0, 60.0, wall.at, 24.0, wall.at)
    wall.at += 60
    one.places(12.0, 32, full=True)
    other.rate(50.0, 55.0, ceiling=120.0)
    assert lessons(tmp_path, wall).known == Remembered(50.0, 55.0, wall.at, 12.0, wall.at, 1.0)


def test_a_memory_that_one_run_ended_is_not_brought_back_by_the_other(tmp_path: Path) -> None:
    """An explicit rate, or one that came up to all of it: the other run still has the old one in mind."""
    wall = Wall()
    lessons(tmp_path, wall).rate(32.0, 60.0, ceiling=120.0)
    one, other = lessons(tmp_path, wall), lessons(tmp_path, wall)
    wall.at += 60
    one.forget_rate()
    other.places(24.0, 32)
    assert lessons(tmp_path, wall).known.rpm == 0
    wall.at += 60
    other.rate(20.0, 25.0, ceiling=120.0)
    assert lessons(tmp_path, wall).known.rpm == 20


def test_a_time_to_come_does_not_outdo_what_is_learned_now(tmp_path: Path) -> None:
    """The other run's clock was ahead, or ours was put back."""
    wall, ahead = Wall(), Wall()
    ahead.at += KEPT_S / 2
    lessons(tmp_path, ahead).rate(90.0, 95.0, ceiling=120.0)
    lessons(tmp_path, wall).rate(32.0, 60.0, ceiling=120.0)
    assert lessons(tmp_path, wall).known == Remembered(32.0, 60.0, wall.at)


def test_what_another_run_held_up_is_kept_with_the_next_write(tmp_path: Path) -> None:
    """One that was stopped with the file in its hand must not hold this one up, nor cost it what it learned."""
    wall = Wall()
    book = lessons(tmp_path, wall)
    book.places(24.0, 32)
    (file,) = tmp_path.glob("*.learned")
    with FileLock(file.with_suffix(".lock")):
        book.rate(32.0, 60.0, ceiling=120.0)
    assert lessons(tmp_path, wall).known.rpm == 0
    book.places(12.0, 32)
    assert lessons(tmp_path, wall).known == Remembered(32.0, 60.0, wall.at, 12.0, wall.at)


def test_a_bound_beyond_which_clips_queue_is_told_from_one_that_was_never_met(tmp_path: Path) -> None:
    """The first is what the service has room for, the second what a small batch needed."""
    book = lessons(tmp_path)
    of = pace(book)
    places = of.places(213.0)
    places.learn(0.0, 60.0, 8)
    assert (lessons(tmp_path).known.places, lessons(tmp_path).known.full) == (9, 0)
    places.probed(queued=True)
    assert (lessons(tmp_path).known.places, lessons(tmp_path).known.full) == (9, 1)
    for _ in range(4):
        places.learn(50.0, 60.0, 7)
    assert (lessons(tmp_path).known.places, lessons(tmp_path).known.full) == (6, 1)


@pytest.mark.parametrize(
    ("settings", "known", "rpm", "in_flight", "notes"),
    [
        ({}, Remembered(60.0, 70.0, -9 * 3600.0), 60, 32,
         ("at 60 of 120 calls a minute, to which it was slowed after refusals 9 h ago", "")),
        ({}, Remembered(60.0, 70.0, -9 * 3600.0, proven_rpm=60.0), 60, 32,
         ("at 60 of 120 calls a minute, which the account accepted 9 h ago", "")),
        ({}, Remembered(64.0, 70.0, -9 * 3600.0, proven_rpm=60.0), 64, 32,
         ("at 64 of 120 calls a minute, to which it was slowed after refusals 9 h ago", "")),
        ({"rpm_given": True}, Remembered(60.0, 70.0, 0.0), 120, 32, ("", "")),
        ({"rpm": 50.0}, Remembered(60.0, 70.0, 0.0), 50, 32, ("", "")),
        ({"rpm": 0.0}, Remembered(60.0, 70.0, 0.0), 0, 32, ("", "")),
        ({}, Remembered(rpm_at=5.0), 120, 32, ("", "")),
        ({}, Remembered(places=10.0, places_at=-600.0), 120, 32, ("", "")),
        ({}, Remembered(places=10.0, places_at=-600.0, full=1.0), 120, 10,
         ("", "with 10 clips in flight, because more had to queue 10 min ago")),
        ({"in_flight": 8}, Remembered(places=10.0, full=1.0), 120, 8, ("", "")),
    ],
)  # fmt: skip
def test_a_start_is_as_configured_or_as_the_account_allowed(
    settings: dict[str, Any], known: Remembered, rpm: float, in_flight: int, notes: tuple[str, str]
) -> None:
    """What a plan reckons with, and says."""
    start = start_of(Settings(**{"rpm": 120.0, **settings}), known, 0.0)
    assert start == Start(rpm, in_flight, *notes)


def test_places_are_reckoned_with_as_far_as_they_are_known_to_hold_up(tmp_path: Path) -> None:
    """At the start of a night by memory, later by what was seen."""
    assert pace(lessons(tmp_path)).places(213.0).expected == 32
    lessons(tmp_path).places(10.0, 32, full=True)
    of = pace(lessons(tmp_path)).places(213.0)
    assert of.expected == 10
    of.learn(0.0, 60.0, 14)
    assert of.expected == 15
    free = pace(lessons(tmp_path, account="new")).places(213.0)
    for _ in range(3):
        free.learn(50.0, 60.0, 4)
    assert free.expected == 3


async def test_a_run_starts_where_the_last_one_stood_and_says_so(tmp_path: Path) -> None:
    """In one line, with the way to override it."""
    lessons(tmp_path).rate(1234.56, 1500.0, ceiling=2000.0)
    of = pace(lessons(tmp_path), rpm=2000.0)
    assert of.pacer().snapshot().rpm == 1234.56
    (note,) = of.notes
    assert "1234.6 of 2000 calls a minute" in note
    assert "--rpm 2000" in note


async def test_an_explicit_rate_wins_and_resets_what_is_remembered(tmp_path: Path) -> None:
    """By flag or environment; what the manifest says is the ceiling, and memory lowers the start only."""
    lessons(tmp_path).rate(32.0, 60.0, ceiling=120.0)
    slow = pace(lessons(tmp_path), rpm=20.0)
    assert (slow.pacer().snapshot().rpm, slow.notes) == (20, [])
    given = pace(lessons(tmp_path), rpm_given=True)
    assert (given.pacer().snapshot().rpm, given.notes) == (120, [])
    assert lessons(tmp_path).known.rpm == 0


async def test_what_only_asks_takes_a_small_part_of_the_rate_beside_a_run(tmp_path: Path) -> None:
    """And what was asked before there was a pacer is counted."""
    of = pace(lessons(tmp_path), rpm=50.0)
    of.step_back()
    async with running(of.pacer()) as pacer:
        assert pacer.snapshot().rpm == 5
        limited(await pacer.acquire(Call.HISTORY), 1.0)
    assert lessons(tmp_path).known.rpm == 0
    of = pace(lessons(tmp_path), rpm=1.0)
    of.called()
    async with running(of.pacer()) as pacer:
        began = asyncio.get_running_loop().time()
        await pacer.acquire(Call.SUBMIT)
        assert asyncio.get_running_loop().time() - began > 55


async def test_the_sandbox_remembers_nothing(tmp_path: Path) -> None:
    """Its account is nobody's."""
    of = PaceSetup(Settings(sandbox=True, rpm=600.0))
    async with running(of.pacer()) as pacer:
        limited(await pacer.acquire(Call.SUBMIT), 1.0)
    of.places(213.0).learn(0.0, 60.0, START)
    assert not list(tmp_path.iterdir())


async def test_a_run_starts_with_as_many_in_flight_as_were_learned(tmp_path: Path) -> None:
    """Under its own ceiling; never so many that they would run out of their hour at a few at a time."""
    book = lessons(tmp_path)
    book.places(40.0, 400)
    assert pace(book, in_flight=400).places(213.0).limit == 40
    assert pace(book, in_flight=8).places(213.0).limit == 8
    assert pace(book, in_flight=400, deadline=3300.0).places(900.0).limit == 14
    assert pace(lessons(tmp_path, account="new"), in_flight=400).places(213.0).limit == START
    book.places(2.0, 400)
    assert pace(book, in_flight=400).places(213.0).limit == START


def test_a_429_is_on_disk_before_the_next_call_and_so_is_the_way_back(tmp_path: Path) -> None:
    """A run that is killed has learned, too."""
    seen: list[float] = []

    async def night() -> None:
        of = pace(lessons(tmp_path))
        async with running(of.pacer()) as pacer:
            await asking(pacer, [], Call.SUBMIT, now() + 60)
            limited(await pacer.acquire(Call.SUBMIT), None)
            seen.append(lessons(tmp_path).known.rpm)
            await asking(pacer, [], Call.SUBMIT, now() + 120)
            seen.append(lessons(tmp_path).known.rpm)

    run(night())
    assert seen == [60.0, pytest.approx(111.6)]


def test_the_run_says_when_the_rate_falls_and_when_it_is_back(tmp_path: Path) -> None:
    """One line each; the steps between are no news."""
    of = pace(lessons(tmp_path))

    async def night() -> None:
        async with running(of.pacer()) as pacer:
            await asking(pacer, [], Call.SUBMIT, now() + 60)
            for permit in [await pacer.acquire(Call.SUBMIT) for _ in range(3)]:
                limited(permit, None)
            assert len(of.notes) == 1
            await asking(pacer, [], Call.SUBMIT, now() + 7200)

    run(night())
    fell, back = of.notes
    assert "429" in fell
    assert "60 of 120 calls a minute" in fell
    assert "back at 120 calls a minute" in back


def test_a_night_that_starts_low_by_memory_says_when_it_is_at_all_of_it(tmp_path: Path) -> None:
    """And a fall from there is one, too."""
    lessons(tmp_path).rate(60.0, 60.0, ceiling=120.0)
    of = pace(lessons(tmp_path))

    async def night() -> None:
        async with running(of.pacer()) as pacer:
            limited(await pacer.acquire(Call.SUBMIT), None)
            await asking(pacer, [], Call.SUBMIT, now() + 3 * 3600)

    run(night())
    starts, fell, back = of.notes
    assert "starting at 60 of 120" in starts
    assert "30 of 120 calls a minute" in fell
    assert "back at 120 calls" in back


def test_the_second_night_meets_a_hidden_limit_fewer_times_than_the_first(tmp_path: Path) -> None:
    """And still finds out when it is gone."""

    async def night(of: PaceSetup, limit: int, seconds: float) -> tuple[int, LocalPacer]:
        times: list[float] = []
        refused = 0
        async with running(of.pacer()) as pacer:
            end = now() + seconds
            while now() < end:
                permit = await pacer.acquire(Call.SUBMIT)
                if len(times) >= limit and times[-limit] > now() - 60.0:
                    refused += 1
                    limited(permit, None)
                else:
                    times.append(now())
        return refused, pacer

    async def nights() -> None:
        first, _ = await night(pace(lessons(tmp_path)), 40, 1200)
        second, _ = await night(pace(lessons(tmp_path)), 40, 290)
        third, pacer = await night(pace(lessons(tmp_path)), 1000, 4 * 3600)
        await asyncio.sleep(0)
        assert (first >= 1, second, third) == (True, 0, 0)
        assert pacer.snapshot().rpm == 120
        assert lessons(tmp_path).known.rpm == 0

    run(nights())
