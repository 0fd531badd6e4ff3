"""Slots go to the most urgent who waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from batchgen.download.downloader import Slots


async def test_the_most_urgent_who_waits_is_next() -> None:
    """And of equal ones, who came first."""
    turns, order = Slots(1), list[str]()

    async def work(name: str, urgency: float) -> None:
        async with turns.turn(urgency):
            order.append(name)
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        for name, urgency in (("first", 9.0), ("late", 5.0), ("soon", 1.0), ("later", 5.0), ("sooner", 0.5)):
            group.create_task(work(name, urgency))
            await asyncio.sleep(0)
    assert order == ["first", "sooner", "soon", "late", "later"]


async def test_no_more_than_the_slots_are_at_work_and_none_gets_lost() -> None:
    """Whoever is cancelled, waiting or in the very moment of getting the slot, gives it on."""
    turns, at_work, most = Slots(3), 0, 0

    async def work(urgency: float) -> None:
        nonlocal at_work, most
        async with turns.turn(urgency):
            at_work += 1
            most = max(most, at_work)
            try:
                await asyncio.sleep(1)
            finally:
                at_work -= 1

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work(n % 7)) for n in range(40)]
    for n in range(0, 40, 3):
        await asyncio.sleep(0.5)
        tasks[n].cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert most == 3
    assert repr(turns) == "<Slots: 3 free, 0 waiting>"


async def test_a_slot_that_is_handed_to_someone_who_leaves_in_that_moment_is_given_on() -> None:
    """It would be lost for the whole night."""
    turns = Slots(1)

    async def work() -> None:
        async with turns.turn(1.0):
            raise AssertionError

    async with turns.turn(0.0):
        task = asyncio.get_running_loop().create_task(work())
        await asyncio.sleep(0)
    task.cancel()  # the slot is its own already, and it does not know yet
    with suppress(asyncio.CancelledError):
        await task
    assert repr(turns) == "<Slots: 1 free, 0 waiting>"
