"""A provider whose calls ask the pacer first: a decorator for all calls that need nothing else in between.

`submit` and `status` are the provider's own. Who makes them takes the permit, since something lies between it and the
call: the intent to pay, which must be on disk, or the choice of the clip that is polled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batchgen.providers.base import (
    HistoryPage,
    HistoryReader,
    HistoryRow,
    Outcome,
    Provider,
    Source,
)
from batchgen.ratelimit.base import Call, Pacer, insist


class PacedProvider:
    """Implements `Provider`.

    Args:
        provider: who makes the calls.
        pacer: asked before each of them, and informed of what came of it.
    """

    def __init__(self, provider: Provider, pacer: Pacer) -> None:
        self._provider = provider
        self._pacer = pacer
        self.name = provider.name
        self.origin = provider.origin
        self.capabilities = provider.capabilities
        self.submit, self.status = provider.submit, provider.status  # whoever makes these calls holds a permit

    def __repr__(self) -> str:
        """Say whose calls, for logs."""
        return f"<PacedProvider {self._provider!r}>"

    @property
    def clock_off_s(self) -> float | None:
        """How far the service's clock is ahead of ours."""
        return self._provider.clock_off_s

    async def result(self, request_id: str) -> Outcome:
        """Fetch the link, within a permit to collect."""
        async with await self._pacer.acquire(Call.COLLECT):
            return await self._provider.result(request_id)

    def video(self, url: str) -> Source | None:
        """Give what opens a link that is the service's own answer, within a permit to collect."""
        source = self._provider.video(url)
        return None if source is None else partial(self._opened, source)

    @asynccontextmanager
    async def _opened(self, source: Source) -> AsyncIterator[AsyncIterator[bytes]]:
        async with await self._pacer.acquire(Call.COLLECT) as permit, source() as pieces:
            permit.answered()
            yield pieces

    async def lookup(self, request_id: str) -> HistoryRow | None:
        """Find one request in the history, within a permit."""
        async with await self._pacer.acquire(Call.HISTORY):
            return await self._provider.lookup(request_id)

    def history(self, model: str, since: float, until: float) -> HistoryReader:
        """Read a window of the history, each call within a permit of its own."""
        return _PacedReader(self._provider.history(model, since, until), self._pacer)

    async def upload(self, path: Path) -> str:
        """Upload a file, within the permit of a submission: it is made for one, and stops with them."""
        async with await self._pacer.acquire(Call.SUBMIT):
            return await self._provider.upload(path)

    async def balance(self) -> int:
        """Ask for the credits, within a permit."""
        async with await self._pacer.acquire(Call.HISTORY):
            return await self._provider.balance()


@dataclass(slots=True)
class _PacedReader:
    reader: HistoryReader
    pacer: Pacer

    @property
    def ended(self) -> bool:
        return self.reader.ended

    async def read(self) -> None:
        async with await self.pacer.acquire(Call.HISTORY):
            await self.reader.read()

    def page(self) -> HistoryPage:
        return self.reader.page()


async def read_whole(reader: HistoryReader) -> HistoryPage:
    """Read a window of the history to its end. Raises as the reader does."""
    while not reader.ended:
        await reader.read()
    return reader.page()


async def whole_history(provider: Provider, model: str, since: float, until: float) -> HistoryPage:
    """Read a window of the history; from its first page on again when a call is refused as too many (see `insist`)."""
    return await insist(lambda: read_whole(provider.history(model, since, until)))
