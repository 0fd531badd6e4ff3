"""What the account's request history means for a clip in doubt: the events that follow, and writing them down."""

from __future__ import annotations

from collections.abc import Iterable

from batchgen import failpoints
from batchgen.clip import Clip, State
from batchgen.events import Event, Submitted
from batchgen.history.reconcile import Doubt
from batchgen.history.report import LOOKS
from batchgen.ledger import Ledger, replacing
from batchgen.providers.base import Completed, HistoryRow, Running
from batchgen.runner.collect import refused
from batchgen.runner.context import generated
from batchgen.states import advance


def events_for(doubt: Doubt, now: float, deadline_s: float) -> list[Event]:
    """Turn what the history shows into the clip's events, in order; none when there is no news.

    The id of what was found is always among them: a row that is claimed once must stay claimed.
    """
    row, clip = doubt.row, doubt.clip
    if row is None:
        return []
    here = Submitted(row.request_id, _made_at(clip, now))
    if isinstance(row.outcome, Running):
        stuck = clip.state is State.LOST and now - here.at >= deadline_s
        return [] if stuck else [here]
    if isinstance(row.outcome, Completed):
        if row.outcome.url and row.outcome.url != _known_url(clip):
            return [generated(row.outcome, now, row.request_id)]
        return [here] if _worth_asking(clip, row) else []
    return [here, refused(advance(clip, here), row.outcome)]


async def settle_by_history(ledger: Ledger, found: Iterable[Doubt], deadline_s: float) -> list[tuple[Doubt, State]]:
    """Record what the history shows of clips in doubt, and of those without news what was looked at.

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
    left = {doubt.clip.row: doubt.look.text() for doubt in still if doubt.look}
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


def _known_url(clip: Clip) -> str | None:
    """A lost clip whose link is the one that could not be fetched is no news."""
    return clip.request.url if clip.request and clip.state is State.LOST else None
