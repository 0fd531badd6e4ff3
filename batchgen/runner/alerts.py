"""Warns: of an outage, of credits that will not last, of records that end soon or can't be collected in time."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from batchgen.errors import CallError, Exit
from batchgen.money import usd
from batchgen.providers.base import Provider
from batchgen.retention import Alarm, alarm
from batchgen.runner.context import RunContext
from batchgen.runner.trouble_gates import ServiceGate
from batchgen.wording import duration

log = logging.getLogger("batchgen.runner.alerts")

#: So long may the answer take; a night does not wait for a number that only warns (seconds).
ASK_S = 10.0
#: The same warning is not repeated sooner (seconds), unless more clips are concerned.
AGAIN_S = 300.0
#: An outage that lasts is reported so often (seconds).
REPORT_S = 900.0
#: Calls that only a gateway answers, or nobody, are an outage from this age on (seconds): one page is none.
SILENT_S = 30.0
#: What no waiting corrects (a certificate that is not trusted, a proxy's refusal) is tried for so long (seconds).
NEEDS_USER_S = 60.0


@dataclass(slots=True)
class ExpiryAlert:
    """Watches what is in flight; `RunContext.alarm` is the last warning, or empty."""

    _context: RunContext
    _warned_at: float = 0.0
    _worst: tuple[int, int] = (0, 0)

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


# --- outages --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class OutageAlert:
    """Reports an outage at its first sign, once a quarter of an hour, and when it is over; and gives up in time.

    `RunContext.outage` is the line that stands now, or empty.
    """

    _context: RunContext
    _service: ServiceGate
    _since: float | None = None  #: by the loop's clock
    _next_at: float = -math.inf

    def check(self) -> None:
        """Look for an outage of the API as a whole, or of submissions alone (`ServiceGate`)."""
        context, pace = self._context, self._context.pacer.snapshot()
        give_up_s = context.give_up_s
        if pace.outage is not None and pace.outage.needs_user:
            give_up_s = min(give_up_s, NEEDS_USER_S)
        silent_s = pace.silent_s if pace.silent_s >= SILENT_S else 0.0
        away_s, trouble = max(pace.outage_s, silent_s), pace.outage or pace.silence
        if (lasted_s := max(away_s, self._service.lasted_s)) or self._since is not None:
            self._report(str(trouble if away_s else self._service.why), lasted_s, give_up_s)
        why = ""
        if pace.outage is not None and pace.outage.needs_user and away_s >= give_up_s:
            why = f"network: {pace.outage}, then run again"
        elif away_s and away_s >= give_up_s:
            why = f"outage: the API could not be reached for {duration(away_s)}: {trouble}"
        elif pace.refused_s and pace.refused_s >= give_up_s:
            why = f"outage: the API has rate limited every call (429) for {duration(pace.refused_s)}: run again later"
        if why:  # and what is in flight can't be asked for, either: the next run collects it
            context.shutdown.request(why, Exit.STOPPED, grace_s=0.0)

    def _report(self, why: str, lasted_s: float, give_up_s: float) -> None:
        now, context = asyncio.get_running_loop().time(), self._context
        host = context.provider.origin.rpartition("//")[2]
        if not lasted_s:
            log.warning("%s answers again after %s", host, duration(now - (self._since or now)))
            self._since, self._next_at, context.outage = None, -math.inf, ""
            return
        self._since = now - lasted_s if self._since is None else self._since
        since = datetime.fromtimestamp(context.ledger.now() - (now - self._since), UTC).astimezone()
        waits = (
            f"since {since:%H:%M:%S}, tried again for up to {duration(give_up_s)}, then the run stops; nothing is lost"
        )
        context.outage = f"outage of {host}: {why} ({waits})"
        if now >= self._next_at:
            self._next_at = now + REPORT_S
            log.warning("%s", context.outage)


# --- credits --------------------------------------------------------------------------------------------


async def warn_of_low_credits(context: RunContext) -> None:
    """Warn when the credits won't cover what is pending, as far as the caps let it; no answer is no warning."""
    need = unpriced = 0
    for row, count in await context.ledger.count_by_price_class():
        likely = context.estimate((await context.ledger.read(row)).wanted)
        need += count * (likely or 0)
        unpriced += count if likely is None else 0
    budget = context.ledger.money
    if budget.caps.usd is not None:
        need = min(need, max(0, budget.caps.usd - budget.spent - budget.reserved))
    if not need and not unpriced:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_S):
            if text := shortage(await balance(context.provider), need, unpriced=unpriced):
                log.warning("%s", text)


async def balance(provider: Provider) -> int | None:
    """Ask for the credits in micro-dollars; None: the service did not say. Why not is for a submission to find out."""
    try:
        return await provider.balance()
    except CallError as error:
        log.info("the account's credits are not known: %s", error)
        return None


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
