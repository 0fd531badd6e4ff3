"""A plan as frozen values. Money is micro-dollars, None where unknown; lengths of time are seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from batchgen.billing.budget import NO_CAPS, Budget, Cap, Caps
from batchgen.billing.prices import Quote
from batchgen.planning.pace import AssumedPace
from batchgen.retention import RECORD_S
from batchgen.window import Window


class Action(StrEnum):
    """What a run does with a clip, or why it leaves it alone; in the order in which a plan shows them."""

    NEW = "new"  #: never asked for before
    CHANGED = "changed"  #: in place of a clip of the same prompt and take that is no longer wanted
    REROLL = "reroll"  #: a further take that the user asked for
    AGAIN = "again"  #: refused, failed or put back before; tried again
    LATER = "later"  #: new, but not of this run (`--only`, `--limit`)
    SKIPPED = "skipped"  #: new, but not to be made: another take of its prompt was picked
    RESUBMIT = "resubmit"  #: unconfirmed or lost, submitted again because the user asked for it
    IN_FLIGHT = "in_flight"
    UNCONFIRMED = "unconfirmed"
    LOST = "lost"
    FAILED = "failed"
    BLOCKED = "blocked"
    DONE = "done"
    REPLACED = "replaced"  #: failed or blocked, and another take has its place
    UNWANTED = "unwanted"

    @property
    def submits(self) -> bool:
        """True when a run submits such a clip, and pays for it."""
        return self in _SUBMITS


_SUBMITS = frozenset({Action.NEW, Action.CHANGED, Action.REROLL, Action.AGAIN})


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model that the manifest uses: how long one clip takes, and how old that and its other facts are."""

    model: str
    run_s: float | None = None  #: seconds of one clip: as the last ones took, else as is assumed
    as_of: date | None = None  #: None: nothing is known of the model
    age_days: int = 0
    origin: str = ""  #: the file of the facts, from the manifest's folder; "": built in, or none


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What the clips of one model that are to be made are likely to cost."""

    facts: ModelFacts
    count: int
    total: int | None  #: the sum of the known prices; None: no clip has one
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a plan takes as it is: money, pace and disk, as the ledger, the settings and the machine have them."""

    name: str = ""  #: of the batch
    pace: AssumedPace = field(default_factory=AssumedPace)
    budget: Budget = field(default_factory=Budget)  #: what was spent and is reserved, and the caps
    day: str = ""  #: today, as `billing.budget.day_of` names it
    free_bytes: int | None = None  #: what the disk has left
    record_s: float = RECORD_S  #: how long after a submission the provider keeps its record
    price_source: str = ""  #: where the listed prices come from, in words
    models: Sequence[ModelFacts] = ()  #: those that the manifest uses
    warnings: Sequence[str] = ()  #: found elsewhere; the plan's own come after them
    moves: Sequence[tuple[str, str]] = ()  #: files that the run moves: old name, new name
    queued: tuple[int, int] = (0, 0)  #: retries and re-rolls that no run has taken up yet
    live: bool = False  #: a run is at work
    window: Window | None = None  #: the hours of submission


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What the clips that this run submits are likely to cost."""

    groups: Sequence[Group] = ()  #: the biggest first
    quotes: Mapping[str, Quote] = field(default_factory=dict)  #: by price class
    source: str = ""  #: where the listed prices come from, in words
    more: int = 0  #: what they may cost above that, by what others were charged on average

    @property
    def high(self) -> int | None:
        """The total if the prices are those that others paid on average; None where that is not more."""
        return (self.total or 0) + self.more if self.more else None

    @property
    def total(self) -> int | None:
        """The sum of the known prices; None when no clip has one, 0 when there is nothing to make."""
        return sum_known([group.total for group in self.groups])

    @property
    def unpriced(self) -> int:
        """How many clips have no known price, and are not in the total."""
        return sum(group.count for group in self.groups if group.each is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReach:
    """What the batch has spent, what its caps are, and how many of the planned clips they allow."""

    spent: int = 0
    reserved: int = 0
    today: int = 0  #: spent and reserved by what was submitted today
    clips: int = 0  #: submissions that were charged, or may be
    caps: Caps = NO_CAPS
    reach: int | None = None  #: the caps allow so many of the planned clips; None: there is no cap
    barrier: Cap | None = None  #: the cap that stops the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskEstimate:
    """Bytes on disk; None where unknown."""

    needed: int | None = None  #: for the clips that are to be made
    free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedKeys:
    """Which clips a run of this plan may touch, by their keys: what a saved plan is checked by."""

    submit: Sequence[str] = ()  #: clips that this run submits, in its order
    resubmit: Sequence[str] = ()  #: clips in doubt that it may submit again
    open: Sequence[str] = ()  #: clips in flight and in doubt: any end of theirs leaves a saved plan valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do with every clip of a manifest and its ledger, and what that costs and takes."""

    name: str
    steps: Sequence[Step]  #: in the order of `Action`; every clip is in one, those to resubmit in two
    changes: Sequence[Change] = ()
    keys: PlannedKeys = PlannedKeys()
    cost: CostEstimate = CostEstimate()
    models: Sequence[ModelCost] = ()  #: those that the manifest uses, by name
    budget: BudgetReach = BudgetReach()
    pace: AssumedPace = field(default_factory=AssumedPace)
    seconds: float | None = None  #: until all is made and collected
    disk: DiskEstimate = DiskEstimate()
    collect_until: float | None = None  #: epoch seconds, when the first record of what is in flight goes
    warnings: Sequence[str] = ()
    moves: Sequence[tuple[str, str]] = ()  #: files that it moves first: old name, new name, both under `clips/`
    queued: tuple[int, int] = (0, 0)  #: retries and re-rolls that no run has taken up yet, and that are not in the plan
    live: bool = False  #: a run is at work
    window: Window | None = None  #: the hours of submission
    clips: Sequence[PlannedClip] = ()  #: each one, when that was asked for

    def step(self, action: Action) -> Step:
        """Give the step of one action; a step of no clips where there is none."""
        empty = Step(action, 0, 0, 0, 0, 0, 0)
        return next((step for step in self.steps if step.action is action), empty)

    def count(self, action: Action) -> int:
        """Count the clips of one action."""
        return self.step(action).count

    @property
    def new(self) -> int:
        """How many clips are still to be submitted, by this run or a later one."""
        return sum(step.count for step in self.steps if step.action.submits or step.action is Action.LATER)

    @property
    def wanted(self) -> int:
        """How many clips are wanted: those of the manifest, and further takes of them."""
        apart = (Action.UNWANTED, Action.REPLACED, Action.RESUBMIT)  # the second are counted where they stand
        return sum(step.count for step in self.steps if step.action not in apart)


def sum_known(amounts: Sequence[int | None]) -> int | None:
    """Add up the amounts that are known; None when none of them is, 0 when there is nothing to add."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known or not amounts else None
