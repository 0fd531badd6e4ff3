"""The brake: each pull can only shorten what is left, and the strongest reason is the one that is told."""

from __future__ import annotations

import asyncio

import pytest

from batchgen.errors import Exit
from batchgen.flow.brake import Brake


async def test_an_untouched_brake_leaves_all_the_time() -> None:
    """A night has no end of its own."""
    brake = Brake()
    assert not brake.pulled
    assert brake.left_s() is None


async def test_draining_has_no_end_and_closes_submissions() -> None:
    """--drain collects all that is in flight."""
    brake = Brake()
    brake.pull("budget", Exit.STOPPED)
    assert brake.pulled
    assert brake.left_s() is None


async def test_the_grace_counts_from_the_pull_and_ends_at_nothing() -> None:
    """A cron job relies on it."""
    brake = Brake()
    brake.pull("Ctrl-C", Exit.INTERRUPTED, grace_s=5.0)
    await asyncio.sleep(2)
    assert brake.left_s() == pytest.approx(3.0, abs=0.01)
    await asyncio.sleep(9)
    assert brake.left_s() == 0.0


async def test_a_second_pull_can_only_shorten() -> None:
    """A budget stop after Ctrl-C does not let the run go on."""
    brake = Brake()
    brake.pull("Ctrl-C", Exit.INTERRUPTED, grace_s=5.0)
    brake.pull("budget", Exit.STOPPED)
    assert brake.left_s() == pytest.approx(5.0, abs=0.01)
    brake.pull("now", Exit.INTERRUPTED, grace_s=0.0, now=True)
    assert brake.left_s() == 0.0
    brake.pull("late", Exit.STOPPED)
    assert brake.now


@pytest.mark.parametrize(
    ("pulls", "exit_code"),
    [
        ([Exit.STOPPED, Exit.INTERRUPTED], Exit.INTERRUPTED),
        ([Exit.INTERRUPTED, Exit.STOPPED], Exit.INTERRUPTED),
        ([Exit.STOPPED, Exit.TERMINATED], Exit.TERMINATED),
        ([Exit.TERMINATED, Exit.INTERRUPTED], Exit.INTERRUPTED),
        ([Exit.STOPPED, Exit.STOPPED], Exit.STOPPED),
    ],
)
async def test_the_exit_code_follows_the_fixed_order(pulls: list[Exit], exit_code: Exit) -> None:
    """Scripts rely on 130 and 143 coming before 4; of equals the first reason is the true one."""
    brake = Brake()
    for n, code in enumerate(pulls):
        brake.pull(f"why {n}", code)
    assert brake.exit is exit_code
    assert brake.why == f"why {pulls.index(exit_code)}"


async def test_each_pull_wakes_who_waits_for_the_next_one() -> None:
    """A pause must not outlast the end of the run."""
    brake = Brake()
    one = brake.next_pull()
    assert brake.next_pull() is one
    brake.pull("a", Exit.STOPPED)
    assert one.done()
    two = brake.next_pull()
    assert not two.done()
    brake.pull("b", Exit.STOPPED, grace_s=1.0)
    assert two.done()
