"""One frame of the live display, taken from a run: counts, money, the time that is left, and what holds the run up."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from batchgen.clip import Clip, State
from batchgen.events import Blocked, Downloaded, Event, Failed, Lost
from batchgen.planning import time_needed
from batchgen.planning.inputs import latency_of
from batchgen.runner.steering import PAUSED
from batchgen.views.progress import FailureCause, Frame, RunningRow
from batchgen.views.text import plural
from batchgen.wording import cause

if TYPE_CHECKING:
    from batchgen.runner.context import RunContext
    from batchgen.runner.session import Session

#: A pause shorter than this is the pace, not news (seconds).
SHORT_S = 2.0
#: After so many clips have ended, this run's own pace says more than a plan.
ENOUGH = 5
#: No terminal has room for more running clips.
MOST_ROWS = 100


class Recent:
    """What a display shows of single clips: those that run, those done last, and why others failed in this run.

    An observer of the ledger. Each event costs the same, and so does a frame, however many clips there are.
    """

    def __init__(self, generating: Iterable[Clip], chosen: frozenset[str] | None = None) -> None:
        """Begin with the clips that an earlier run left at the service, the oldest first.

        `chosen` are the keys of the pending clips that the run's options take in; None: all.
        """
        self._chosen = chosen
        self._pending = set(chosen or ())  #: those of them that are pending
        self.running = {clip.row: clip for clip in generating}  # in the order of submission
        self.done: deque[str] = deque(maxlen=3)
        self.finished = 0  #: clips that ended in this run
        self._first: dict[str, tuple[str, str]] = {}  # reason and name of the first failure, by cause
        self._failures: Counter[str] = Counter()  # by cause

    def __call__(self, clip: Clip, event: Event) -> None:
        """Take note of an event of a clip; `clip` is as it is after the event."""
        if clip.state is State.GENERATING:
            self.running[clip.row] = clip
        else:
            self.running.pop(clip.row, None)
        if self._chosen is not None and clip.key in self._chosen:
            (self._pending.add if clip.state is State.PENDING else self._pending.discard)(clip.key)
        if isinstance(event, Failed | Blocked | Lost):
            why = cause(clip.reason)
            self._failures[why] += 1
            self._first.setdefault(why, (clip.reason, clip.wanted.name))
        if isinstance(event, Downloaded):
            self.done.append(clip.wanted.name)
        self.finished += clip.state.settled

    def to_make(self, pending: int, skipped: Collection[str]) -> int:
        """Count the clips that are still to be submitted: of those that are pending without those that are skipped."""
        return pending - len(skipped) if self._chosen is None else len(self._pending.difference(skipped))

    def causes(self) -> list[FailureCause]:
        """Group the failures of this run by cause, the most frequent first."""
        return [
            FailureCause(self._first[why][0], count, self._first[why][1]) for why, count in self._failures.most_common()
        ]


def frame_of(session: Session, tools: RunContext, recent: Recent) -> Frame:
    """Take a frame of a run, whose parts (`tools`) exist once it has begun."""
    ledger, pace = session.ledger, tools.pacer.snapshot()
    skipped = ledger.skipped()
    to_make = recent.to_make(ledger.live_totals.counts[State.PENDING], skipped)
    return Frame(
        name=session.manifest.name,
        sandbox=session.settings.sandbox,
        counts=ledger.live_totals.counts,
        unwanted=ledger.live_totals.unwanted,
        replaced=ledger.live_totals.replaced,
        skipped=len(skipped),
        spent=ledger.money.spent,
        reserved=ledger.money.reserved,
        cap=ledger.money.caps.usd,
        estimated_left=cost_left(session, to_make),
        unpriced=ledger.money.unpriced,
        elapsed_s=session.elapsed_s,
        eta_s=time_left(session, recent.finished, to_make),
        rpm=pace.rpm or None,
        rpm_asked=pace.ceiling or None,
        calls_last_minute=pace.calls_last_minute,
        in_flight=ledger.live_totals.counts[State.SUBMITTING] + ledger.live_totals.counts[State.GENERATING],
        in_flight_limit=int(tools.places.limit),
        in_flight_asked=tools.places.ceiling,
        in_flight_known=tools.places.expected < tools.places.ceiling,
        queue_s=tools.places.queue_s,
        note=note_of(tools),
        causes=recent.causes(),
        running=[_running(clip, tools) for clip in islice(recent.running.values(), MOST_ROWS)],
        generating=len(recent.running),
        done_last=tuple(recent.done),
    )


def _running(clip: Clip, tools: RunContext) -> RunningRow:
    request = clip.request
    since = (request.submitted_at or request.intent_at) if request else 0.0
    return RunningRow(
        name=clip.wanted.name,
        age_s=tools.ledger.now() - since,
        typical_s=tools.run_times(clip.wanted.price_class).typical,
        queued=tools.poller.queues(clip.request_id or ""),
    )


def time_left(session: Session, finished: int, to_make: int) -> float | None:
    """Seconds until every clip of this run has ended, by its own pace once it has one; `to_make` are not submitted."""
    counts = session.ledger.live_totals.counts
    left = to_make + sum(n for state, n in counts.items() if not state.settled and state is not State.PENDING)
    if left == 0:
        return 0.0
    if finished >= ENOUGH:
        return left * session.elapsed_s / finished
    tools = session.tools
    models, used = session.manifest.prices.models, {clip.model for clip in session.manifest.wanted}
    latency = max((latency_of(model, session.settings, models) for model in used), default=None)
    start = session.pace.start
    rpm, in_flight = (tools.pacer.snapshot().rpm, tools.places.expected) if tools else (start.rpm, start.in_flight)
    return time_needed(left, rpm=rpm or None, in_flight=in_flight, latency_s=latency)


def cost_left(session: Session, to_make: int) -> int | None:
    """What the clips that are still to be made are likely to cost, micro-dollars; None: not known of all of them."""
    wanted = sum(session.ledger.live_totals.counts.values())
    estimate = session.estimate
    if estimate is None or not wanted:
        return None
    return estimate * to_make // wanted


def note_of(tools: RunContext) -> str:
    """Say in words what holds the run up, if anything does."""
    counts = tools.ledger.live_totals.counts
    if tools.shutdown.requested:
        paid = counts[State.GENERATING] + counts[State.DOWNLOADING]
        return f"stopping ({tools.shutdown.why}): waiting for {plural(paid, 'paid clip')}"
    if tools.paused:
        return PAUSED
    if tools.outage:
        return tools.outage
    if tools.waits:
        return f"submissions wait ({tools.waits})"
    pace = tools.pacer.snapshot()
    left = pace.paused_until - asyncio.get_running_loop().time()
    return f"paused for {left:.0f} s: {pace.why_paused}" if left > SHORT_S else tools.alarm
