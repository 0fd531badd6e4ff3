"""What the live display says beyond counts: the time that is left, and what holds a run up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from batchgen.clip import State
from batchgen.planning import time_needed
from batchgen.planning.inputs import latency_of

if TYPE_CHECKING:
    from batchgen.runner.context import RunContext
    from batchgen.runner.session import Session

#: A pause shorter than this is the pace, not news (seconds).
SHORT_S = 2.0
#: From so many ends on, this run's own pace says more than a plan.
ENOUGH = 5


def time_left(session: Session, finished: int) -> float | None:
    """Seconds until all is settled, by this run's own pace once it has one."""
    counts = session.ledger.live_totals.counts
    left = sum(n for state, n in counts.items() if not state.settled)
    if left == 0:
        return 0.0
    if finished >= ENOUGH:
        return left * session.elapsed_s / finished
    tools = session.tools
    latency = max((latency_of(clip.model, session.settings) for clip in session.manifest.wanted[:1]), default=None)
    start = session.pace.start
    rpm, in_flight = (tools.pacer.rate, tools.places.expected) if tools else (start.rpm, start.in_flight)
    return time_needed(left, rpm=rpm or None, in_flight=in_flight, latency_s=latency)


def cost_left(session: Session) -> int | None:
    """What the clips that wait are likely to cost; None when that is not known of all of them."""
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
        return f"stopping ({tools.shutdown.why}): collecting {paid} paid clips"
    if tools.waits:
        return f"submissions wait for what is in flight ({tools.waits})"
    left = tools.pacer.pauses_until - asyncio.get_running_loop().time()
    return f"paused for {left:.0f} s: {tools.pacer.why_paused}" if left > SHORT_S else tools.alarm
