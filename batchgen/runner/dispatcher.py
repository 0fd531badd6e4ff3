"""The run: queue, dispatcher, and how it ends. One event loop, nested task groups, every task has an owner."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen import failpoints
from batchgen.clip import Clip, State
from batchgen.errors import Exit, LedgerError, LedgerWriteError
from batchgen.events import Event, Released
from batchgen.history.reconcile import Doubt, Reconciler
from batchgen.history.report import LOOKS
from batchgen.providers.base import Completed
from batchgen.runner.alerts import ExpiryAlert
from batchgen.runner.context import InFlightSlot, RunContext
from batchgen.runner.credits import warn_of_low_credits
from batchgen.runner.in_doubt import events_for
from batchgen.runner.worker import ClipWorker
from batchgen.wording import duration

log = logging.getLogger("batchgen.runner")

#: How often the run looks whether an outage, or refusals of every call, have lasted too long (seconds).
WATCH_S = 5.0
#: So many clips are read from the ledger at once.
AHEAD = 64


@dataclass(frozen=True, slots=True)
class Orders:
    """What of the batch this run is to do, and the user's word on what is in doubt."""

    limit: int | None = None  #: submit at most this many clips
    only: str | None = None  #: a glob of prompt ids or names
    planned: frozenset[int] | None = None  #: rows that may be submitted at all; None: every one
    submit: bool = True  #: False: only collect what is paid for
    foresee: bool = True  #: look at the account's credits first
    resubmit_unconfirmed: bool = False
    resubmit_lost: bool = False


