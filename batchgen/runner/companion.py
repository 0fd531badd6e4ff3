"""Two things at once, of which one ends with the other."""

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
