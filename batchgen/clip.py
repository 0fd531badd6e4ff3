"""A clip's life: states, the one table of arrows, and `advance`; its events are in `events`.

Whatever changes a clip's state is in this file. All values are frozen; an event is the only news, and the
same events feed the ledger, the progress display, the log and the report. Pure: no I/O, no clock.

Money is counted in whole micro-dollars (1e-6 USD, `int`), times in seconds since the epoch (UTC, `float`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from batchgen.errors import IllegalEventError
from batchgen.events import (
    EVENTS,
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
    Released,
    Retried,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.money import price_class

__all__ = [
    "EVENTS",
    "NEXT",
    "AnswerLost",
    "Blocked",
    "Clip",
    "Downloaded",
    "Ending",
    "Event",
    "Failed",
    "FailedForNow",
    "FileMissing",
    "Forgotten",
    "Generated",
    "Lost",
    "Released",
    "Request",
    "Retried",
    "State",
    "SubmitDeferred",
    "SubmitStarted",
    "Submitted",
    "Wanted",
    "advance",
]


class State(StrEnum):
    """Where a clip stands."""

    PENDING = "pending"  #: wanted, nothing sent
    SUBMITTING = "submitting"  #: the intent is on disk, the POST may have left
    UNCONFIRMED = "unconfirmed"  #: the POST may have been accepted; its answer never came
    GENERATING = "generating"  #: accepted; the provider works on it
    DOWNLOADING = "downloading"  #: paid for, the link is known
    DONE = "done"  #: checked and under its final name
    FAILED = "failed"  #: refused or failed for good; free
    BLOCKED = "blocked"  #: stopped by the provider's content rules; free
    LOST = "lost"  #: paid for, or may have been, and can't be collected as far as is known

    @property
    def settled(self) -> bool:
        """True when a run has nothing more to do for it by itself."""
        return self in _SETTLED


TRANSIENT, FINAL = "transient", "final"  #: why a clip failed, among its flags
REPLACED = "replaced"  #: among the flags of a failed or blocked clip: another take has its place
_SETTLED = frozenset({State.DONE, State.FAILED, State.BLOCKED, State.LOST, State.UNCONFIRMED})


@dataclass(frozen=True, slots=True)
class Wanted:
    """One video that the manifest asks for.

    `params` is the canonical JSON text of every parameter as it will be sent, the seed included; where
    `audio_file` is set, the text lacks "audio" and the uploaded file's URL is added at submission.
    """

    key: str
    prompt_id: str
    take: int
    model: str
    params: str
    name: str  #: output name without folder and ".mp4"
    order: int = 0
    priority: int = 0
    audio_file: str | None = None  #: absolute path of a local wav or mp3
    audio_sha256: str | None = None
    label: str = ""  #: the matrix cell, in words
    reroll_of: str | None = None  #: key of the clip that this one is another take of, at the user's wish

    @property
    def values(self) -> Mapping[str, Any]:
        """The parameters by name, read-only."""
        return _values(self.params)

    @property
    def grade(self) -> str:
        """What the price depends on, as far as is known: its price class."""
        return _grade(self.model, self.params)


# Asked for at every step of a clip, so these remember; no more than what is in flight.
@lru_cache(maxsize=4096)
def _values(params: str) -> Mapping[str, Any]:
    return MappingProxyType(json.loads(params))


@lru_cache(maxsize=4096)
def _grade(model: str, params: str) -> str:
    return price_class(model, _values(params))


@dataclass(frozen=True, slots=True)
class Request:
    """One paid submission for a clip. `held` is what the budget still reserves for it."""

    n: int
    intent_at: float
    held: int = 0
    request_id: str | None = None
    submitted_at: float | None = None
    completed_at: float | None = None
    cost: int | None = None  #: None: not known (never read as 0)
    url: str | None = None
    file_size: int | None = None
    queue_s: float | None = None
    run_s: float | None = None
    outcome: str = "open"  #: open, refused, failed, charged, unsure, lost, absent, forgotten
    sent: str | None = None  #: JSON as sent, where it differs from the clip's params (uploaded audio)
    estimate: int | None = None  #: what it was likely to cost when it was submitted
    looks: int | None = None  #: status calls made for it; None: not known in full

    @property
    def free(self) -> bool:
        """True when it is surely not charged."""
        return self.outcome in FREE


#: Outcomes of requests that are not charged.
FREE = frozenset({"refused", "failed", "absent"})


@dataclass(frozen=True, slots=True)
class Clip:
    """A wanted clip and what became of it."""

    row: int  #: the ledger's number of it
    wanted: Wanted
    state: State = State.PENDING
    request: Request | None = None  #: the last one
    attempts: int = 0  #: requests that were accepted, or may have been
    failures: int = 0  #: accepted requests that FAILED for a transient cause
    refusals: int = 0  #: 500s in a row at submission
    reason: str = ""  #: why it is where it is, in words
    file: str | None = None  #: name under clips/, once done
    bytes: int | None = None
    sha256: str | None = None
    flags: str = ""  #: space-separated notes: on a kept file "size" "duration", on a failure `TRANSIENT` or `FINAL`
    unwanted: bool = False  #: the manifest no longer asks for it; collected if paid for, never submitted

    @property
    def key(self) -> str:
        """The clip's versioned content key."""
        return self.wanted.key

    @property
    def request_id(self) -> str | None:
        """The provider's id of the last request, if it is known."""
        return self.request.request_id if self.request else None

    @property
    def transient(self) -> bool:
        """True when it failed by the service's own trouble: the same request may well succeed.

        Ledgers of before this was written down are read by the tries that such a failure had taken.
        """
        told = self.flags.split()
        if TRANSIENT in told or FINAL in told:
            return TRANSIENT in told
        return max(self.failures, self.refusals) > 1

    @property
    def forgotten(self) -> bool:
        """True when the user gave it up: its last request may have been paid for."""
        return self.request is not None and self.request.outcome == "forgotten"


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
    State.PENDING: {SubmitStarted: State.SUBMITTING},
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
    State.DONE: {FileMissing: State.DOWNLOADING},
    State.FAILED: {Retried: State.PENDING},
    State.BLOCKED: {Retried: State.PENDING},
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
        n=clip.attempts + 1, intent_at=event.at, held=event.held, sent=event.sent, estimate=event.estimate
    )
    return replace(clip, state=state, request=request, reason="")


