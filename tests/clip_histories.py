"""Clips in every state, each with the events that led there; for ledgers that tests damage, rebuild or keep."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from batchgen.clip import Wanted
from batchgen.events import (
    AnswerLost,
    Blocked,
    Downloaded,
    Event,
    Failed,
    FailedForNow,
    Generated,
    Lost,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.ledger import Home, SqliteLedger
from batchgen.testing import wanted

HOME = Home("../night.yaml", "https://api.example", "f1f2f3f4f5f6f7f8")
AT = 1_700_000_000.0
START = SubmitStarted(AT, reserved=1_250_000, estimate=625_000)


def accepted(n: int) -> Submitted:
    """An id as the service gives them."""
    return Submitted(f"00000000-0000-4000-8000-{n:012d}", AT + n)


def generated(n: int) -> Generated:
    """A link and a cost."""
    return Generated(f"https://cdn.example.com/out/{n}.mp4", AT + 200 + n, 625_000, 3_000_000, 4.0, 200.0)


LIVES: dict[str, list[Event]] = {
    "done": [START, accepted(1), generated(1), Downloaded("shot0_1.mp4", 3, "ab" * 32)],
    "generating": [START, accepted(2)],
    "downloading": [START, accepted(3), generated(3)],
    "unconfirmed": [START, AnswerLost("reset by peer")],
    "failed": [START, accepted(5), Failed("a bad parameter")],
    "blocked": [START, Blocked("content policy")],
    "lost": [START, accepted(7), Lost("gone", cost=600_000)],
    "deferred": [START, SubmitDeferred("429")],
    "again": [START, accepted(9), FailedForNow("a worker died"), replace(START, at=AT + 300), accepted(10)],
    "submitting": [START],
    "pending": [],
}


def clips() -> list[Wanted]:
    """A clip for each life, in this order."""
    return [replace(wanted(n), prompt_id=life) for n, life in enumerate(LIVES)]


def lead(folder: Path, *, times: int = 1) -> SqliteLedger:
    """Make a ledger in which each life was led; open, for the caller to close (or to copy as a kill leaves it)."""
    ledger = SqliteLedger(folder, wall_clock=lambda: AT + 1)
    ledger.bind(HOME)
    ledger.remember("name", "night")
    many = [replace(wanted(n), prompt_id=life) for n, life in enumerate(list(LIVES) * times)]
    ledger.sync(many)

    async def live() -> None:
        for row, clip in enumerate(many, 1):
            for event in LIVES[clip.prompt_id]:
                await ledger.record(ledger.clip(row), event)
        await ledger.settle()

    asyncio.run(live())
    return ledger
