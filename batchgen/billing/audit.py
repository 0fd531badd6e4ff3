"""The bill compared with the account's own request history: what was charged and by whose account. Pure.

The history is read with suspicion: what it does not show is reported as missing only when it was read completely.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from batchgen.billing.bill import Kind, kind_of
from batchgen.clip import Clip
from batchgen.providers.base import HistoryRow, Refused

#: Our clock and the service's may differ, and an answer takes its time: a request may be dated so much off (seconds).
CLOCK_SLACK_S = 900.0


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the history; `why` says what kept it from being whole, in words."""

    rows: list[HistoryRow] = field(default_factory=list)
    whole: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One request on which bill and history don't agree; amounts in micro-dollars, None where unknown."""

    request_id: str
    clip: str | None  #: of this batch; None: no request of ours
    at: float | None
    ours: int | None
    theirs: int | None


@dataclass(slots=True)
class Audit:
    """What came of it. `ok` None: nothing can be concluded, and `why` says what is in the way."""

    ok: bool | None = None
    why: str = ""
    since: float | None = None
    until: float | None = None
    rows: int = 0  #: requests that the history shows
    agreed: int = 0  #: requests of ours that it shows with the same charge
    agreed_sum: int = 0
    untold: int = 0  #: requests of ours for which it shows no amount
    differ: list[Item] = field(default_factory=list)  #: another amount, or a failure that was charged
    uncharged: list[Item] = field(default_factory=list)  #: charged by our books, and free by the history
    missing: list[Item] = field(default_factory=list)  #: charged by our books, and not in the history
    learned: list[Item] = field(default_factory=list)  #: of unknown cost to us; the history knows it
    unknown: list[Item] = field(default_factory=list)  #: charged, of a prompt of this batch, and no request of ours
    siblings: int = 0  #: requests of other batches of this machine
    others: int = 0  #: charged requests of the account that are neither: other tools' or machines'
    others_sum: int = 0


def period(requests: Iterable[Clip]) -> tuple[float, float] | None:
    """Give the time in which the history may date these requests (epoch seconds); None: there are none."""
    times = [clip.request.requested_at for clip in requests if clip.request]
    return (min(times) - CLOCK_SLACK_S, max(times) + CLOCK_SLACK_S) if times else None


def hold(requests: Iterable[Clip], read: Read, siblings: Collection[str] = ()) -> Audit:
    """Hold requests (each as its clip with it as `request`) against what was read of the history.

    Args:
        requests: all of the batch.
        read: the history of the batch's period, of all its models.
        siblings: request ids that other batches of this machine own.
    """
    clips = [clip for clip in requests if clip.request]
    span = period(clips)
    audit = Audit(why=read.why, rows=len(read.rows))
    if span:
        audit.since, audit.until = span
    shown = {row.request_id: row for row in read.rows}
    for clip in clips:
        if clip.request_id:
            _hold_one(audit, clip, shown.pop(clip.request_id, None), whole=read.whole)
    prompts = {_prompt(json.loads(clip.wanted.params)) for clip in clips}
    for row in shown.values():
        if span and (row.at is None or span[0] <= row.at <= span[1]):
            _book_stranger(audit, row, siblings, prompts)
    audit.ok = False if any(_faults(audit)) else True if read.whole else None
    return audit


def _hold_one(audit: Audit, clip: Clip, row: HistoryRow | None, *, whole: bool) -> None:
    assert clip.request  # noqa: S101 - for the type checker: `hold` has seen to it
    kind = kind_of(clip.request)
    ours = 0 if kind in (Kind.FREE, Kind.REFUSED) else clip.request.cost
    theirs = row.charged if row else None
    item = Item(clip.request_id or "", clip.wanted.name, clip.request.requested_at, ours, theirs)
    if row is None:
        if ours and whole:
            audit.missing.append(item)
    elif theirs is None:
        audit.untold += 1
    elif ours is None:
        if theirs:
            audit.learned.append(item)
    elif ours == theirs:
        audit.agreed += 1
        audit.agreed_sum += ours
    else:
        (audit.differ if theirs else audit.uncharged).append(item)


def _book_stranger(audit: Audit, row: HistoryRow, siblings: Collection[str], prompts: Collection[str]) -> None:
    if row.request_id in siblings:
        audit.siblings += 1
    elif row.charged == 0 or (row.charged is None and isinstance(row.outcome, Refused)):
        return
    elif row.params is None or _prompt(row.params) in prompts:
        audit.unknown.append(Item(row.request_id, None, row.at, None, row.charged))
    else:
        audit.others += 1
        audit.others_sum += row.charged or 0


def _faults(audit: Audit) -> Iterator[bool]:
    yield from (bool(audit.differ), bool(audit.uncharged), bool(audit.missing), bool(audit.unknown))


def _prompt(params: object) -> str:
    """A prompt as two writers of it have it in common; a service may add spaces at its ends."""
    found = params.get("prompt") if hasattr(params, "get") else None
    return " ".join(str(found or "").split())
