"""The right to make one call: who asks for it, what it is for, and the protocols that every pacer keeps.

Whoever calls the service asks a `Pacer` for a `Permit` and makes one call within it:

    async with await pacer.acquire(Call.POLL):
        outcome = await provider.status(request_id)

Left normally, the call was answered. An error is classified there, once, for all who call.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Protocol, Self, TypeVar

from batchgen.errors import CallError, RateLimited, Unreachable

#: How often calls that are refused as too many are made in all, where no one else waits for an end.
TRIES = 4
T = TypeVar("T")


class Call(IntEnum):
    """What a call is for; the value is its head start in the queue: seconds that others wait longer.

    A call is served in the order of (time of asking + its value): what is about to expire goes first, and
    whoever waits long enough is served all the same, so that no class starves.
    """

    COLLECT = 0
    HURRY = 5  #: a poll of what will soon be known no more
    SUBMIT = 10
    POLL = 20
    HISTORY = 60


class SubmissionStoppedError(Exception):
    """No further submission is permitted: the run is ending."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a pacer does at one moment. Rates are calls a minute; 0 means that there is no limit."""

    rpm: float  #: what it permits now
    ceiling: float  #: what was configured
    paused_until: float = 0.0  #: nothing is permitted before this, by the loop's clock
    why_paused: str = ""
    outage_s: float = 0.0  #: for how long the API has been out of reach; 0 when it is not
    outage: Unreachable | None = None  #: what the latest call met that never reached the API, while that lasts
    silent_s: float = 0.0  #: for how long calls that reach it got no answer, or a gateway's (502 to 504); 0: they do
    silence: CallError | None = None  #: the latest of those
    refused_s: float = 0.0  #: from the first refusal as too many to the latest one, with no call answered in between
    calls_last_minute: int = 0  #: those that count, runs before this one included
    spare_polls: float = math.inf  #: calls of the last minute that were left for polls; infinite when none count
    polls_per_s: float = math.inf  #: how many polls a second the rate allows at most; infinite when none count


class Permit(Protocol):
    """One call. Enter it round the call; it reports to its pacer what came of it."""

    async def __aenter__(self) -> Self:
        """Begin the call."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it: without an error it was answered; a `CallError` says what came instead, any other says nothing."""
        ...

    def answered(self) -> None:
        """Report an answer early: its body may take minutes to come."""
        ...

    def unused(self) -> None:
        """Give it back: no call is made with it, so nobody has to wait for what it meets."""
        ...


class Pacer(Protocol):
    """Who permits calls to the service's API. Downloads from file hosts need no permit."""

    async def acquire(self, call: Call, *, since: float | None = None) -> Permit:
        """Wait for the right to make one call.

        `since`, by the loop's clock, is when it was asked for, if that was before: it has waited so long already.

        Raises:
            SubmissionStoppedError: submissions are closed, and this call is one.
        """
        ...

    def close_submissions(self) -> None:
        """Permit no submission from now on, also none of those that wait."""
        ...

    def retune(self, rpm: float) -> None:
        """Ask for another rate (calls a minute; 0: no limit) from now on; pauses that the service asked for stay."""
        ...

    def snapshot(self) -> Pace:
        """Say what it does now."""
        ...

    async def run(self) -> None:
        """Serve those who wait, until cancelled."""
        ...


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the service refuses a call as one too many; the pacer's pause lies between.

    Raises:
        RateLimited: after `TRIES` of them; any other error at once.
    """
    for _ in range(TRIES - 1):
        try:
            return await ask()
        except RateLimited:
            continue
    return await ask()
