"""One batch, held open by this process, and what can be done with it: plan, run, reconcile, verify.

The command line and the Python API both go through `Session`. `opening` locks the batch and makes the way to its
service, and `assembly` joins the parts of a run.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from batchgen.billing.prices import MEMORY, PriceBook
from batchgen.clip import State, submission_order
from batchgen.download import Downloader
from batchgen.errors import BatchgenError, Exit, LedgerWriteError, UsageError
from batchgen.files import durable
from batchgen.files.renames import put_in_place
from batchgen.files.verify import check_files
from batchgen.history import other_batches
from batchgen.history.reconcile import Doubt
from batchgen.ledger import integrity
from batchgen.ledger.base import LAST_RUN, LastRun
from batchgen.ledger.sqlite import SqliteLedger
from batchgen.manifest import Manifest
from batchgen.money import price_class_of
from batchgen.planning import Plan
from batchgen.planning.inputs import PLAN, RUN_TIMES, kinds, plan_of, snapshot, whole_estimate
from batchgen.providers.base import Provider
from batchgen.providers.paced import PacedProvider
from batchgen.ratelimit.setup import PaceSetup
from batchgen.redact import Secret
from batchgen.runner.alerts import ASK_S, balance
from batchgen.runner.assembly import CLIPS, Forecast, assemble, reconciler_of
from batchgen.runner.context import RunContext, Shutdown
from batchgen.runner.doubts import DOUBTFUL, settle_by_history
from batchgen.runner.fetch import Once
from batchgen.runner.opening import Access, open_ledger, remember_drifts
from batchgen.runner.steering import Steering
from batchgen.selection import Selection
from batchgen.settings import Settings

log = logging.getLogger(__name__)
_T = TypeVar("_T")
Companion = Callable[["Session"], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    exit_code: Exit
    stopped: str | None  #: why it ended early; None when it did not
    elapsed_s: float
    by_account: bool = False  #: the account is dead: no other batch of it could go on either


class Session:
    """A batch, held by this process from `Session.open` until `close`.

    Attributes:
        manifest: read and expanded.
        folder: the batch folder.
        settings: merged.
        ledger: open; append to its `observers` to hear of every event once it is on disk.
        pace: the set-up of the rate limit; `share_pace` makes it that of the account.
        shutdown: pulled to stop a run.
        tools: the parts of the run, once `run` has joined them.
        estimate: what all clips are likely to cost, in micro-dollars; None when one of them has no known price.
    """

    def __init__(
        self, manifest: Manifest, folder: Path, settings: Settings, access: Access, ledger: SqliteLedger
    ) -> None:
        self.manifest = manifest
        self.folder = folder
        self.settings = settings
        self.ledger = ledger
        self.pace = PaceSetup(settings)
        self.shutdown = Shutdown()
        self.tools: RunContext | None = None
        self._access = access
        prices = PriceBook(manifest.prices, ledger.charges(MEMORY))
        self._forecast = Forecast(ledger.money, settings, prices, ledger.run_times(RUN_TIMES))
        counted = kinds(manifest)
        self.estimate = whole_estimate(counted, manifest.prices)
        self._kinds = [(model, params) for model, params, _ in counted]  #: one clip of each kind
        self._selection = self._selected()
        self._started_at = time.monotonic()
        self._sharing = False
        self._last_intent = ledger.last_intent()
        self._traces = not self._last_intent and integrity.traces(ledger.folder)
        self._credits_known = False
        grace_s = math.inf if settings.drain else settings.grace
        self._steering = Steering(
            ledger, self.shutdown, grace_s=grace_s, said=settings.said, set_pace=self._set_pace, set_cap=self._set_cap
        )

    @classmethod
    def open(cls, manifest: Manifest, folder: Path, settings: Settings, key: Secret | None) -> Session:
        """Lock a batch and bring its ledger up to date with the manifest; `key` may be None only with the sandbox.

        Raises:
            LockedError, LedgerError, LedgerWriteError: as `open_ledger` does.
            UsageError: no key, or an address that cannot be used.
        """
        access = Access(settings, key, folder)
        ledger = open_ledger(manifest, folder, settings, access)
        try:
            session = cls(manifest, folder, settings, access, ledger)
            ledger.observers.append(session._forecast.prices.learn)
            remember_drifts(ledger, session._forecast.prices, session._kinds)
        except BaseException:
            ledger.close()
            raise
        return session

    def __repr__(self) -> str:
        """Say what it holds, for logs."""
        return f"<Session {self.manifest.name} in {self.folder}>"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the session was opened."""
        return time.monotonic() - self._started_at

    def close(self) -> None:
        """Let go of the batch."""
        self.pace.close()
        self.ledger.close()

    # --- what can be done with it -----------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Compare the manifest with the ledger."""
        return plan_of(self.manifest, self.settings, snapshot(self.ledger), folder=self.folder, start=self.pace.start)

    async def run(self, companion: Companion | None = None) -> Outcome:
        """Run until every clip has ended or the shutdown is pulled; `companion` runs as long, and is then cancelled.

        Any exception but ours is a fault of batchgen; what was on disk stays there, and another run resumes it.
        """
        self.ledger.recover()
        put_in_place(self.ledger, self.folder / CLIPS)
        if not self.settings.collect_only and (self.ledger.meta(PLAN) or "") != self.settings.plan_sha256:
            self.ledger.remember(PLAN, self.settings.plan_sha256)  # its progress is its own, what others do is not
        record = None if self.settings.collect_only else LastRun(self.ledger.now())
        self._remember_run(record)
        try:
            await self._run(companion)
        except BaseException as error:
            with suppress(LedgerWriteError):  # the disk may be what ended the run
                self._remember_run(record and ended_by(error, record, self.ledger.now()))
            raise
        remember_drifts(self.ledger, self._forecast.prices, self._kinds)
        outcome = self._outcome()
        self._remember_run(record and self._ended(record, outcome))
        return outcome

    async def _run(self, companion: Companion | None) -> None:
        slots, loopback = self.settings.downloads, self._access.loopback
        async with (
            self._access.connected() as provider,
            Downloader(slots=slots, loopback=loopback, proxy=self._access.proxy) as downloads,
        ):
            self.share_pace(submits=not self.settings.collect_only)
            # From then on the account's history may know of requests of this batch that its ledger does not.
            since = max(self._last_intent, self.ledger.now() - provider.capabilities.file_s)
            assembly = await assemble(
                self.ledger,
                provider,
                downloads,
                self.settings,
                clips_dir=self.folder / CLIPS,
                selection=self._selection,
                forecast=self._forecast,
                price_classes=[price_class_of(model, params) for model, params in self._kinds],
                pace=self.pace,
                shutdown=self.shutdown,
                elsewhere=self._other_request_ids,
                check_credits=not self._credits_known,
                wishes=None if self.settings.collect_only else self._steering.wished,
                since=None if self.settings.sandbox or self.settings.trust_recovery else since,
                traces=self._traces,
            )
            self.tools = assembly.context
            await self._steering.begin(assembly.context, steered=not self.settings.collect_only)
            await alongside(assembly.dispatcher.run(), companion and partial(companion, self))

    async def reconcile(self) -> list[tuple[Doubt, State]]:
        """Compare clips in doubt with the account's history; gives what was found, and the state that each has now."""
        self.ledger.recover()
        doubtful = [clip for clip in self.ledger.clips(*DOUBTFUL) if clip.in_doubt]
        if not doubtful:
            return []
        async with self._access.connected() as provider:
            self.share_pace(submits=False)
            pacer = self.pace.pacer()
            paced = PacedProvider(provider, pacer)
            reconciler = reconciler_of(self.ledger, paced, self.settings, self._other_request_ids)
            found: list[Doubt] = []

            async def check() -> None:
                found.extend([doubt async for doubt in reconciler.check(doubtful, self.ledger.now())])

            async def settle() -> list[tuple[Doubt, State]]:
                await check()
                settled = await settle_by_history(self.ledger, found, self.settings.deadline)
                return await self._fetched_once(settled, paced)

            return await alongside(settle(), pacer.run)

    async def _fetched_once(self, settled: list[tuple[Doubt, State]], provider: Provider) -> list[tuple[Doubt, State]]:
        """Try the known links of clips that stay lost, once each."""
        if all(state is not State.LOST for _, state in settled):
            return settled
        folder = self.folder / CLIPS
        await asyncio.to_thread(durable.make, folder)
        async with Downloader(slots=self.settings.downloads, loopback=self._access.loopback, tries=1) as downloads:
            once = Once(self.ledger, provider, downloads, folder)
            return [(doubt, await once.fetch(doubt.clip) if state is State.LOST else state) for doubt, state in settled]

    async def verify(self, *, deep: bool = False) -> tuple[int, dict[str, str], dict[str, State]]:
        """Check the files of done clips and fetch again what is missing.

        Returns:
            How many were checked, the faults by clip name, and the state that each of these clips has now.
        """
        put_in_place(self.ledger, self.folder / CLIPS)
        checked, faults = await check_files(self.ledger, self.folder / CLIPS, deep=deep)
        if faults:
            await self.run()
        return checked, faults, {clip.wanted.name: clip.state for clip in self.ledger.clips()} if faults else {}

    async def credits(self) -> int | None:
        """Ask for the account's credits, in micro-dollars; None: no answer. `run` does not ask again then."""
        self._credits_known = True
        self.pace.called()
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_S), self._access.connected() as provider:
                return await balance(provider)
        return None

    def share_pace(self, *, submits: bool = True) -> None:
        """Count the calls of other runs with this key on this machine, and be counted by them.

        Raises:
            UsageError: another one is at work, this one `submits`, and no `--rpm` says how much of the rate is its own.
        """
        if self.settings.sandbox or self._sharing:
            return
        self._sharing = True
        who = f"process {os.getpid()}, batch {self.folder}"
        self.pace = PaceSetup.shared(self.settings, self._access.origin, self._access.account, who)
        if not self.pace.others or self.settings.rpm_given:
            return
        if submits:
            raise UsageError(
                f"another run uses this API key on this machine: {'; '.join(self.pace.others)}",
                tip="wait for it, or pass --rpm N, so that both rates together stay within the account's limit",
            )
        self.pace.step_back()

    # --- inside -----------------------------------------------------------------------------------------------

    def _set_pace(self, rpm: float | None, in_flight: int | None) -> None:
        self.pace.retune(rpm=rpm, in_flight=in_flight)

    def _set_cap(self, micro: int) -> None:
        """Change the cap for the rest of the run; it is checked in the very write that reserves."""
        self.settings = replace(self.settings, max_usd=micro)
        self.ledger.set_limits(self.settings.caps)

    def _selected(self) -> Selection:
        settings, planned = self.settings, None
        if settings.planned is not None:
            rows = self.ledger.rows()
            planned = frozenset(rows[key] for key in settings.planned & rows.keys())
        return Selection(
            limit=settings.limit,
            only=settings.only,
            planned=planned,
            resubmit_unconfirmed=settings.resubmit_unconfirmed,
            resubmit_lost=settings.resubmit_lost,
            submit=not settings.collect_only,
        )

    def _other_request_ids(self) -> set[str]:
        return other_batches.request_ids(self.folder, {self.folder.parent, self.manifest.path.parent})

    def _remember_run(self, run: LastRun | None) -> None:
        if run is not None:
            self.ledger.remember(LAST_RUN, json.dumps(asdict(run)))

    def _ended(self, run: LastRun, outcome: Outcome) -> LastRun:
        pending = self.ledger.live_totals.counts[State.PENDING] - len(self.ledger.skipped())
        left_out = 0 if self.shutdown.requested else pending
        return replace(
            run,
            ended=self.ledger.now(),
            exit_code=int(outcome.exit_code),
            reason=outcome.stopped,
            needs_edit=self.shutdown.needs_edit,
            left_out=left_out,
        )

    def _outcome(self) -> Outcome:
        """Say how the run ended; what its options left out was not for it to bring to an end."""
        settings, counts = self.settings, self._asked()
        apart = {State.PENDING} if settings.limit is not None or settings.collect_only else set()
        if self.shutdown.exit is not None:
            return Outcome(self.shutdown.exit, self.shutdown.why, self.elapsed_s, self.shutdown.by_account)
        if any(counts[state] for state in State if not state.settled and state not in apart):
            return Outcome(Exit.STOPPED, self._not_collected(), self.elapsed_s)
        code = Exit.SOME_FAILED if counts[State.FAILED] or counts[State.BLOCKED] else Exit.OK
        if counts[State.UNCONFIRMED] or counts[State.LOST]:
            code = Exit.NEEDS_DECISION
        return Outcome(code, None, self.elapsed_s)

    def _not_collected(self) -> str:
        files = list(self.tools.left.values()) if self.tools else []
        if not files:
            return "not every clip was collected"
        counted = "1 file" if len(files) == 1 else f"{len(files):,} files"
        return f"{counted} could not be downloaded yet ({files[0]}): run again to try again, which is free"

    def pending_keys(self) -> frozenset[str] | None:
        """Give the pending clips that this run's options take in, by key; None: it has no such options, so all."""
        settings = self.settings
        if settings.collect_only:
            return frozenset()
        if settings.only is None and settings.planned is None and settings.limit is None:
            return None
        skipped = self.ledger.skipped()
        pending = [clip for clip in self.ledger.clips(State.PENDING, wanted=True) if clip.key not in skipped]
        pending.sort(key=lambda clip: submission_order(clip.wanted, clip.row))
        takes = self._selection.takes
        keys = [clip.key for clip in pending if takes(clip.row, clip.wanted.prompt_id, clip.wanted.name)]
        return frozenset(keys[: settings.limit])

    def _asked(self) -> Mapping[State, int]:
        """Count the clips that the run was asked for by state: all wanted ones, or those of --only and --plan.

        What is not to be made since another take was picked is not of them.
        """
        skipped = self.ledger.skipped()
        if self.settings.only is None and self.settings.planned is None:
            counts = self.ledger.live_totals.counts
            return {**counts, State.PENDING: counts[State.PENDING] - len(skipped)}
        return Counter(
            clip.state
            for clip in self.ledger.clips(wanted=True)
            if clip.key not in skipped and self._selection.takes(clip.row, clip.wanted.prompt_id, clip.wanted.name)
        )


def ended_by(error: BaseException, run: LastRun, now: float) -> LastRun:
    """Give the record of a run that an error ended."""
    if isinstance(error, BatchgenError):
        return replace(run, ended=now, exit_code=int(error.exit_code), reason=str(error))
    if isinstance(error, Exception):
        return replace(run, ended=now, exit_code=int(Exit.BUG), reason="a fault of batchgen")
    return replace(run, ended=now, exit_code=int(Exit.INTERRUPTED), reason="interrupted")


async def alongside(work: Awaitable[_T], companion: Callable[[], Coroutine[Any, Any, None]] | None) -> _T:
    """Do the work, and run a companion, if there is one, for as long as the work takes."""
    if companion is None:
        return await work
    async with asyncio.TaskGroup() as group:
        task = group.create_task(companion())
        try:
            return await work
        finally:
            task.cancel()
