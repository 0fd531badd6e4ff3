"""The run: queue, dispatcher, and how it ends. One event loop, nested task groups, every task has an owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from batchgen import failpoints
from batchgen.clip import Clip, State
from batchgen.errors import LedgerError, LedgerWriteError
from batchgen.events import Event, Released
from batchgen.history.reconcile import Doubt
from batchgen.history.report import LOOKS
from batchgen.ledger import replacing
from batchgen.providers.base import Completed
from batchgen.runner.alerts import ExpiryAlert, OutageAlert, warn_of_low_credits
from batchgen.runner.context import InFlightSlot, RunContext
from batchgen.runner.outcomes import again, events_for, links_of
from batchgen.runner.work import Work, WorkList, start
from batchgen.runner.worker import ClipWorker
from batchgen.selection import Selection

log = logging.getLogger("batchgen.runner")

#: How often the run checks whether an outage, or refusals of every call, have lasted too long (seconds).
WATCH_S = 5.0
#: How often it asks what other processes queued for it (seconds).
WISHES_S = 5.0
Wishes: TypeAlias = Callable[[], Awaitable[list[int]]]


class Dispatcher:
    """Runs a batch once: what is paid for first, then what is wanted, until all is settled or the run has to stop.

    Args:
        tools: of the run.
        selection: what may be submitted.
        work: hands out the clips; None: the list of this process.
        check_credits: warn before the first submission if the account's credits will not last.
        wishes: gives the rows of clips that other processes queued since it was called last; None: nobody can.
    """

    def __init__(
        self,
        tools: RunContext,
        selection: Selection,
        *,
        work: Work | None = None,
        check_credits: bool = True,
        wishes: Wishes | None = None,
    ) -> None:
        self._tools = tools
        self._selection = selection
        self._work = work or WorkList()
        self._check_credits = check_credits
        self._wishes = wishes
        self._worker = ClipWorker(tools)
        self._expiry = ExpiryAlert(tools)
        self._outages = OutageAlert(tools)
        self._carried: dict[int, asyncio.Event] = {}  # rows that are carried now; set at the end
        self._chosen: dict[int, None] = {}  # rows to submit, in order
        self._started: set[int] = set()  # rows that this run submits
        self._checking = asyncio.Lock()
        self._checked = False

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
                running = (self._run_all(), self._tools.pacer.run(), self._tools.poller.run())
                tasks = [services.create_task(each) for each in running]
                try:
                    await self._ended(tasks[0])
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            await self._tools.ledger.settle()  # whatever happened: answers that came are written down

    # --- the ending -----------------------------------------------------------------------------------------

    async def _ended(self, work: asyncio.Task[None]) -> None:
        """Wait for the work, or for the end of the grace after the shutdown was pulled."""
        shutdown = self._tools.shutdown
        while not work.done():
            if shutdown.requested:
                self._tools.pacer.close_submissions()
                self._tools.news.notify()
            left = shutdown.left_s()
            if shutdown.now or (left is not None and left <= 0 and not self._tools.posts_out):
                return
            requested = shutdown.next_request()
            # With the grace over, only the answers of POSTs on the way are waited for.
            watch = min(WATCH_S, self._tools.give_up_s)
            timeout = max(0.05, watch if left is None else min(left, watch))
            await asyncio.wait({work, requested}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            self._outages.check(self._worker.submitter.admission.service)
            self._expiry.check()

    # --- the clips ------------------------------------------------------------------------------------------

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as clips:
            clips.create_task(self._run_with_wishes(clips))
            clips.create_task(self._settle_doubts(clips, at_start=True))
        async with asyncio.TaskGroup() as clips:
            await self._settle_doubts(clips, at_start=False)

    async def _run_with_wishes(self, clips: asyncio.TaskGroup) -> None:
        """Do the work, and what is queued next to it meanwhile; return when all of it has ended."""
        doing = {clips.create_task(self._run_offered())}
        while doing:
            _, doing = await asyncio.wait(doing, timeout=None if self._wishes is None else WISHES_S)
            doing |= {clips.create_task(self._carry(row, lambda: None)) for row in await self._wished()}

    async def _wished(self) -> list[int]:
        """Give the queued clips that this run's options take in; the others stay pending for the next run."""
        if self._wishes is None:
            return []
        try:
            asked = set(await self._wishes())
            pending = await self._tools.ledger.to_submit() if asked and not self._tools.shutdown.requested else []
            return [row for row, *names in pending if row in asked and self._takes(row, names)]
        except (LedgerError, LedgerWriteError) as error:
            self._tools.disk_trouble(error)
            return []

    def _takes(self, row: int, names: Iterable[str]) -> bool:
        return self._selection.submit and self._selection.takes(row, *names)

    async def _run_offered(self) -> None:
        """Carry what is paid for, the oldest first, then what is wanted, in the order of submission."""
        ledger, selection = self._tools.ledger, self._selection
        try:
            await self._work.offer(await ledger.to_collect())
            if selection.submit:
                pending = [row for row, *names in await ledger.to_submit() if self._takes(row, names)]
                self._chosen = dict.fromkeys(pending[: selection.limit])
                await self._work.offer(self._chosen)
        except LedgerError as error:
            self._tools.disk_trouble(error)
            return
        await self._work.run(self._carry)
        while (aside := list(self._tools.aside)) and not self._tools.shutdown.requested:
            self._tools.aside.clear()
            await self._work.offer(aside)
            await self._work.run(self._carry)

    async def _carry(self, row: int, started: Callable[[], None]) -> None:
        """See one clip through to its end; one that is carried already is waited for, not carried twice."""
        if (other := self._carried.get(row)) is not None:
            started()
            await other.wait()
            return
        self._carried[row] = asyncio.Event()
        try:
            clip = await self._tools.ledger.claim(row)
            slot = None if clip is None else await self._slot(clip)
            started()
            if clip is not None and slot is not None:
                await self._worker.run(clip, slot)
        except (LedgerError, LedgerWriteError) as error:  # answers that are on their way are waited for
            self._tools.disk_trouble(error)
        finally:
            started()
            self._carried.pop(row).set()

    async def _slot(self, clip: Clip) -> InFlightSlot | None:
        """Give the clip its slot in flight; None: nothing more may be submitted."""
        places = self._tools.places
        if clip.state is State.PENDING:
            if not await self._may_submit(clip.row):
                if clip.row in self._chosen:  # all that is paid for was handed out before it
                    self._work.stop()
                return None
            self._started.add(clip.row)
            await places.acquire()
        elif clip.state is State.GENERATING:
            places.acquire_at_once()
        return InFlightSlot(places, held=clip.state is not State.DOWNLOADING)

    async def _may_submit(self, row: int) -> bool:
        """Return whether this run may submit a clip; the first one who asks has prices and credits checked."""
        async with self._checking:
            if not self._checked:
                self._checked = True
                refused = await self._worker.submitter.admission.refuses(self._chosen)
                if self._chosen and self._check_credits and not refused:
                    await warn_of_low_credits(self._tools)
        within = row in self._started or len(self._started) != self._selection.limit
        return within and not self._tools.shutdown.requested

    # --- what is in doubt -----------------------------------------------------------------------------------

    async def _settle_doubts(self, clips: asyncio.TaskGroup, *, at_start: bool) -> None:
        """Look for what is in doubt in the history, and carry on with what is found."""
        self._tools.settling = True
        try:
            await self._settle_all(clips, at_start=at_start)
        finally:
            self._tools.settling = False
            self._tools.news.notify()

    async def _settle_all(self, clips: asyncio.TaskGroup, *, at_start: bool) -> None:
        ledger = self._tools.ledger
        left: dict[int, str] = {}
        try:
            states = (State.UNCONFIRMED, State.LOST, State.FAILED, State.BLOCKED)
            doubtful = [clip for clip in await ledger.open_clips(*states) if clip.in_doubt]
            if not doubtful or self._tools.shutdown.left_s() is not None:
                return
            await self._tools.pause(self._tools.reconciler.early_s(doubtful, ledger.now()))
            async for doubt in self._tools.reconciler.check(doubtful, ledger.now()):
                if not await self._settle(clips, doubt, at_start=at_start) and doubt.check:
                    left[doubt.clip.row] = doubt.check.text()
            await ledger.set_facts(replacing(LOOKS, ledger.facts(LOOKS), left))
        except (LedgerError, LedgerWriteError) as error:
            self._tools.disk_trouble(error)

    async def _settle(self, clips: asyncio.TaskGroup, doubt: Doubt, *, at_start: bool) -> bool:
        """Take the history's word, or the user's; False when the clip stays in doubt."""
        clip = doubt.clip
        events: list[Event] = events_for(doubt, self._tools.ledger.now(), self._tools.deadline_s)
        if not events and at_start and clip.state is State.LOST and links_of(clip):
            clips.create_task(self._tried_again(doubt))
            return False
        if not events and at_start and (released := self._released(doubt)):
            events = [released]
        if not events:
            log.warning("%s stays %s: %s", clip.wanted.name, clip.state, doubt.note or "nothing new")
            return False
        for event in events:
            failpoints.reach("doubt.before")
            clip = await self._tools.ledger.record(clip, event)
            failpoints.reach("doubt.after")
        log.info("%s is now %s (%s)", clip.wanted.name, clip.state, doubt.note)
        if clip.state is not State.PENDING or self._selection.submit:
            await start(clips, self._carry, clip.row)
        return True

    async def _tried_again(self, doubt: Doubt) -> None:
        """Try the links of a lost clip once more: only what still can't be fetched may be paid for again."""
        ledger, clip = self._tools.ledger, doubt.clip
        try:
            await ledger.record(clip, again(clip, ledger.now(), links_of(clip)))
            await self._carry(clip.row, lambda: None)
            clip = await ledger.read(clip.row)
            if clip.state is State.LOST and (released := self._released(doubt)):
                await ledger.record(clip, released)
                await self._carry(clip.row, lambda: None)
        except (LedgerError, LedgerWriteError) as error:
            self._tools.disk_trouble(error)

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
