"""What the provider's answers mean for a clip: its events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchgen.clip import Clip, State
from batchgen.events import (
    Blocked,
    Ending,
    Failed,
    FailedForNow,
    Generated,
    Lost,
)
from batchgen.money import usd
from batchgen.polling.poller import Ended, Overdue
from batchgen.providers.base import Cause, Completed, Gone, HistoryRow, Refused
from batchgen.retry import FREE_RETRIES, MAX_ATTEMPTS

#: New requests for a clip that FAILED, by cause.
_FREE_TRIES = {Cause.TRANSIENT: FREE_RETRIES, Cause.UNKNOWN: 1, Cause.MODERATION: 1}


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The history gave no answer: that it has no such row may not be concluded."""

    why: str


def filled(completed: Completed, known: Completed) -> Completed:
    """Fill in what one answer leaves out with what another one said."""
    return replace(
        completed,
        cost=known.cost if completed.cost is None else completed.cost,
        queue_s=known.queue_s if completed.queue_s is None else completed.queue_s,
        run_s=known.run_s if completed.run_s is None else completed.run_s,
    )


def generated(completed: Completed, at: float, request_id: str | None = None) -> Generated:
    """Turn a COMPLETED that has a link into the event."""
    return Generated(
        url=completed.url or "",
        at=at,
        cost=completed.cost,
        file_size=completed.file_size,
        other_links="\n".join(completed.others) or None,
        queue_s=completed.queue_s,
        run_s=completed.run_s,
        request_id=request_id,
    )


def again(clip: Clip, at: float, links: Sequence[str]) -> Generated:
    """Give the event of a clip whose known links are to be tried again, in this order."""
    size = clip.request.file_size if clip.request else None
    return Generated(links[0], at, file_size=size, other_links="\n".join(links[1:]) or None)


def links_of(clip: Clip) -> list[str]:
    """Give the links that are known of a clip's file, the likeliest first; none when there is no file."""
    request = clip.request
    return [request.url, *(request.other_links or "").split()] if request and request.url else []


def lost(ended: Ended, answer: HistoryRow | NoAnswer | None) -> Lost:
    """Say why a file can't be had, as far as is known; a history that does not answer proves no absence."""
    row = answer.outcome if isinstance(answer, HistoryRow) else None
    costs = [each.cost for each in (ended, row) if isinstance(each, Completed)]
    silent = f"the request history gave no answer: {answer.why}" if isinstance(answer, NoAnswer) else ""
    if isinstance(ended, Gone):
        why = f"the service keeps no record of it any more, and {silent or 'the request history has no file'}"
    elif isinstance(ended, Overdue):
        why = f"the deadline has passed, and the service still says: {ended.last}" + (silent and f"; {silent}")
    else:
        said = f": {ended.body}" if isinstance(ended, Completed) and ended.body else ""
        why = f"COMPLETED, but the service gave no link to the file{said}" + (silent and f"; {silent}")
    return Lost(why, cost=next((cost for cost in costs if cost is not None), None))


def refused(clip: Clip, outcome: Refused, cost: int | None) -> Ending:
    """Turn a FAILED into the clip's fate: blocked, tried again where that is surely free, or failed.

    Args:
        clip: as it is stored.
        outcome: what the service says.
        cost: what the account was charged for it; None: nobody knows, so it stays reserved and is not tried again.
    """
    reason = outcome.reason + (f" (charged all the same: {usd(cost)})" if cost else "")
    unproven = cost is None
    again = clip.failures < _FREE_TRIES.get(outcome.cause, 0) and clip.attempts < MAX_ATTEMPTS
    if again and cost == 0 and clip.state is State.GENERATING:
        return FailedForNow(reason, cost=0)
    if outcome.cause in (Cause.BLOCKED, Cause.MODERATION):
        return Blocked(reason, cost=cost, unproven=unproven)
    return Failed(reason, transient=outcome.cause is Cause.TRANSIENT, cost=cost, unproven=unproven)
