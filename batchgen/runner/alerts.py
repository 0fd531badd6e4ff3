"""Warns before a loss: of credits that will not last, of records that end soon or can't be collected at this pace."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from batchgen.errors import CallError
from batchgen.money import usd
from batchgen.providers.base import Provider
from batchgen.retention import Alarm, alarm
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.runner.alerts")

#: So long may the answer take; a night does not wait for a number that only warns (seconds).
ASK_S = 10.0
#: The same warning is not repeated sooner (seconds), unless more clips are concerned.
AGAIN_S = 300.0


class ExpiryAlert:
    """Watches what is in flight; `RunContext.alarm` is the last warning, or empty."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._warned_at = 0.0
        self._worst = (0, 0)

    def check(self) -> None:
        """Warn, if there is something new to warn of."""
        context, now = self._context, self._context.ledger.now()
        found = alarm(context.poller.submitted(), now, context.pacer.snapshot().polls_per_s)
        context.alarm = "" if found is None else words(found)
        if found is None:
            self._warned_at, self._worst = 0.0, (0, 0)
            return
        late, soon = self._worst
        if found.late > late or found.soon >= 2 * max(soon, 0.5) or now - self._warned_at >= AGAIN_S:
            self._warned_at, self._worst = now, (found.late, found.soon)
            log.warning("%s", context.alarm)


def words(found: Alarm) -> str:
    """Say an alarm."""
    at = datetime.fromtimestamp(found.first_end, UTC).strftime("%H:%M:%S UTC")
    soon = f"paid clips whose records expire within ten minutes: {found.soon}, the first at {at}" if found.soon else ""
    late = f"paid clips that can't be collected in time at this rate: {found.late}" if found.late else ""
    history = "; their files are then looked up in the request history" if found.late else ""
    return "; ".join(text for text in (soon, late) if text) + history


# --- credits --------------------------------------------------------------------------------------------


async def warn_of_low_credits(context: RunContext) -> None:
    """Warn when the credits won't cover what is pending; no answer is no warning."""
    need, unpriced = await _need(context)
    if not need and not unpriced:
        return
    try:
        async with asyncio.timeout(ASK_S):
            credits_left = await context.provider.balance()
    except TimeoutError:
        return
    except CallError as error:
        _unknown(error)
        return
    if text := shortage(credits_left, need, unpriced=unpriced):
        log.warning("%s", text)


async def balance(provider: Provider) -> int | None:
    """Ask for the credits in micro-dollars; None: the service did not say. Why not is for a submission to find out."""
    try:
        return await provider.balance()
    except CallError as error:
        _unknown(error)
        return None


def _unknown(error: CallError) -> None:
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
    more = f", plus {unpriced:,} of unknown price" if unpriced else ""
    likely = "" if not need else f"; the clips to submit will cost about {usd(need)}{more}"
    return f"the account has {usd(credits_left)} in credits{likely}: top it up, or the run stops when they are spent"


async def _need(context: RunContext) -> tuple[int, int]:
    """What all pending clips are likely to cost, as far as the caps let them, and how many have no known price."""
    need = unpriced = 0
    for row, count in await context.ledger.count_by_price_class():
        likely = context.estimate((await context.ledger.read(row)).wanted)
        need += count * (likely or 0)
        unpriced += count if likely is None else 0
    wall = context.ledger.money
    if wall.caps.usd is not None:
        need = min(need, max(0, wall.caps.usd - wall.spent - wall.reserved))
    return need, unpriced
