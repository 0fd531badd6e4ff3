"""The run: the clips handed out, one coroutine for each that reads from top to bottom, and how the run ends.

One event loop, nested task groups, every task has an owner.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from batchgen.breaker import HISTORY, CircuitBreaker
from batchgen.clip import Clip, State
from batchgen.errors import AccountError, DiskFullError, LedgerError, LedgerWriteError
from batchgen.ledger import FencedError, SkippedError
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.admission import Admission
from batchgen.runner.alerts import ExpiryAlert, OutageAlert, warn_of_low_credits
from batchgen.runner.collect import Collector
from batchgen.runner.context import InFlightSlot, RunContext
from batchgen.runner.cross_check import CrossCheck, HistoryLookup
from batchgen.runner.doubts import DOUBTFUL, DoubtSettler
from batchgen.runner.fetch import Fetcher
from batchgen.runner.file_hosts import FileHosts
from batchgen.runner.submit import Submitter
from batchgen.runner.work import Work, WorkList, start
from batchgen.selection import Selection

log = logging.getLogger("batchgen.runner.dispatcher")

#: How often the run checks whether an outage, or refusals of every call, have lasted too long (seconds).
WATCH_S = 5.0
#: How often it asks what other processes queued for it (seconds).
WISHES_S = 5.0
Wishes: TypeAlias = Callable[[], Awaitable[list[int]]]


class Dispatcher:
    """Runs a batch once: what is paid for first, then what is wanted, until all is settled or the run has to stop.

    Args:
        context: the tools of the run.
        selection: what may be submitted.
        work: hands out the clips; None: the list of this process.
        check_credits: warn before the first submission if the account's credits will not last.
        wishes: gives the rows of clips that other processes queued since it was called last; None: nobody can.
    """

    def __init__(
        self,
        context: RunContext,
        selection: Selection,
        *,
        work: Work | None = None,
        check_credits: bool = True,
        wishes: Wishes | None = None,
    ) -> None:
        self._context = context
        self._selection = selection
        self._work = work or WorkList()
        self._check_credits = check_credits
        self._wishes = wishes if selection.submit else None
        hosts = FileHosts(context)
        self._admission = Admission(context, hosts)
        lookup = HistoryLookup(context, CircuitBreaker(HISTORY, context.dice))
        cross_check = CrossCheck(context, lookup)
        self._worker = ClipWorker(
            context,
            Submitter(context, self._admission, cross_check),
            Collector(context, lookup, cross_check),
            Fetcher(context, lookup, hosts),
        )
        self._doubts = DoubtSettler(context, selection, self._carry)
        self._expiry = ExpiryAlert(context)
        self._outages = OutageAlert(context, self._admission.service)
        self._carried: dict[int, asyncio.Event] = {}  # rows that are carried now; set at the end
        self._chosen: dict[int, None] = {}  # rows to submit, in order
        self._started: set[int] = set()  # rows that this run submits
        self._checking = asyncio.Lock()
        self._checked = False

    def __repr__(self) -> str:
        """Say how far it is, for logs and tests."""
        counts = self._context.ledger.live_totals.counts
        return "<Runner " + ", ".join(f"{n} {state}" for state, n in counts.items() if n) + ">"

    async def run(self) -> None:
        """Return when nothing more is to be done; `RunContext.shutdown` says why if it ended early.

        Any exception is a fault of batchgen.
        """
        try:
            async with asyncio.TaskGroup() as services:
                running = (self._run_all(), self._context.pacer.run(), self._context.poller.run())
                tasks = [services.create_task(each) for each in running]
                try:
                    await self._ended(tasks[0])
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            await self._context.ledger.settle()  # whatever happened: answers that came are written down

    # --- the ending -----------------------------------------------------------------------------------------

    async def _ended(self, work: asyncio.Task[None]) -> None:
        """Wait for the work, or for the end of the grace after the shutdown was pulled."""
        shutdown = self._context.shutdown
        while not work.done():
            if shutdown.requested:
                self._context.pacer.close_submissions()
                self._context.news.notify()
            left = shutdown.left_s()
            if shutdown.now or (left is not None and left <= 0 and not self._context.posts_out):
                return
            requested = shutdown.next_request()
            # With the grace over, only the answers of POSTs on the way are waited for.
            watch = min(WATCH_S, self._context.give_up_s)
            timeout = max(0.05, watch if left is None else min(left, watch))
            await asyncio.wait({work, requested}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            self._outages.check()
            self._expiry.check()
            self._admission.window.check()

    # --- the clips ------------------------------------------------------------------------------------------

    async def _run_all(self) -> None:
        """Do the work, and what is queued next to it meanwhile; clips in doubt are looked up before and after."""
        async with asyncio.TaskGroup() as clips:
            doing = {clips.create_task(self._run_offered())}
            clips.create_task(self._settle_doubts(clips, at_start=True))
            while doing:
                _, doing = await asyncio.wait(doing, timeout=None if self._wishes is None else WISHES_S)
                doing |= {clips.create_task(self._carry(row, lambda: None)) for row in await self._wished()}
        async with asyncio.TaskGroup() as clips:
            await self._settle_doubts(clips, at_start=False)

    async def _wished(self) -> list[int]:
        """Give the queued clips that this run's options take in; the others stay pending for the next run."""
        if self._wishes is None:
            return []
        try:
            asked = set(await self._wishes())
            wanted = asked and not self._context.shutdown.requested
            pending = await self._context.ledger.to_submit() if wanted else []
            return [row for row, *names in pending if row in asked and self._selection.takes(row, *names)]
        except (LedgerError, LedgerWriteError) as error:
            self._context.disk_trouble(error)
            return []

    async def _run_offered(self) -> None:
        """Carry what is paid for, the oldest first, then what is wanted, in the order of submission."""
        ledger, selection = self._context.ledger, self._selection
        try:
            await self._work.offer(await ledger.to_collect())
            if selection.submit:
                pending = [row for row, *names in await ledger.to_submit() if self._selection.takes(row, *names)]
                self._chosen = dict.fromkeys(pending[: selection.limit])
                await self._work.offer(self._chosen)
        except LedgerError as error:
            self._context.disk_trouble(error)
            return
        await self._work.run(self._carry)
        while (aside := list(self._context.aside)) and not self._context.shutdown.requested:
            self._context.aside.clear()
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
            clip = await self._context.ledger.claim(row)
            slot = None if clip is None else await self._slot(clip)
            started()
            if clip is not None and slot is not None:
                await self._worker.run(clip, slot)
        except (LedgerError, LedgerWriteError) as error:  # answers that are on their way are waited for
            self._context.disk_trouble(error)
        finally:
            started()
            self._carried.pop(row).set()

    async def _slot(self, clip: Clip) -> InFlightSlot | None:
        """Give the clip its slot in flight; None: nothing more may be submitted.

        The first one that is to be submitted has prices and credits checked.
        """
        places = self._context.places
        if clip.state is State.PENDING:
            async with self._checking:
                if not self._checked:
                    self._checked = True
                    refused = await self._admission.refuses(self._chosen)
                    if self._chosen and self._check_credits and not refused:
                        await warn_of_low_credits(self._context)
            within = clip.row in self._started or len(self._started) != self._selection.limit
            if self._context.shutdown.requested or not within:
                if clip.row in self._chosen:  # all that is paid for was handed out before it
                    self._work.stop()
                return None
            self._started.add(clip.row)
            await places.acquire()
        elif clip.state is State.GENERATING:
            places.acquire_at_once()
        return InFlightSlot(places, held=clip.state is not State.DOWNLOADING)

    async def _settle_doubts(self, clips: asyncio.TaskGroup, *, at_start: bool) -> None:
        """Look for what is in doubt in the history, and carry on with what is found."""
        self._context.settling = True
        to_submit: list[int] = []
        try:
            doubtful = [clip for clip in await self._context.ledger.open_clips(*DOUBTFUL) if clip.in_doubt]
            if doubtful and self._context.shutdown.left_s() is None:
                to_submit = await self._doubts.settle(clips, doubtful, at_start=at_start)
        except (LedgerError, LedgerWriteError) as error:
            self._context.disk_trouble(error)
        finally:
            self._context.settling = False
            self._context.news.notify()
        for row in to_submit:
            await start(clips, self._carry, row)


