"""Which event leads from which state to which, in one table; `advance` is the one place where a state is set.

An event is the only news, and the same events feed the ledger, the progress display, the log and the report.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from batchgen.clip import FINAL, TRANSIENT, Clip, Request, State
from batchgen.errors import IllegalEventError
from batchgen.events import (
    AnswerLost,
    Blocked,
    Downloaded,
    Ending,
    Event,
    Failed,
    FailedForNow,
    FileMissing,
    Forgotten,
    Generated,
    Lost,
    Moved,
    Released,
    Reopened,
    Retried,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)

# --- the table ---------------------------------------------------------------------------------------

_FOUND: dict[type[Event], State] = {
    Submitted: State.GENERATING,
    Generated: State.DOWNLOADING,
    Failed: State.FAILED,
    Blocked: State.BLOCKED,
    Released: State.PENDING,
}
#: Every state is here; a pair that is missing is an error by construction.
NEXT: dict[State, dict[type[Event], State]] = {
    State.PENDING: {SubmitStarted: State.SUBMITTING, Reopened: State.GENERATING},
    State.SUBMITTING: {
        Submitted: State.GENERATING,
        SubmitDeferred: State.PENDING,
        Failed: State.FAILED,
        Blocked: State.BLOCKED,
        AnswerLost: State.UNCONFIRMED,
    },
    State.UNCONFIRMED: {**_FOUND, Forgotten: State.FAILED},
    State.GENERATING: {
        Generated: State.DOWNLOADING,
        Failed: State.FAILED,
        Blocked: State.BLOCKED,
        FailedForNow: State.PENDING,
        Lost: State.LOST,
    },
    State.DOWNLOADING: {
        Generated: State.DOWNLOADING,
        Downloaded: State.DONE,
        Lost: State.LOST,
    },
    State.DONE: {FileMissing: State.DOWNLOADING, Moved: State.DONE},
    State.FAILED: {Retried: State.PENDING, Reopened: State.GENERATING, Failed: State.FAILED, Blocked: State.BLOCKED},
    State.BLOCKED: {Retried: State.PENDING, Reopened: State.GENERATING, Failed: State.FAILED, Blocked: State.BLOCKED},
    State.LOST: {**_FOUND, Forgotten: State.FAILED},
}


def advance(clip: Clip, event: Event) -> Clip:
    """Return the clip as it is after the event; the one place where a state is set.

    Raises:
        IllegalEventError: the table has no such arrow; the clip is unchanged.
    """
    state = NEXT[clip.state].get(type(event))
    if state is None:
        what = type(event).__name__
        message = f"clip {clip.wanted.name} ({clip.key}) is {clip.state}: {what} can't happen to it"
        raise IllegalEventError(message)
    return _APPLY[type(event)](clip, state, event)


# --- what each event leaves behind, besides the state --------------------------------------------------


def _submit_started(clip: Clip, state: State, event: SubmitStarted) -> Clip:
    request = Request(
        n=clip.attempts + 1,
        intent_at=event.at,
        reserved=event.reserved,
        sent=event.sent,
        estimate=event.estimate,
        clock_off=event.clock_off,
    )
    return replace(clip, state=state, request=request, reason="")


def _submitted(clip: Clip, state: State, event: Submitted) -> Clip:
    request = replace(_last(clip), request_id=event.request_id, submitted_at=event.at, outcome="open")
    return replace(clip, state=state, request=request, attempts=request.n, refusals=0, reason="")


def _deferred(clip: Clip, state: State, event: SubmitDeferred) -> Clip:
    request = replace(_last(clip), reserved=0, outcome="refused")
    refusals = clip.refusals + 1 if event.counts else clip.refusals
    return replace(clip, state=state, request=request, refusals=refusals, reason=event.reason)


def _unsure(clip: Clip, state: State, event: AnswerLost) -> Clip:
    last = _last(clip)
    off = last.clock_off if event.clock_off is None else event.clock_off
    request = replace(last, outcome="error" if event.error else "unsure", clock_off=off)
    # Answered with an error, it becomes a paid attempt only once the history shows that it was accepted.
    attempts, refusals = clip.attempts if event.error else request.n, clip.refusals + event.counts
    return replace(clip, state=state, request=request, attempts=attempts, refusals=refusals, reason=event.reason)


def _failed(clip: Clip, state: State, event: Failed | Blocked | FailedForNow) -> Clip:
    last, unproven = _last(clip), not isinstance(event, FailedForNow) and event.unproven
    cost = last.cost if event.cost is None else event.cost
    outcome, reserved = ("unproven", last.reserved) if unproven and cost is None else ("failed", 0)
    outcome = "billed" if cost else outcome
    request = replace(last, cost=cost, reserved=reserved, outcome=outcome, poll_count=_poll_count(clip, event))
    # What may be charged is never overwritten by the next request: it is a paid attempt.
    attempts = clip.attempts if outcome == "failed" else max(clip.attempts, last.n)
    clip = replace(clip, state=state, request=request, attempts=attempts, reason=event.reason)
    if isinstance(event, FailedForNow):
        return replace(clip, failures=clip.failures + 1)
    return replace(clip, flags=(TRANSIENT if event.transient else FINAL) if isinstance(event, Failed) else "")


def _reopened(clip: Clip, state: State, event: Reopened) -> Clip:
    last = _last(clip)
    if last.request_id is None:
        raise IllegalEventError(f"clip {clip.wanted.name} ({clip.key}) has no request id to ask for: Reopened")
    reserved = 0 if last.cost else last.reserved or last.estimate or 0
    request = replace(last, cost=last.cost or None, reserved=reserved, outcome="open")
    return replace(clip, state=state, request=request, reason=event.reason, flags="")


def _generated(clip: Clip, state: State, event: Generated) -> Clip:
    last = _last(clip)
    cost = last.cost if event.cost is None else event.cost
    request = replace(
        last,
        request_id=event.request_id or last.request_id,
        submitted_at=last.submitted_at or last.intent_at,
        completed_at=last.completed_at or event.at,
        cost=cost,
        reserved=last.reserved if cost is None else 0,
        url=event.url,
        other_links=event.other_links,
        file_size=event.file_size,
        queue_s=event.queue_s if event.queue_s is not None else last.queue_s,
        run_s=event.run_s if event.run_s is not None else last.run_s,
        outcome="charged",
        poll_count=_poll_count(clip, event),
    )
    return replace(clip, state=state, request=request, attempts=max(clip.attempts, last.n), reason="")


def _lost(clip: Clip, state: State, event: Lost) -> Clip:
    last = _last(clip)
    cost = last.cost if event.cost is None else event.cost
    reserved = last.reserved if cost is None else 0
    request = replace(last, cost=cost, reserved=reserved, outcome="lost", poll_count=_poll_count(clip, event))
    return replace(clip, state=state, request=request, reason=event.reason)


def _downloaded(clip: Clip, state: State, event: Downloaded) -> Clip:
    return replace(
        clip, state=state, file=event.file, bytes=event.bytes, sha256=event.sha256, flags=event.flags, reason=""
    )


def _released(clip: Clip, state: State, event: Released) -> Clip:
    last = _last(clip)
    request = replace(last, reserved=0, outcome="absent") if event.absent else last
    attempts = clip.attempts if event.absent else max(clip.attempts, last.n)
    return replace(clip, state=state, request=request, attempts=attempts, reason=event.reason)


def _forgotten(clip: Clip, state: State, event: Forgotten) -> Clip:
    last = _last(clip)
    request = replace(last, outcome="forgotten")  # what it reserves stays reserved: it may have been charged
    return replace(clip, state=state, request=request, attempts=max(clip.attempts, last.n), reason=event.reason)


def _retried(clip: Clip, state: State, event: Retried) -> Clip:
    return replace(clip, state=state, failures=0, refusals=0, reason=event.reason, flags="")


def _file_missing(clip: Clip, state: State, event: FileMissing) -> Clip:
    return replace(clip, state=state, file=None, bytes=None, sha256=None, reason=event.reason)


def _moved(clip: Clip, state: State, event: Moved) -> Clip:
    return replace(clip, state=state, file=event.file)


def _poll_count(clip: Clip, event: Ending) -> int | None:
    """The end of a wait reports them; a renewed link, or what the history shows later, removes none of them."""
    return _last(clip).poll_count if event.poll_count is None else event.poll_count


def _last(clip: Clip) -> Request:
    if clip.request is None:
        raise IllegalEventError(f"clip {clip.wanted.name} ({clip.key}) is {clip.state} without a request")
    return clip.request


_APPLY: dict[type[Event], Callable[[Clip, State, Any], Clip]] = {
    SubmitStarted: _submit_started,
    Submitted: _submitted,
    SubmitDeferred: _deferred,
    AnswerLost: _unsure,
    Failed: _failed,
    Blocked: _failed,
    FailedForNow: _failed,
    Generated: _generated,
    Lost: _lost,
    Downloaded: _downloaded,
    Released: _released,
    Forgotten: _forgotten,
    Retried: _retried,
    Reopened: _reopened,
    FileMissing: _file_missing,
    Moved: _moved,
}
