"""Clips in doubt: what the request history shows of them, written down, and carried on with.

In doubt is what was or may have been paid for, and cannot be collected as far as is known. The history decides; where
it cannot, the user does (`--resubmit-unconfirmed`, `--resubmit-lost`). `events_for` is pure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen import failpoints
from batchgen.clip import Clip, State
from batchgen.errors import LedgerError, LedgerWriteError
from batchgen.events import Event, Failed, FailedForNow, Released, Reopened, Submitted
from batchgen.history.reconcile import Doubt
from batchgen.history.report import LOOKS
from batchgen.ledger import Ledger, replacing
from batchgen.providers.base import Completed, HistoryRow, Refused, Running
from batchgen.retry import SUBMIT_TRIES
from batchgen.runner.context import RunContext
from batchgen.runner.outcomes import again, generated, links_of, refused
from batchgen.runner.work import Carry, start
from batchgen.selection import Selection
from batchgen.states import advance

log = logging.getLogger("batchgen.runner.doubts")

#: States in which a clip may be in doubt (`Clip.in_doubt`).
DOUBTFUL = (State.UNCONFIRMED, State.LOST, State.FAILED, State.BLOCKED)


# --- in a run -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DoubtSettler:
    """Settles the doubts of one run; what is found is carried on with by `_carry`."""

    _context: RunContext
    _selection: Selection
    _carry: Carry

    async def settle(self, clips: asyncio.TaskGroup, doubtful: list[Clip], *, at_start: bool) -> list[int]:
        """Look clips in doubt up in the history, and carry on with what was paid for, in tasks of `clips`.

        Returns:
            The rows of what is to be submitted again. Nothing waits for a slot in here: who has the slots may be
            waiting for what the history frees of the budget.

        Raises:
            LedgerError, LedgerWriteError: the ledger can't be read or written.
        """
        ledger, reconciler = self._context.ledger, self._context.reconciler
        left: dict[int, str] = {}
        to_submit: list[int] = []
        await self._context.pause(reconciler.early_s(doubtful, ledger.now()))
        async for doubt in reconciler.check(doubtful, ledger.now()):
            clip = await self._settle(clips, doubt, at_start=at_start)
            if clip is None:
                left |= {doubt.clip.row: doubt.check.text()} if doubt.check else {}
            elif clip.state is not State.PENDING:
                await start(clips, self._carry, clip.row)
            elif self._selection.submit:
                to_submit.append(clip.row)
        await ledger.set_facts(replacing(LOOKS, ledger.facts(LOOKS), left))
        return to_submit

    async def _settle(self, clips: asyncio.TaskGroup, doubt: Doubt, *, at_start: bool) -> Clip | None:
        """Take the history's word, or the user's; None when the clip stays in doubt."""
        clip = doubt.clip
        events: list[Event] = events_for(doubt, self._context.ledger.now(), self._context.deadline_s)
        if not events and at_start and clip.state is State.LOST and links_of(clip):
            clips.create_task(self._tried_again(doubt))
            return None
        if not events and at_start and (released := self._released(doubt)):
            events = [released]
        if not events:
            log.warning("%s stays %s: %s", clip.wanted.name, clip.state, doubt.note or "nothing new")
            return None
        for event in events:
            failpoints.reach("doubt.before")
            clip = await self._context.ledger.record(clip, event)
            failpoints.reach("doubt.after")
        log.info("%s is now %s (%s)", clip.wanted.name, clip.state, doubt.note)
        return clip

    async def _tried_again(self, doubt: Doubt) -> None:
        """Try the links of a lost clip once more: only what still can't be fetched may be paid for again."""
        ledger, clip = self._context.ledger, doubt.clip
        try:
            await ledger.record(clip, again(clip, ledger.now(), links_of(clip)))
            await self._carry(clip.row, lambda: None)
            clip = await ledger.read(clip.row)
            if clip.state is State.LOST and (released := self._released(doubt)):
                await ledger.record(clip, released)
                await self._carry(clip.row, lambda: None)
        except (LedgerError, LedgerWriteError) as error:
            self._context.disk_trouble(error)

    def _released(self, doubt: Doubt) -> Released | None:
        clip = doubt.clip
        if not self._selection.takes(clip.row, clip.wanted.prompt_id, clip.wanted.name):
            return None
        if clip.state is State.UNCONFIRMED and self._selection.resubmit_unconfirmed and doubt.absent:
            return Released("resubmitted: it is not in the request history, which was read completely", absent=True)
        known = doubt.row is not None and isinstance(doubt.row.outcome, Completed)
        if clip.state is State.LOST and self._selection.resubmit_lost and (doubt.absent or known):
            return Released("resubmitted with --resubmit-lost; the lost request stays in the bill")
        return None


# --- what the history shows ----------------------------------------------------------------------------------


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
    # By our own clock, as for every other request: a row's date may be of another zone.
    here = Submitted(row.request_id, clip.request.requested_at if clip.request else now)
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


def _worth_asking(clip: Clip, row: HistoryRow) -> bool:
    """COMPLETED without a link that is new: the record may have one, and the cost belongs in the bill."""
    if clip.state is State.UNCONFIRMED:
        return True
    unpriced = clip.request is not None and clip.request.cost is None
    return unpriced and isinstance(row.outcome, Completed) and row.outcome.cost is not None


# --- for `reconcile` ------------------------------------------------------------------------------------------


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
