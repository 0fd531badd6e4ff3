"""The list that hands out the clips of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from batchgen.runner.work import WorkList


async def test_rows_come_in_the_order_of_offer_each_when_the_one_before_has_its_slot() -> None:
    """So that the first in order is the first at the budget's gate, and a long list needs no thousand tasks."""
    work, begun, ended = WorkList(), list[int](), list[int]()
    slots = asyncio.Semaphore(2)

    async def carry(row: int, started: Callable[[], None]) -> None:
        begun.append(row)
        async with slots:
            assert len(begun) - len(ended) <= 3
            started()
            await asyncio.sleep(10 - row)
        ended.append(row)

    await work.offer([3, 1])
    await work.offer([2, 5, 4])
    await work.run(carry)
    assert begun == [3, 1, 2, 5, 4]
    assert sorted(ended) == [1, 2, 3, 4, 5]


async def test_after_a_stop_nothing_more_is_handed_out_and_what_is_carried_goes_on() -> None:
    """As after the first Ctrl-C."""
    work, ended = WorkList(), list[int]()

    async def carry(row: int, started: Callable[[], None]) -> None:
        if row == 2:
            work.stop()
        started()
        await asyncio.sleep(1)
        ended.append(row)

    await work.offer([1, 2, 3])
    await work.run(carry)
    assert ended == [1, 2]
