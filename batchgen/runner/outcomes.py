"""What the provider's answers mean for a clip: its events, and writing them down for clips in doubt.

All but `settle_by_history` is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from batchgen import failpoints
from batchgen.clip import Clip, State
from batchgen.events import (
    Blocked,
    Ending,
    Event,
    Failed,
    FailedForNow,
    Generated,
    Lost,
    Released,
    Reopened,
    Submitted,
)
from batchgen.history.reconcile import Doubt
from batchgen.history.report import LOOKS
from batchgen.ledger import Ledger, replacing
from batchgen.money import usd
from batchgen.polling.poller import Ended, Overdue
from batchgen.providers.base import Cause, Completed, Gone, HistoryRow, Refused, Running
from batchgen.retry import FREE_RETRIES, MAX_ATTEMPTS, SUBMIT_TRIES
from batchgen.states import advance

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


def events_for(doubt: Doubt, now: float, deadline_s: float) -> list[Event]:
    """Turn what the history shows into the clip's events, in order; none when there is no news.

    The id of what was found is always among them: a row that is claimed once must stay claimed.
    """
    row, clip = doubt.row, doubt.clip
    if row is None:
        return _of_absence(doubt)
    if clip.state in (State.FAILED, State.BLOCKED):
        if isinstance(row.outcome, Refused):
            return [refused(clip, row.outcome, doubt.charged)]
        return [Reopened(f"the service said FAILED, and {doubt.note}")]
    here = Submitted(row.request_id, _made_at(clip, now))
    if isinstance(row.outcome, Running):
        stuck = clip.state is State.LOST and now - here.at >= deadline_s
        return [] if stuck else [here]
    if isinstance(row.outcome, Completed):
        if row.outcome.url and not (clip.state is State.LOST and row.outcome.url in links_of(clip)):
            return [generated(row.outcome, now, row.request_id)]
        return [here] if _worth_asking(clip, row) else []
    end = refused(advance(clip, here), row.outcome, doubt.charged)
    return [here] if isinstance(end, FailedForNow) else [here, end]  # the record is asked before it is sent again


def _of_absence(doubt: Doubt) -> list[Event]:
    """Say what it means that the history has no such request where one look is enough: after an answer that said no."""
    clip = doubt.clip
    if not doubt.absent or clip.request is None:
        return []
    if clip.request.outcome == "unproven":
        return [Failed(clip.reason, transient=clip.transient, cost=0)]
    if clip.request.outcome != "error":
        return []
    if clip.refusals >= SUBMIT_TRIES:
        return [Failed(f"{clip.reason} ({SUBMIT_TRIES} tries)", transient=True)]
    return [Released(f"{clip.reason}; it was not accepted: {doubt.note}", absent=True)]


async def settle_by_history(ledger: Ledger, found: Iterable[Doubt], deadline_s: float) -> list[tuple[Doubt, State]]:
    """Record what the history shows of clips in doubt, and of those without news what was checked.

    Returns:
        Each doubt with the state that its clip has now; all of it is on disk.
    """
    settled = []
    for doubt in found:
        clip = doubt.clip
        for event in events_for(doubt, ledger.now(), deadline_s):
            failpoints.reach("doubt.before")
            clip = await ledger.record(clip, event)
        settled.append((doubt, clip.state))
    still = (doubt for doubt, state in settled if state is doubt.clip.state)
    left = {doubt.clip.row: doubt.check.text() for doubt in still if doubt.check}
    await ledger.set_facts(replacing(LOOKS, ledger.facts(LOOKS), left))
    await ledger.settle()
    return settled


def _worth_asking(clip: Clip, row: HistoryRow) -> bool:
    """COMPLETED without a link that is new: the record may have one, and the cost belongs in the bill."""
    if clip.state is State.UNCONFIRMED:
        return True
    unpriced = clip.request is not None and clip.request.cost is None
    return unpriced and isinstance(row.outcome, Completed) and row.outcome.cost is not None


def _made_at(clip: Clip, now: float) -> float:
    """By our own clock, as for every other request: a row's date may be of another zone."""
    if clip.request is None:
        return now
    return clip.request.submitted_at or clip.request.intent_at