@dataclass(frozen=True, slots=True)
class ClipWorker:
    """Sees clips through their life, one task each: submit → collect → download."""

    _context: RunContext
    _submitter: Submitter
    _collector: Collector
    _fetcher: Fetcher

    async def run(self, clip: Clip, slot: InFlightSlot) -> None:
        """See one clip through, from whatever state it is in."""
        try:
            while not clip.state.settled:
                if clip.state is State.PENDING:
                    if clip.unwanted or clip.row in self._context.aside:
                        return
                    clip = await self._submitter.submit(clip)
                elif clip.state is State.GENERATING:
                    self._context.in_flight[clip.row] = clip.wanted.price_class
                    clip = await self._collector.collect(clip, slot)
                else:
                    self._context.not_in_flight(clip)
                    slot.release()  # so that slow downloads don't hold up submission
                    clip = await self._fetcher.download(clip)
        except SubmissionStoppedError:
            return  # it stays pending for the next run
        except SkippedError as error:
            log.info("%s", error)
        except FencedError as error:
            log.warning("%s", error)  # another worker has it
        except AccountError as error:
            self._context.account_trouble(error)
        except (LedgerError, LedgerWriteError, DiskFullError) as error:
            self._context.disk_trouble(error)
        finally:
            self._context.not_in_flight(clip)
            slot.release()
