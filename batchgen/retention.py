"""How long what was paid for can still be had, and what a later run could save. Pure.

The service keeps the record of a request (status, result) for an hour after its *submission*, and the file for
seven days after its completion. Once the record is gone, the account's request history is the way to the file.
Times are epoch seconds, UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from batchgen.clip import State

RECORD_S = 3600.0
FILE_S = 7 * 86400.0
#: Calls that it takes to collect one: its status and its result.
CALLS = 2
#: A run warns of a record that ends within this time (seconds).
SOON_S = 600.0
#: The outlook of a run this much later is given: now, after more than an hour, a day, eight days (seconds).
LATER = (0.0, RECORD_S, 86400.0, 8 * 86400.0)


class Way(StrEnum):
    """How a clip's file could be had at some time."""

    RECORD = "by_record"  #: status and result are still there
    LINK = "by_link"  #: its link is known
    HISTORY = "by_history"  #: its record is gone, the history has its link
    DOUBT = "in_doubt"  #: if the history has it at all
    GONE = "gone"  #: the file itself has been deleted


@dataclass(frozen=True, slots=True)
class Paid:
    """A clip that was paid for, or may have been, and whose file is not here."""

    state: State
    submitted_at: float
    completed_at: float | None = None

    @property
    def record_until(self) -> float:
        """When its record is gone."""
        return self.submitted_at + RECORD_S

    @property
    def file_until(self) -> float:
        """When its file is gone, at the earliest: where it is not known when it was made, since the submission."""
        return (self.submitted_at if self.completed_at is None else self.completed_at) + FILE_S


def way(paid: Paid, at: float) -> Way:
    """Say how the file could be had at a time."""
    if at >= paid.file_until:
        return Way.GONE
    if paid.state in (State.SUBMITTING, State.UNCONFIRMED, State.LOST):
        return Way.DOUBT
    if paid.state is State.DOWNLOADING:
        return Way.LINK
    return Way.RECORD if at < paid.record_until else Way.HISTORY


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run `after_s` from now could still save: how many clips by which way."""

    after_s: float
    ways: dict[Way, int]


def outlook(paid: Sequence[Paid], now: float, later: Iterable[float] = LATER) -> list[Outlook]:
    """Say what runs at several times could still save."""
    found = []
    for after in later:
        ways = dict.fromkeys(Way, 0)
        for each in paid:
            ways[way(each, now + after)] += 1
        found.append(Outlook(after, ways))
    return found


def too_late(submitted: Iterable[float], now: float, calls_per_s: float) -> int:
    """Count the records that end before their turn comes, when they are collected in the order of their ends.

    Args:
        submitted: when each was submitted; those whose record is gone already don't count.
        now: the time.
        calls_per_s: calls that can be made; infinite where they are not counted.
    """
    if math.isinf(calls_per_s) or calls_per_s <= 0:
        return 0
    ends = sorted(at + RECORD_S for at in submitted if at + RECORD_S > now)
    late, turn = 0, now
    for end in ends:
        if turn + CALLS / calls_per_s > end:
            late += 1  # its turn is given to the next one
        else:
            turn += CALLS / calls_per_s
    return late


@dataclass(frozen=True, slots=True)
class Alarm:
    """Records that are about to end."""

    soon: int  #: records that end within `SOON_S`
    first_end: float
    late: int  #: of all in flight, those that can't be collected in time at this pace


def alarm(submitted: Sequence[float], now: float, calls_per_s: float) -> Alarm | None:
    """Give an alarm when records end soon, or can't all be collected in time; None when all is well."""
    ends = [at + RECORD_S for at in submitted if at + RECORD_S > now]
    soon = sum(1 for end in ends if end - now <= SOON_S)
    late = too_late(submitted, now, calls_per_s)
    return Alarm(soon, min(ends), late) if soon or late else None
