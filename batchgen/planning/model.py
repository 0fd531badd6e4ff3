"""A plan as frozen values. Money is micro-dollars, None where unknown; lengths of time are seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.billing.budget import NO_CAPS, Budget, Cap, Caps
from batchgen.billing.prices import Quote
from batchgen.retention import RECORD_S


class Action(StrEnum):
    """What a run does with a clip, or why it leaves it alone; in the order in which a plan tells them."""

    NEW = "new"  #: never asked for before
    CHANGED = "changed"  #: in place of a clip of the same prompt and take that is no longer wanted
    REROLL = "reroll"  #: another take, at the user's wish
    AGAIN = "again"  #: refused, failed or put back before; tried again
    LATER = "later"  #: new, but not of this run (`--only`, `--limit`)
    RESUBMIT = "resubmit"  #: unconfirmed or lost, made again at the user's word
    IN_FLIGHT = "in_flight"
    UNCONFIRMED = "unconfirmed"
    LOST = "lost"
    FAILED = "failed"
    BLOCKED = "blocked"
    DONE = "done"
    UNWANTED = "unwanted"

    @property
    def submits(self) -> bool:
        """A run pays for it anew."""
        return self in _SUBMITS


_SUBMITS = frozenset({Action.NEW, Action.CHANGED, Action.REROLL, Action.AGAIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a plan takes as it is: money, pace and disk, known elsewhere."""

    name: str = ""
    rpm: float | None = None  #: API calls a minute; None or 0: no limit
    in_flight: int = 1  #: clips at the service at once
    rpm_note: str = ""  #: why it is not what is configured, in words
    in_flight_note: str = ""  #: likewise
    latency_s: float | None = None  #: from submission to a clip; None: unknown, and so is the time
    time_source: str = ""  #: where that is known from, in words
    wall: Budget = field(default_factory=Budget)  #: what was spent and is reserved, and the caps
    day: str = ""  #: today, as `wall.day_of` names it
    free_bytes: int | None = None  #: what the disk has left
    record_s: float = RECORD_S  #: how long after a submission the provider keeps its record
    price_source: str = ""
    warnings: Sequence[str] = ()  #: found elsewhere; the plan's own come after them


@dataclass(frozen=True, slots=True)
class Reason:
    """Clips that stand where they are for the same reason."""

    reason: str
    count: int
    transient: bool  #: another try may help, as it is; else something has to be changed
    clips: Sequence[str]  #: names of the first few


@dataclass(frozen=True, slots=True)
class Step:
    """All clips that a run treats alike."""

    action: Action
    count: int
    estimate: int | None  #: what it is likely to cost; None: nothing of it has a known price
    unpriced: int  #: how many have no known price, and are not in the estimate
    spent: int  #: charged for them until now
    reserved: int  #: held back for them until their cost is known
    uncharged: int  #: requests for them whose cost is not known, and that may have cost something
    causes: Sequence[Reason] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """One parameter that is not what it was, both sides as texts cut to where they differ."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """Clips that were changed alike; `alike` False: the same parameters in each, but each in its own way."""

    edits: Sequence[Edit]
    count: int
    clips: Sequence[str]  #: names of the first few
    alike: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Clips to be made that are alike in model, size, duration (seconds) and price."""

    model: str
    size: str  #: as the manifest says it; "" when it does not
    duration: float | None
    count: int
    each: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One clip of a plan, for those who want to see each."""

    name: str
    action: Action
    model: str
    size: str
    duration: float | None
    estimate: int | None  #: None: unknown, or nothing is to be paid
    spent: int
    why: str = ""  #: the edits, or the reason


@dataclass(frozen=True, slots=True)
class Plan:
    """A manifest held against its ledger; the seven counts of wanted clips add up to `wanted`."""

    name: str
    wanted: int
    new: int
    done: int
    failed: int
    blocked: int
    unconfirmed: int
    lost: int
    in_flight: int
    unwanted: int
    groups: Sequence[Group]
    estimate: int | None  #: of what this run submits, where the price is known; None when none of it has one
    unpriced: int  #: clips that this run submits at an unknown price
    seconds: float | None
    bytes: int | None  #: of disk, for what is to be made; None when no size is known
    spent: int
    reserved: int
    cap: int | None
    warnings: Sequence[str]
    price_source: str = ""  #: where the prices come from, in words
    steps: Sequence[Step] = ()
    changes: Sequence[Change] = ()
    caps: Caps = NO_CAPS
    today: int = 0  #: spent and reserved by what was submitted today
    paid_clips: int = 0  #: submissions that were charged, or may be
    reach: int | None = None  #: how many of what this run submits the caps are enough for; None: there is no cap
    barrier: Cap | None = None  #: what stops the next one
    time_source: str = ""  #: where the run time of one clip is known from, in words
    rpm: float | None = None  #: calls a minute that the time is reckoned with; None: no limit
    most_in_flight: int = 1  #: clips at the service at once, likewise
    pace_source: str = ""  #: what of these was learned before, in words; "" where they are as configured
    free_bytes: int | None = None
    collect_until: float | None = None  #: epoch seconds, when the first record of what is in flight goes
    submit: Sequence[str] = ()  #: keys of the clips that this run submits, in its order
    resubmit: Sequence[str] = ()  #: keys of clips in doubt that it may submit again
    open: Sequence[str] = ()  #: keys of clips in flight and in doubt: what becomes of them is no surprise
    quotes: Mapping[str, Quote] = field(default_factory=dict)  #: of what it submits, by price class
    clips: Sequence[PlannedClip] = ()  #: each one, when that was asked for

    def step(self, action: Action) -> Step:
        """Give what is done in one way; a step of no clips where there is none."""
        empty = Step(action, 0, 0, 0, 0, 0, 0)
        return next((step for step in self.steps if step.action is action), empty)
