"""What came of the calls, told to the pacer: the one way in which all who call the service report.

It knows, too, for how long calls have been refused as too many and none was answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from batchgen.errors import CallError, NowError
from batchgen.ratelimit.limiter import Call, Pacer

#: How often calls that are refused as too many are made in all, where no one else waits for an end.
TRIES = 4
#: Asks for the grant of the next call, and gives its number.
Turn = Callable[[], Awaitable[int]]
T = TypeVar("T")


class Answers:
    """Tells the pacer what its grants came to.

    Args:
        pacer: whose grants.
    """

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._refused_since: float | None = None
        self._refused_at = 0.0

    @property
    def refused_s(self) -> float:
        """Seconds from the first refusal as too many to the latest one, with no call answered in between."""
        return 0.0 if self._refused_since is None else self._refused_at - self._refused_since

    def came(self) -> None:
        """A call was answered, whatever with; what was too much is for `trouble`."""
        self._refused_since = None
        self._pacer.reached()

    def trouble(self, error: CallError, grant: int) -> None:
        """A call of that grant gave no answer, or was refused: an outage, a 429, or an answer all the same."""
        kind = error.kind if isinstance(error, NowError) else ""
        if kind == "unreachable":
            self._pacer.unreachable()
            return
        self._pacer.reached()
        if isinstance(error, NowError) and kind == "rate":
            self._refused_at = asyncio.get_running_loop().time()
            if self._refused_since is None:
                self._refused_since = self._refused_at
            self._pacer.limited(grant, error.retry_after)

    @asynccontextmanager
    async def asking(self, call: Call) -> AsyncIterator[Turn]:
        """Make some calls, one after the other, each with a turn of its own; what came of each is told.

        The next turn, or the end, says that the call before it was answered; a `CallError` that it was not.
        """
        grants: list[int] = []

        async def turn() -> int:
            if grants:
                self.came()
            grants.append(await self._pacer.grant(call))
            return grants[-1]

        try:
            yield turn
        except CallError as error:
            if grants:
                self.trouble(error, grants[-1])
            raise
        if grants:
            self.came()

    async def insisting(self, call: Call, ask: Callable[[Turn], Awaitable[T]]) -> T:
        """Make some calls anew, from the first one on, while one of them is refused as too many.

        The pacer's pause lies between; after `TRIES` of them the refusal is raised, and any other error at once.
        """
        tries = 0
        while True:
            try:
                async with self.asking(call) as turn:
                    return await ask(turn)
            except NowError as error:
                tries += 1
                if error.kind != "rate" or tries >= TRIES:
                    raise
