"""The account's credits, looked at before the first submission: told when they won't cover what is to come."""

from __future__ import annotations

import asyncio
import logging

from batchgen.errors import CallError
from batchgen.money import usd
from batchgen.providers.base import Provider
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.credits")

#: So long may the answer take; a night does not wait for a number that only warns (seconds).
ASK_S = 10.0


async def warn_of_low_credits(tools: RunContext) -> None:
    """Warn when the credits won't cover what is pending; no answer is no warning."""
    need, unpriced = await _need(tools)
    if not need and not unpriced:
        return
    try:
        async with asyncio.timeout(ASK_S):
            credits_left = await tools.provider.balance()
    except TimeoutError:
        return
    except CallError as error:
        _not_told(error)
        return
    if text := shortage(credits_left, need, unpriced=unpriced):
        log.warning("%s", text)


async def balance(provider: Provider) -> int | None:
    """Ask for the credits in micro-dollars; None: the service did not say. Why not is for a submission to find out."""
    try:
        return await provider.balance()
    except CallError as error:
        _not_told(error)
        return None


def _not_told(error: CallError) -> None:
    log.info("the account's credits are not known: %s", error)


def shortage(credits_left: int | None, need: int | None, *, unpriced: int = 0) -> str:
    """Say in words that the credits won't cover a need; "" when they will, or nobody knows.

    Args:
        credits_left: in micro-dollars; what the service holds back for jobs in flight can't be seen in them.
        need: what is to be submitted is likely to cost; None: unknown.
        unpriced: how many clips of unknown price are not in it.
    """
    if credits_left is None or (credits_left and credits_left >= (need or 0)):
        return ""
    more = f", and {unpriced:,} more are of unknown price" if unpriced else ""
    likely = "" if not need else f"; what is to be submitted is likely to cost {usd(need)}{more}"
    return f"the account has {usd(credits_left)} of credits{likely}: top it up, or the run stops when they are spent"


async def _need(tools: RunContext) -> tuple[int, int]:
    """What all pending clips are likely to cost, as far as the caps let them, and how many have no known price."""
    need = unpriced = 0
    for row, count in await tools.ledger.count_by_price_class():
        likely = tools.estimate((await tools.ledger.read(row)).wanted)
        need += count * (likely or 0)
        unpriced += count if likely is None else 0
    wall = tools.ledger.money
    if wall.caps.usd is not None:
        need = min(need, max(0, wall.caps.usd - wall.spent - wall.reserved))
    return need, unpriced