def _submitted(clip: Clip, state: State, event: Submitted) -> Clip:
    request = replace(_last(clip), request_id=event.request_id, submitted_at=event.at, outcome="open")
    return replace(clip, state=state, request=request, attempts=request.n, refusals=0, reason="")


def _deferred(clip: Clip, state: State, event: SubmitDeferred) -> Clip:
    request = replace(_last(clip), held=0, outcome="refused")
    refusals = clip.refusals + 1 if event.counts else clip.refusals
    return replace(clip, state=state, request=request, refusals=refusals, reason=event.reason)


def _unsure(clip: Clip, state: State, event: AnswerLost) -> Clip:
    request = replace(_last(clip), outcome="unsure")
    return replace(clip, state=state, request=request, attempts=request.n, reason=event.reason)


def _ended_free(clip: Clip, state: State, event: Failed | Blocked) -> Clip:
    request = replace(_last(clip), held=0, outcome="failed", looks=_looks(clip, event))
    flags = (TRANSIENT if event.transient else FINAL) if isinstance(event, Failed) else ""
    return replace(clip, state=state, request=request, reason=event.reason, flags=flags)


def _failed_for_now(clip: Clip, state: State, event: FailedForNow) -> Clip:
    request = replace(_last(clip), held=0, outcome="failed", looks=_looks(clip, event))
    return replace(clip, state=state, request=request, failures=clip.failures + 1, reason=event.reason)


def _generated(clip: Clip, state: State, event: Generated) -> Clip:
    last = _last(clip)
    cost = last.cost if event.cost is None else event.cost
    request = replace(
        last,
        request_id=event.request_id or last.request_id,
        submitted_at=last.submitted_at or last.intent_at,
        completed_at=last.completed_at or event.at,
        cost=cost,
        held=last.held if cost is None else 0,
        url=event.url,
        file_size=event.file_size,
        queue_s=event.queue_s if event.queue_s is not None else last.queue_s,
        run_s=event.run_s if event.run_s is not None else last.run_s,
        outcome="charged",
        looks=_looks(clip, event),
    )
    return replace(clip, state=state, request=request, attempts=max(clip.attempts, last.n), reason="")


def _lost(clip: Clip, state: State, event: Lost) -> Clip:
    last = _last(clip)
    cost = last.cost if event.cost is None else event.cost
    held = last.held if cost is None else 0
    request = replace(last, cost=cost, held=held, outcome="lost", looks=_looks(clip, event))
    return replace(clip, state=state, request=request, reason=event.reason)


def _downloaded(clip: Clip, state: State, event: Downloaded) -> Clip:
    return replace(
        clip, state=state, file=event.file, bytes=event.bytes, sha256=event.sha256, flags=event.flags, reason=""
    )


def _released(clip: Clip, state: State, event: Released) -> Clip:
    last = _last(clip)
    request = replace(last, held=0, outcome="absent") if event.absent else last
    return replace(clip, state=state, request=request, reason=event.reason)


def _forgotten(clip: Clip, state: State, event: Forgotten) -> Clip:
    request = replace(_last(clip), outcome="forgotten")  # what it holds stays held: it may have been charged
    return replace(clip, state=state, request=request, reason=event.reason)


def _retried(clip: Clip, state: State, _event: Retried) -> Clip:
    return replace(clip, state=state, failures=0, refusals=0, reason="", flags="")


def _file_missing(clip: Clip, state: State, event: FileMissing) -> Clip:
    return replace(clip, state=state, file=None, bytes=None, sha256=None, reason=event.reason)


def _looks(clip: Clip, event: Ending) -> int | None:
    """Only the end of a wait tells them; a renewed link, or what the history says later, takes none of them away."""
    return _last(clip).looks if event.looks is None else event.looks


def _last(clip: Clip) -> Request:
    if clip.request is None:
        raise IllegalEventError(f"clip {clip.wanted.name} ({clip.key}) is {clip.state} without a request")
    return clip.request


_APPLY: dict[type[Event], Callable[[Clip, State, Any], Clip]] = {
    SubmitStarted: _submit_started,
    Submitted: _submitted,
    SubmitDeferred: _deferred,
    AnswerLost: _unsure,
    Failed: _ended_free,
    Blocked: _ended_free,
    FailedForNow: _failed_for_now,
    Generated: _generated,
    Lost: _lost,
    Downloaded: _downloaded,
    Released: _released,
    Forgotten: _forgotten,
    Retried: _retried,
    FileMissing: _file_missing,
}
