"""One account's minute is one minute: over restarts, kills, other batches and clocks that are put back."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st
from test_limiter import asking, most_in_a_minute, now, run, running

from batchgen.ratelimit.base import Call
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.ratelimit.memory import SharedWindow

ORIGIN, ACCOUNT = "https://api.example", "a1"


class Wall:
    """A clock that is put where a test wants it."""

    at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def opened(folder: Path, wall: Wall, who: str = "x", account: str = ACCOUNT) -> SharedWindow:
    return SharedWindow.open(ORIGIN, account, who, folder=folder, wall=wall)


def test_a_run_knows_the_calls_of_the_last_minute_of_those_before_it(tmp_path: Path) -> None:
    """And of no other account, and none that are older."""
    wall = Wall()
    book = opened(tmp_path, wall)
    for wall.at in (1_000_000.0, 1_000_050.0, 1_000_055.0):
        book.called()
    book.close()
    wall.at = 1_000_070.0
    other, book = opened(tmp_path, wall, account="b2"), opened(tmp_path, wall)
    assert (other.before, book.before) == ([], [20.0, 15.0])
    other.close()
    book.close()


def test_who_comes_while_another_is_at_work_is_told_so(tmp_path: Path) -> None:
    """Who has gone is told of no more, and the calls of both count for who comes next."""
    wall = Wall()
    first, second = opened(tmp_path, wall, "one"), opened(tmp_path, wall, "two")
    first.called()
    second.called()
    assert (first.others, second.others) == ([], ["one"])
    first.close()
    third = opened(tmp_path, wall, "three")
    assert (third.others, third.before) == (["two"], [0.0])
    second.close()
    third.close()
    last = opened(tmp_path, wall)
    assert (last.others, last.before) == ([], [0.0, 0.0])
    last.close()


def test_a_clock_that_was_put_back_costs_a_minute_and_no_more(tmp_path: Path) -> None:
    """Calls of the future count as now, once."""
    wall = Wall()
    book = opened(tmp_path, wall)
    book.called()
    book.close()
    wall.at -= 3600.0
    book = opened(tmp_path, wall)
    assert book.before == [0.0]
    book.close()
    wall.at += 61.0
    book = opened(tmp_path, wall)
    assert book.before == []
    book.close()


@pytest.mark.parametrize("junk", [b"", b"{", b"\xff" * 3000])
def test_a_file_of_nonsense_is_no_reason_not_to_run(tmp_path: Path, junk: bytes) -> None:
    """It is a note; nothing that was paid for hangs on it."""
    opened(tmp_path, Wall()).close()
    (file,) = tmp_path.glob("*.0.calls")
    file.write_bytes(junk)
    book = opened(tmp_path, Wall())
    assert book.before == []
    book.close()


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A read-only home must not end a night."""
    (tmp_path / "file").touch()
    book = opened(tmp_path / "file", Wall())
    book.called()
    assert (book.before, book.others) == ([], [])
    book.close()


@fuzz(25)
@given(
    st.sampled_from([1.0, 5.0, 30.0, 50.0, 120.0]), st.lists(st.floats(0.1, 100.0), min_size=1, max_size=6),
    st.lists(st.sampled_from(list(Call)), min_size=1, max_size=4),
)  # fmt: skip
def test_no_minute_sees_more_than_the_rate_however_often_it_is_started(
    rpm: float, lives: list[float], calls: list[Call]
) -> None:
    """Each life ends as by kill -9, and the next begins at once; none of them idles longer than it must."""
    times: list[float] = []

    async def night() -> None:
        begun = now()
        for life in lives:
            async with running(LocalPacer(rpm, before=[now() - at for at in times if at > now() - 60.0])) as pacer:
                await lived(pacer, life)
        assert len(times) >= 0.9 * rpm * (now() - begun) / 60.0 - len(lives) - 2

    async def lived(pacer: LocalPacer, life: float) -> None:
        tasks = [asyncio.ensure_future(asking(pacer, times, call, now() + life)) for call in calls]
        await asyncio.sleep(life)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(night())
    assert most_in_a_minute(times) <= rpm
    assert all(b >= a for a, b in itertools.pairwise(times))


def test_what_is_not_counted_is_not_kept() -> None:
    """Looks outside the account's limit must not slow the next run."""
    told: list[int] = []

    async def night() -> None:
        async with running(LocalPacer(60, count_polls=False, counted=lambda: told.append(1))) as pacer:
            for call in (Call.POLL, Call.COLLECT, Call.SUBMIT, Call.HISTORY):
                await pacer.acquire(call)

    run(night())
    assert len(told) == 2