class Dispatcher:
    """Runs a batch once: what is paid for first, then what is wanted, until all is settled or it is told to stop."""

    def __init__(self, tools: RunContext, reconciler: Reconciler, orders: Orders) -> None:
        self._tools = tools
        self._reconciler = reconciler
        self._orders = orders
        self._carrier = ClipWorker(tools)
        self._vigil = ExpiryAlert(tools)
        self._started = 0  # clips that this run submits

    def __repr__(self) -> str:
        """Say how far it is, for logs and tests."""
        counts = self._tools.ledger.live_totals.counts
        return "<Runner " + ", ".join(f"{n} {state}" for state, n in counts.items() if n) + ">"

    async def run(self) -> None:
        """Return when nothing more is to be done; `RunContext.shutdown` says why if it ended early.

        Any exception is a fault of batchgen.
        """
        try:
            async with asyncio.TaskGroup() as services:
                await self._serve(services)
        finally:
            await self._tools.ledger.settle()  # whatever happened: answers that came are written down

    async def _serve(self, services: asyncio.TaskGroup) -> None:
        serving = [services.create_task(self._tools.pacer.run()), services.create_task(self._tools.poller.run())]
        work = services.create_task(self._work())
        try:
            await self._ended(work)
        finally:
            work.cancel()
            for service in serving:
                service.cancel()

    # --- the ending -----------------------------------------------------------------------------------------

    async def _ended(self, work: asyncio.Task[None]) -> None:
        """Wait for the work, or for the end of the grace after the shutdown was pulled."""
        shutdown = self._tools.shutdown
        while not work.done():
            if shutdown.requested:
                self._tools.pacer.close_submissions()
                self._tools.news.tell()
            left = shutdown.left_s()
            if shutdown.now or (left is not None and left <= 0 and not self._tools.posts_out):
                return
            requested = shutdown.next_request()
            # With the grace over, only the answers of POSTs on the way are waited for.
            watch = min(WATCH_S, self._tools.give_up_s)
            timeout = max(0.05, watch if left is None else min(left, watch))
            await asyncio.wait({work, requested}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            self._watch_the_api()
            self._vigil.look()

    def _watch_the_api(self) -> None:
        pace = self._tools.pacer.snapshot()
        away, refused = pace.outage_s, pace.refused_s
        why = ""
        if away and away >= self._tools.give_up_s:
            why = f"outage: the API was out of reach for {duration(away)}"
        elif refused and refused >= self._tools.give_up_s:
            why = f"outage: the API has refused every call as too many for {duration(refused)}: run again later"
        if why:  # and what is in flight can't be asked for, either: the next run collects it
            self._tools.shutdown.request(why, Exit.STOPPED, grace_s=0.0)

    # --- the work -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as clips:
            for row in self._tools.ledger.paid():
                self._carry_paid(clips, self._tools.ledger.clip(row))
            clips.create_task(self._settle_doubts(clips, at_start=True))
            await self._dispatch(clips)
        async with asyncio.TaskGroup() as clips:
            await self._settle_doubts(clips, at_start=False)
        if self._started == self._orders.limit and self._tools.ledger.pending():
            counted = "1 clip was" if self._started == 1 else f"{self._started:,} clips were"
            self._tools.shutdown.request(f"limit: {counted} submitted, as asked", Exit.STOPPED)

    def _carry_paid(self, clips: asyncio.TaskGroup, clip: Clip) -> None:
        generating = clip.state is State.GENERATING
        if generating:
            self._tools.places.acquire_at_once()
        clips.create_task(self._carrier.carry(clip, InFlightSlot(self._tools.places, held=generating)))

    async def _dispatch(self, clips: asyncio.TaskGroup) -> None:
        """Start one worker for each pending clip, as places in flight come free."""
        chosen = self._chosen(self._tools.ledger.pending())[: self._orders.limit] if self._orders.submit else []
        if self._carrier.submitter.budget.refuses(chosen):
            return
        if chosen and self._orders.foresee:
            await warn_of_low_credits(self._tools)
        try:
            for first in range(0, len(chosen), AHEAD):
                self._tools.ledger.load(chosen[first : first + AHEAD])
                for row in chosen[first : first + AHEAD]:
                    if not await self._start(clips, row):
                        return
        except LedgerError as error:  # damaged under the run: answers that are on their way are waited for
            self._tools.disk_trouble(error)

    async def _start(self, clips: asyncio.TaskGroup, row: int) -> bool:
        """Take a place and carry the clip; False when nothing more may be submitted."""
        if self._tools.shutdown.requested or self._started == self._orders.limit:
            return False
        self._started += 1
        await self._tools.places.acquire()
        clips.create_task(self._carrier.carry(self._tools.ledger.clip(row), InFlightSlot(self._tools.places)))
        return True

    def _chosen(self, pending: Iterable[tuple[int, str, str]]) -> list[int]:
        return [row for row, prompt_id, name in pending if self._asked_for(row, prompt_id, name)]

    def _asked_for(self, row: int, *names: str) -> bool:
        """Tell whether `--only`, or a saved plan, leaves it in."""
        if self._orders.planned is not None and row not in self._orders.planned:
            return False
        globs = [glob.strip() for glob in (self._orders.only or "*").split(",")]
        return any(fnmatch.fnmatchcase(name, glob) for glob in globs for name in names)

    # --- what is in doubt -----------------------------------------------------------------------------------

    async def _settle_doubts(self, clips: asyncio.TaskGroup, *, at_start: bool) -> None:
        """Look for unconfirmed and lost clips in the history, and carry on with what is found."""
        ledger = self._tools.ledger
        left: dict[int, str] = {}
        try:
            doubtful = list(ledger.clips(State.UNCONFIRMED, State.LOST))
            if not doubtful or self._tools.shutdown.left_s() is not None:
                return
            async for doubt in self._reconciler.look(doubtful, ledger.now()):
                if not await self._settle(clips, doubt, at_start=at_start) and doubt.look:
                    left[doubt.clip.row] = doubt.look.text()
            await ledger.keep(LOOKS, left)
        except (LedgerError, LedgerWriteError) as error:
            self._tools.disk_trouble(error)

    async def _settle(self, clips: asyncio.TaskGroup, doubt: Doubt, *, at_start: bool) -> bool:
        """Take the history's word, or the user's; False when the clip stays in doubt."""
        clip = doubt.clip
        events: list[Event] = events_for(doubt, self._tools.ledger.now(), self._tools.deadline_s)
        if not events and at_start and (released := self._released(doubt)):
            events = [released]
        if not events:
            log.warning("%s stays %s: %s", clip.wanted.name, clip.state, doubt.note or "nothing new")
            return False
        for event in events:
            failpoints.reach("doubt.before")
            clip = await self._tools.ledger.record(clip, event)
            failpoints.reach("doubt.after")
        log.info("%s is %s now (%s)", clip.wanted.name, clip.state, doubt.note)
        if clip.state in (State.GENERATING, State.DOWNLOADING):
            self._carry_paid(clips, clip)
        elif clip.state is State.PENDING and not clip.unwanted and self._orders.submit:
            await self._start(clips, clip.row)
        return True

    def _released(self, doubt: Doubt) -> Released | None:
        clip = doubt.clip
        if not self._asked_for(clip.row, clip.wanted.prompt_id, clip.wanted.name):
            return None
        if clip.state is State.UNCONFIRMED and self._orders.resubmit_unconfirmed and doubt.absent:
            return Released("resubmitted: the request history, read whole, does not have it", absent=True)
        known = doubt.row is not None and isinstance(doubt.row.outcome, Completed)
        if clip.state is State.LOST and self._orders.resubmit_lost and (doubt.absent or known):
            return Released("resubmitted on the user's word; the lost request stays in the bill")
        return None
