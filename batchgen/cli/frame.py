"""One frame of the live display, taken from a run: counts, money, the time that is left, and what holds the run up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from batchgen.clip import State
from batchgen.planning import time_needed
from batchgen.planning.inputs import latency_of
from batchgen.views.progress import Frame
from batchgen.views.text import plural

if TYPE_CHECKING:
    from batchgen.runner.context import RunContext
    from batchgen.runner.session import Session

#: A pause shorter than this is the pace, not news (seconds).
SHORT_S = 2.0
#: After so many clips have ended, this run's own pace says more than a plan.
ENOUGH = 5


def frame_of(
    session: Session, tools: RunContext, finished: int, failures: Iterable[tuple[str, str]], done: Iterable[str]
) -> Frame:
    """Take a frame of a run.

    Args:
        session: the run.
        tools: its parts; they exist once it has begun.
        finished: clips that ended in this run.
        failures: the last ones, name and reason.
        done: the names of the clips that were done last.
    """
    ledger, pace = session.ledger, tools.pacer.snapshot()
    return Frame(
        name=session.manifest.name,
        counts=ledger.live_totals.counts,
        unwanted=ledger.live_totals.unwanted,
        spent=ledger.money.spent,
        reserved=ledger.money.reserved,
        cap=ledger.money.caps.usd,
        estimated_left=cost_left(session),
        unpriced=ledger.money.unpriced,
        elapsed_s=session.elapsed_s,
        eta_s=time_left(session, finished),
        rpm=pace.rpm or None,
        rpm_asked=pace.ceiling or None,
        calls_last_minute=pace.calls_last_minute,
        in_flight=tools.places.taken,
        in_flight_limit=int(tools.places.limit),
        queue_s=tools.places.queue_s,
        note=note_of(tools),
        failures=tuple(failures),
        done_last=tuple(done),
    )


def time_left(session: Session, finished: int) -> float | None:
    """Seconds until every clip has ended, by this run's own pace once it has one."""
    counts = session.ledger.live_totals.counts
    left = sum(n for state, n in counts.items() if not state.settled)
    if left == 0:
        return 0.0
    if finished >= ENOUGH:
        return left * session.elapsed_s / finished
    tools = session.tools
    latency = max((latency_of(clip.model, session.settings) for clip in session.manifest.wanted[:1]), default=None)
    start = session.pace.start
    rpm, in_flight = (tools.pacer.snapshot().rpm, tools.places.expected) if tools else (start.rpm, start.in_flight)
    return time_needed(left, rpm=rpm or None, in_flight=in_flight, latency_s=latency)


def cost_left(session: Session) -> int | None:
    """What the pending clips are likely to cost, micro-dollars; None when that is not known of all of them."""
    counts = session.ledger.live_totals.counts
    wanted = sum(counts.values())
    estimate = session.estimate
    if estimate is None or not wanted:
        return None
    return estimate * counts[State.PENDING] // wanted


def note_of(tools: RunContext) -> str:
    """Say in words what holds the run up, if anything does."""
    counts = tools.ledger.live_totals.counts
    if tools.shutdown.requested:
        paid = counts[State.GENERATING] + counts[State.DOWNLOADING]
        return f"stopping ({tools.shutdown.why}): waiting for {plural(paid, 'paid clip')}"
    if tools.outage:
        return tools.outage
    if tools.waits:
        return f"submissions wait ({tools.waits})"
    pace = tools.pacer.snapshot()
    left = pace.paused_until - asyncio.get_running_loop().time()
    return f"paused for {left:.0f} s: {pace.why_paused}" if left > SHORT_S else tools.alarm
