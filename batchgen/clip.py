"""The states of a clip, clips and their requests as frozen values, and the order of submission. Pure: no clock.

What can happen to a clip is in `events`; what an event makes of it is in `states`, and nothing else sets a state.
Money is counted in whole micro-dollars (1e-6 USD, `int`), times in seconds since the epoch (UTC, `float`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from batchgen.money import price_class_of


class State(StrEnum):
    """Where a clip stands."""

    PENDING = "pending"  #: wanted, nothing sent
    SUBMITTING = "submitting"  #: the intent is on disk, the POST may have left
    UNCONFIRMED = "unconfirmed"  #: the POST may have been accepted; its answer never came
    GENERATING = "generating"  #: accepted; the provider works on it
    DOWNLOADING = "downloading"  #: paid for, the link is known
    DONE = "done"  #: checked and under its final name
    FAILED = "failed"  #: refused or failed for good
    BLOCKED = "blocked"  #: stopped by the provider's content rules
    LOST = "lost"  #: paid for, or may have been, and can't be collected as far as is known

    @property
    def settled(self) -> bool:
        """True when a run has nothing more to do for it by itself."""
        return self in _SETTLED


TRANSIENT, FINAL = "transient", "final"  #: why a clip failed, among its flags
#: The folder under `clips/` for the files of clips that others have replaced.
REPLACED_FOLDER = "replaced"
REPLACED = "replaced"  #: among the flags of a failed or blocked clip: another take has its place
_SETTLED = frozenset({State.DONE, State.FAILED, State.BLOCKED, State.LOST, State.UNCONFIRMED})


class OlderKey(NamedTuple):
    """The key that a release which did not know the clip's model gave it (`batchgen.manifest.older_keys`)."""

    key: str
    label: str | None  #: only a clip of this matrix cell is meant; None: any


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
    name: str  #: its file under `clips/` without ".mp4"; begins with "replaced/" once another clip has its plain name
    order: int = 0
    priority: int = 0
    audio_file: str | None = None  #: absolute path of a local wav or mp3
    audio_sha256: str | None = None
    label: str = ""  #: the matrix cell, in words
    reroll_of: str | None = None  #: key of the clip that this one is another take of, because the user asked for it
    #: Its `prompt_id` is not the user's, but made of the prompt: a batch that has another one for it keeps that.
    derived_id: bool = field(default=False, compare=False)
    older: OlderKey | None = field(default=None, compare=False)

    @property
    def values(self) -> Mapping[str, Any]:
        """The parameters by name, read-only."""
        return _values(self.params)

    @property
    def price_class(self) -> str:
        """What the price depends on, as far as is known: its price class."""
        return _price_class(self.model, self.params)


# Asked for at every step of a clip, so these remember; no more than what is in flight.
@lru_cache(maxsize=4096)
def _values(params: str) -> Mapping[str, Any]:
    return MappingProxyType(json.loads(params))


@lru_cache(maxsize=4096)
def _price_class(model: str, params: str) -> str:
    return price_class_of(model, _values(params))


@dataclass(frozen=True, slots=True)
class Request:
    """One paid submission for a clip. `reserved` is what the budget still reserves for it."""

    n: int
    intent_at: float
    reserved: int = 0
    request_id: str | None = None
    submitted_at: float | None = None
    completed_at: float | None = None
    cost: int | None = None  #: None: not known (never read as 0)
    url: str | None = None
    file_size: int | None = None
    queue_s: float | None = None
    run_s: float | None = None
    #: open, refused, failed, charged, unsure, error (answered with a 500), lost, absent, forgotten; billed (FAILED, and
    #: charged), unproven (FAILED by the service's word alone)
    outcome: str = "open"
    sent: str | None = None  #: JSON as sent, where it differs from the clip's params (uploaded audio)
    estimate: int | None = None  #: what it was likely to cost when it was submitted
    poll_count: int | None = None  #: status calls made for it; None: not known in full
    other_links: str | None = None  #: further links of the answer, one a line
    clock_off: float | None = None  #: how far the service's clock was ahead of ours at the time; None: hardly

    @property
    def left_at(self) -> float:
        """When it was sent, by the service's own clock as far as that is known: where in the history to look for it."""
        return self.intent_at + (self.clock_off or 0.0)

    @property
    def requested_at(self) -> float:
        """When it was submitted, by our own clock; the time of its intent where no answer came."""
        return self.submitted_at or self.intent_at

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
        """True when it failed by the service's own trouble: the same request may well succeed."""
        return _transient(self)

    @property
    def in_doubt(self) -> bool:
        """True when the history may say more of its last request: what it costs, or where its file is."""
        if self.state in (State.FAILED, State.BLOCKED):
            return self.request is not None and self.request.outcome == "unproven"
        return self.state in (State.UNCONFIRMED, State.LOST)

    @property
    def forgotten(self) -> bool:
        """True when the user gave it up: its last request may have been paid for."""
        return self.request is not None and self.request.outcome == "forgotten"


#: The order of submission in SQL, over the columns of the ledger's table; `submission_order` is the same in Python.
SUBMISSION_ORDER = "take, priority DESC, ord, id"


def submission_order(wanted: Wanted, row: int = 0) -> tuple[int, int, int, int]:
    """Give the key by which clips are submitted: first takes of all prompts, then by priority, then as in the manifest.

    `row`, the ledger's number of the clip, decides between equals.
    """
    return wanted.take, -wanted.priority, wanted.order, row


class ClipSummary(NamedTuple):
    """A clip of the ledger, wanted or not, with what all of its requests cost. Micro-dollars, epoch seconds."""

    key: str
    prompt_id: str
    take: int
    model: str
    params: str
    name: str
    order: int
    priority: int
    label: str
    reroll_of: str | None
    audio_sha256: str | None
    state: State
    requests: int  #: how many were made; 0: it was never submitted
    failures: int  #: of them FAILED for a transient cause, since the last retry
    refusals: int  #: 500s in a row at submission
    reason: str
    at: float | None  #: when the last request was made
    spent: int  #: what is known to have been charged
    reserved: int  #: what the budget still reserves for them
    uncharged: int  #: requests that may have cost something, and nothing is reserved for them
    flags: str = ""
    attempts: int = 0  #: requests that were accepted, or may have been

    @property
    def dropped(self) -> bool:
        """A run that no longer wants it forgets it: it was never submitted."""
        return self.state is State.PENDING and self.requests == 0

    @property
    def transient(self) -> bool:
        """True when it failed by the service's own trouble, by the same rule as `Clip.transient`."""
        return _transient(self)

    @property
    def replaced(self) -> bool:
        """Another take has its place, so it is not wanted, whatever the manifest says."""
        return self.state in {State.FAILED, State.BLOCKED} and REPLACED in self.flags.split()


def _transient(clip: Clip | ClipSummary) -> bool:
    """Read the flag; ledgers of releases before it was written show it by the tries that such a failure had taken."""
    notes = clip.flags.split()
    if TRANSIENT in notes or FINAL in notes:
        return TRANSIENT in notes
    return clip.state is State.FAILED and max(clip.failures, clip.refusals) > 1
