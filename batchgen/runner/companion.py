"""Two things at once, of which one ends with the other; and the one error that a group of tasks holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress


async def alongside(work: Awaitable[None], beside: Callable[[], Awaitable[None]]) -> None:
    """Run `beside` for as long as the work takes."""
    async with asyncio.TaskGroup() as group:
        companion = group.create_task(_until_cancelled(beside))
        try:
            await work
        finally:
            companion.cancel()


async def _until_cancelled(beside: Callable[[], Awaitable[None]]) -> None:
    with suppress(asyncio.CancelledError):
        await beside()


def only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the one error that a nest of task groups holds, or the group when there are several."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner
