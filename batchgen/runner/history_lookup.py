"""Clips asked for in the account's history by their ids: what is no answer is waited out while that can help.

The history keeps its rows long after the record's hour, so that a wait costs nothing but a slot in flight. But a
call that it refuses slows the whole run down: so while it refuses, one asks for all, further and further apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from batchgen.breaker import HISTORY, CircuitBreaker
from batchgen.clip import Clip
from batchgen.errors import TryAgain, UnknownError
from batchgen.providers.base import HistoryRow
from batchgen.retry import delay
from batchgen.runner.context import RunContext
from batchgen.runner.outcomes import NoAnswer

log = logging.getLogger("batchgen.runner.history_lookup")

#: How often the history is asked for one request before answers that say nothing count.
HISTORY_TRIES = 4


class HistoryLookup:
    """The history, for all clips of a run."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._turn = asyncio.Lock()
        self._breaker = CircuitBreaker(HISTORY, context.dice)
        self._silence = NoAnswer("")

    async def row(
        self, clip: Clip, *, patient: bool, waits: Callable[[], None] = lambda: None
    ) -> HistoryRow | NoAnswer | None:
        """Look a clip's request up; None: the history answered, and has no such row.

        Args:
            clip: has a request id.
            patient: refusals as too many, and calls that never left this machine, are waited out as long as the run
                waits for the API at all; False: they are the answer, as there is another way to the file.
            waits: called before every wait.
        """
        until = self._now() + self._context.give_up_s
        bad = 0
        while True:
            if self._refuses:
                if not patient:
                    return self._silence
                waits()
            try:
                return await self._asked(clip, until)
            except UnknownError as error:
                bad += 1
                log.warning("%s: the request history gave no answer: %s", clip.wanted.name, error)
                if bad >= HISTORY_TRIES:
                    return NoAnswer(str(error))
            except TryAgain:
                continue
            waits()
            await self._context.pause(delay(bad, dice=self._context.dice(), base=2.0))

    @property
    def _refuses(self) -> bool:
        """True until it is time to ask again."""
        return self._now() < self._breaker.until

    async def _asked(self, clip: Clip, until: float) -> HistoryRow | NoAnswer | None:
        """Ask once, when it is time to; for one who has waited too long the last refusal is the answer."""
        if self._breaker.closed:
            return await self._ask(clip)
        async with self._turn:
            while self._refuses:
                if (left := min(self._breaker.until, until) - self._now()) <= 0:
                    return self._silence
                await self._context.pause(left)
            return await self._ask(clip)

    async def _ask(self, clip: Clip) -> HistoryRow | None:
        try:
            row = await self._context.provider.lookup(clip.request_id or "")
        except TryAgain as error:
            self._refused(error)
            raise
        self._breaker.succeeded()
        return row

    def _refused(self, error: TryAgain) -> None:
        self._silence = NoAnswer(str(error))
        if self._breaker.closed:
            log.warning("the request history gives no answer: %s; it is asked again at growing intervals", error)
        self._breaker.failed(self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
