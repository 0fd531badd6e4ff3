"""What a batch cost: every request is one kind of money, added up by clip, prompt, cell, day, model or take. Pure.

Amounts are whole micro-dollars (1e-6 USD), so that every grouping adds up to the same total to the last digit. What
nobody knows is counted, and never added as 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum

from batchgen.billing.budget import day_of
from batchgen.clip import Clip, Request


class Kind(StrEnum):
    """What became of the money of one request."""

    CHARGED = "charged"  #: the service said how much
    UNPRICED = "unpriced"  #: it was made, and the service did not say how much
    FREE = "free"  #: it failed or was blocked: free of charge, as far as is known
    REFUSED = "refused"  #: never accepted, surely or by the whole history
    IN_FLIGHT = "in_flight"  #: on its way
    UNCONFIRMED = "unconfirmed"  #: may have been accepted, and so charged
    LOST = "lost"  #: may have been charged, and can't be fetched
    FORGOTTEN = "forgotten"  #: given up by the user; may have been charged


class By(StrEnum):
    """What a bill can be added up by."""

    CLIP = "clip"
    PROMPT = "prompt"
    CELL = "cell"
    DAY = "day"
    MODEL = "model"
    TAKE = "take"


_KINDS = {
    "charged": Kind.UNPRICED,  # with a known cost it never comes here
    "failed": Kind.FREE,
    "refused": Kind.REFUSED,
    "absent": Kind.REFUSED,
    "unsure": Kind.UNCONFIRMED,
    "error": Kind.UNCONFIRMED,
    "unproven": Kind.UNCONFIRMED,
    "lost": Kind.LOST,
    "forgotten": Kind.FORGOTTEN,
}
_FREE = frozenset({Kind.FREE, Kind.REFUSED})


def kind_of(request: Request) -> Kind:
    """Say what became of a request's money; a cost that is known counts, whatever else went wrong."""
    known = request.cost is not None and (request.cost > 0 or not request.free)
    return Kind.CHARGED if known else _KINDS.get(request.outcome, Kind.IN_FLIGHT)


@dataclass(slots=True)
class BillLine:
    """Sums over some requests."""

    clips: set[str] = field(default_factory=set)  #: keys of the clips that they are for
    requests: int = 0
    retries: int = 0  #: requests beyond the first of their clip
    rerolls: int = 0  #: requests for further takes that were asked for outside the manifest
    counts: Counter[Kind] = field(default_factory=Counter)
    charged: int = 0
    failed: int = 0  #: requests that failed, or were blocked, and were charged all the same
    failed_cost: int = 0  #: what these cost, a part of `charged`
    held: Counter[Kind] = field(default_factory=Counter)  #: still reserved
    unknown: int = 0  #: requests that cost, or may cost, an amount that is neither known nor reserved
    estimated: int = 0  #: for what was charged or may be; free failures are no part of it
    unestimated: int = 0  #: those of them without an estimate
    unwanted: int = 0  #: of what was charged or is reserved: for clips that the manifest no longer has

    @property
    def reserved(self) -> int:
        """What is still reserved, of whatever kind."""
        return sum(self.held.values())

    def add(self, clip: Clip, request: Request) -> None:
        """Book one request of a clip."""
        kind, cost = kind_of(request), request.cost or 0
        self.clips.add(clip.key)
        self.requests += 1
        self.retries += request.n > 1
        self.rerolls += clip.wanted.reroll_of is not None
        self.counts[kind] += 1
        self.charged += cost
        if request.outcome == "billed":
            self.failed += 1
            self.failed_cost += cost
        if request.reserved:
            self.held[kind] += request.reserved
        if kind not in _FREE:
            self.unknown += request.cost is None and not request.reserved
            self.estimated += request.estimate or 0
            self.unestimated += request.estimate is None
        if clip.unwanted:
            self.unwanted += cost + request.reserved


@dataclass(frozen=True, slots=True)
class Bill:
    """A batch's bill: the total, and its lines by one grouping, in the order of the ledger or of the calendar."""

    by: By
    total: BillLine
    lines: dict[str, BillLine]
    since: float | None = None  #: the first submission, epoch seconds; None: there was none
    until: float | None = None  #: the last one


def make_bill(requests: Iterable[Clip], by: By, tz: tzinfo | None = None) -> Bill:
    """Add up requests, each given as its clip with it as `request`.

    `tz` is where a day begins and ends; None: this machine's zone. A request belongs to the day of its submission.
    """
    total, lines = BillLine(), dict[str, BillLine]()
    times: list[float] = []
    for clip in requests:
        request = clip.request
        if request is None:
            continue
        at = request.requested_at
        times = [min(at, *times), max(at, *times)] if times else [at, at]
        for line in (total, lines.setdefault(_name(clip, by, at, tz), BillLine())):
            line.add(clip, request)
    if by in (By.DAY, By.TAKE):
        lines = dict(sorted(lines.items(), key=lambda entry: (len(entry[0]), entry[0])))
    return Bill(by, total, lines, *times[:2])


def _name(clip: Clip, by: By, at: float, tz: tzinfo | None) -> str:
    wanted = clip.wanted
    match by:
        case By.CLIP:
            return wanted.name
        case By.PROMPT:
            return wanted.prompt_id
        case By.CELL:
            return wanted.label
        case By.MODEL:
            return wanted.model
        case By.TAKE:
            return str(wanted.take)
    return day_of(at, tz)
