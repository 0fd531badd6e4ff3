"""`retry` and `reroll` in a simulated night: next to a run, which takes them up, or alone. As the commands do it.

A module of its own since those commands bring their own event loop, which knows nothing of our clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from batchgen.clip import Clip, State, Wanted
from batchgen.errors import BatchgenError
from batchgen.events import Retried
from batchgen.ledger import Reader, SqliteLedger, wishes
from batchgen.ledger.wishes import QueuedWish
from batchgen.planning.retakes import Retake, rerolls, why_not

Ask = Callable[[Path, random.Random], None]


def retry(batch: Path, _dice: random.Random) -> None:
    """Ask the run at work to queue its transient failures again."""
    _queue(batch, lambda ledger: QueuedWish(retry=[clip.key for clip in _failed(ledger)]))


def reroll(batch: Path, dice: random.Random) -> None:
    """Ask the run at work for one more take of some clip."""
    _queue(batch, lambda ledger: QueuedWish(takes=_takes(ledger, dice)))


async def alone(ask: Ask, batch: Path, dice: random.Random) -> None:
    """Do the same while no run is at work; a ledger that a run would refuse is left as it is."""
    try:
        ledger = SqliteLedger(batch)
    except BatchgenError:
        return
    try:
        if ask is reroll:
            ledger.reroll(_takes(ledger, dice))
        for clip in _failed(ledger) if ask is retry else ():
            await ledger.record(clip, Retried())
        await ledger.settle()
    finally:
        ledger.close()


def _queue(batch: Path, wish: Callable[[Reader], QueuedWish]) -> None:
    try:
        with closing(Reader(batch)) as ledger:
            wishes.add(batch / "ledger.db", wish(ledger))
    except (BatchgenError, OSError):
        return


def _failed(ledger: Reader) -> list[Clip]:
    again = Retake(charged={model: cost for model, (_, cost) in ledger.charged_failures().items()})
    return [clip for clip in ledger.clips(State.FAILED, wanted=True) if not why_not(clip, again)]


def _takes(ledger: Reader, dice: random.Random) -> list[Wanted]:
    known = list(ledger.clips())
    chosen = [clip for clip in known if not clip.unwanted]
    return rerolls(known, [dice.choice(chosen)], 1) if chosen else []
