"""The shutdown: each pull can only shorten what is left, and the strongest reason is the one that is told."""

from __future__ import annotations

import asyncio

import pytest

from batchgen.errors import Exit
from batchgen.runner.context import Shutdown


async def test_an_untouched_brake_leaves_all_the_time() -> None:
    """A night has no end of its own."""
    shutdown = Shutdown()
    assert not shutdown.requested
    assert shutdown.left_s() is None


async def test_draining_has_no_end_and_closes_submissions() -> None:
    """--drain collects all that is in flight."""
    shutdown = Shutdown()
    shutdown.request("budget", Exit.STOPPED)
    assert shutdown.requested
    assert shutdown.left_s() is None


async def test_the_grace_counts_from_the_pull_and_ends_at_nothing() -> None:
    """A cron job relies on it."""
    shutdown = Shutdown()
    shutdown.request("Ctrl-C", Exit.INTERRUPTED, grace_s=5.0)
    await asyncio.sleep(2)
    assert shutdown.left_s() == pytest.approx(3.0, abs=0.01)
    await asyncio.sleep(9)
    assert shutdown.left_s() == 0.0


async def test_a_second_pull_can_only_shorten() -> None:
    """A budget stop after Ctrl-C does not let the run go on."""
    shutdown = Shutdown()
    shutdown.request("Ctrl-C", Exit.INTERRUPTED, grace_s=5.0)
    shutdown.request("budget", Exit.STOPPED)
    assert shutdown.left_s() == pytest.approx(5.0, abs=0.01)
    shutdown.request("now", Exit.INTERRUPTED, grace_s=0.0, now=True)
    assert shutdown.left_s() == 0.0
    shutdown.request("late", Exit.STOPPED)
    assert shutdown.now


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
    shutdown = Shutdown()
    for n, code in enumerate(pulls):
        shutdown.request(f"why {n}", code)
    assert shutdown.exit is exit_code
    assert shutdown.why == f"why {pulls.index(exit_code)}"


async def test_each_pull_wakes_who_waits_for_the_next_one() -> None:
    """A pause must not outlast the end of the run."""
    shutdown = Shutdown()
    one = shutdown.next_request()
    assert shutdown.next_request() is one
    shutdown.request("a", Exit.STOPPED)
    assert one.done()
    two = shutdown.next_request()
    assert not two.done()
    shutdown.request("b", Exit.STOPPED, grace_s=1.0)
    assert two.done()
