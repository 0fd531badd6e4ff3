"""One run of a batch, joined from its parts: ledger, provider (or sandbox), limits, downloader, runner.

The command line and the Python API both go through `Session`; neither joins parts by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batchgen import failpoints
from batchgen.billing.prices import DRIFTS, MEMORY, ChargeHistory, PriceBook
from batchgen.clip import State, Wanted
from batchgen.download import Downloader
from batchgen.errors import Exit, LedgerWriteError, UsageError
from batchgen.files import durable
from batchgen.files.verify import check_files
from batchgen.history import other_batches
from batchgen.history.reconcile import Doubt, Reconciler
from batchgen.history.report import LOOKS
from batchgen.ledger import SANDBOX_ORIGIN, Home, Observer, SqliteLedger, replacing
from batchgen.ledger.recovery.rebuild import BLIND
from batchgen.manifest import Manifest
from batchgen.money import decimal_usd, price_class_of
from batchgen.planning import Plan
from batchgen.planning.inputs import PLAN, RUN_TIMES, kinds, latency_of, plan_of, snapshot, whole_estimate
from batchgen.polling.poller import Poller
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Provider
from batchgen.providers.paced import PacedProvider
from batchgen.providers.segmind.client import Segmind
from batchgen.providers.segmind.http import address, is_loopback
from batchgen.ratelimit.adaptive_rate import polls_per_s
from batchgen.ratelimit.setup import PaceSetup
from batchgen.redact import Secret, account_of
from batchgen.runner.companion import alongside
from batchgen.runner.context import RunContext
from batchgen.runner.credits import ASK_S, balance
from batchgen.runner.dispatcher import Dispatcher
from batchgen.runner.in_doubt import events_for
from batchgen.runner.recovery_check import POSSIBLE, RecoveryCheck
from batchgen.runner.shutdown import Shutdown
from batchgen.sandbox.faults import Faults
from batchgen.selection import Selection
from batchgen.settings import Settings

log = logging.getLogger("batchgen.runner.session")

CLIPS = "clips"
SANDBOX_KEY = "sandbox"

Beside = Callable[["Session"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    exit_code: Exit
    stopped: str | None  #: why it ended early; None when it did not
    elapsed_s: float


class Session:
    """A batch, held by this process until `close`. Open it before `run`.

    Args:
        manifest: read and expanded.
        folder: the batch folder.
        settings: merged.
        key: of the API; None only with the sandbox.
        observers: told of every event once it is on disk.

    Raises:
        LockedError, LedgerError, LedgerWriteError: as `Ledger` does.
        UsageError: no key, or an address that can't be used.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        settings: Settings,
        key: Secret | None,
        observers: Iterable[Observer] = (),
    ) -> None:
        if key is None and not settings.sandbox:
            message = "no API key: set SEGMIND_API_KEY (or write it to .env next to the manifest); --sandbox needs none"
            raise UsageError(message)
        self.manifest = manifest
        self.folder = folder
        self.settings = settings
        self.shutdown = Shutdown()
        self.started_at = time.monotonic()
        self.tools: RunContext | None = None
        self.pace, self._sharing = PaceSetup(settings), False
        self._credits_told = False
        self._key = key or Secret(SANDBOX_KEY)
        self._faults = Faults.parse(settings.sandbox_faults) if settings.sandbox else None
        provider = None if settings.sandbox else self._segmind(settings.base_url)
        failpoints.permit(loopback=provider is None or is_loopback(address(provider.origin, "the API")))
        self.ledger = SqliteLedger(folder)
        try:
            self.ledger.bind(self._home(provider), moved=settings.moved)
            self.ledger.sync(manifest.wanted)
            self._remember()
            _make(folder / CLIPS)
        except BaseException:
            self.ledger.close()
            raise
        self.ledger.set_limits(settings.caps)
        self.tariff = PriceBook(manifest.prices, ChargeHistory.of(self.ledger.charges(MEMORY)))
        self.ledger.observers += [self.tariff.learn, *observers]
        self._kinds = kinds(manifest)
        self.estimate = whole_estimate(self._kinds, manifest.prices)
        self._remember_drifts()
        self._times: dict[str, RunTimes] = {}
        self._learned = self.ledger.run_times(RUN_TIMES)

    def __repr__(self) -> str:
        """Say what it holds, for logs."""
        return f"<Session {self.manifest.name} in {self.folder}>"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the session was opened."""
        return time.monotonic() - self.started_at

    def plan(self) -> Plan:
        """Hold the manifest against the ledger."""
        return plan_of(self.manifest, self.settings, snapshot(self.ledger), folder=self.folder, start=self.pace.start)

    async def run(self, beside: Beside | None = None) -> Outcome:
        """Run until all is settled or the shutdown is pulled. `beside` runs alongside, and is cancelled at the end.

        Any exception but ours is a fault of batchgen; what was on disk stays there, and a run resumes it.
        """
        self.ledger.recover()
        self._begin()
        async with AsyncExitStack() as stack:
            provider = await self._connect(stack)
            loopback = is_loopback(address(provider.origin, "the API"))
            downloads = await stack.enter_async_context(Downloader(slots=self.settings.downloads, loopback=loopback))
            runner = await self._runner(provider, downloads)
            if beside is None:
                await runner.run()
            else:
                await alongside(runner.run(), partial(beside, self))
        self._remember_drifts()
        return Outcome(self._exit_code(), self._stopped(), self.elapsed_s)

    async def reconcile(self) -> list[tuple[Doubt, State]]:
        """Hold clips in doubt against the history; gives what was found, and the state that each has now."""
        self.ledger.recover()
        doubtful = list(self.ledger.clips(State.UNCONFIRMED, State.LOST))
        if not doubtful:
            return []
        async with AsyncExitStack() as stack:
            provider = await self._connect(stack)
            self.share_pace(submits=False)
            pacer = self.pace.pacer()
            reconciler = self._reconciler(PacedProvider(provider, pacer))
            looked: list[Doubt] = []

            async def snapshot() -> None:
                looked.extend([doubt async for doubt in reconciler.look(doubtful, self.ledger.now())])

            await alongside(snapshot(), pacer.run)
            settled = []
            for doubt in looked:
                clip = doubt.clip
                for event in events_for(doubt, self.ledger.now(), self.settings.deadline):
                    failpoints.reach("doubt.before")
                    clip = await self.ledger.record(clip, event)
                settled.append((doubt, clip.state))
            still = (doubt for doubt, state in settled if state is doubt.clip.state)
            left = {doubt.clip.row: doubt.look.text() for doubt in still if doubt.look}
            await self.ledger.set_facts(replacing(LOOKS, self.ledger.facts(LOOKS), left))
            await self.ledger.settle()
        return settled

    async def verify(self, *, deep: bool = False) -> tuple[int, dict[str, str], dict[str, State]]:
        """Check the files of done clips and fetch again what is missing.

        Returns:
            How many were checked, the faults by clip name, and the state that each of these clips has now.
        """
        checked, faults = await check_files(self.ledger, self.folder / CLIPS, deep=deep)
        if faults:
            await self.run()
        return checked, faults, {clip.wanted.name: clip.state for clip in self.ledger.clips()} if faults else {}

    async def credits(self) -> int | None:
        """Ask for the account's credits, in micro-dollars; None: the service did not say. `run` asks no more then."""
        self._credits_told = True
        self.pace.called()
        with suppress(TimeoutError):
            async with AsyncExitStack() as stack, asyncio.timeout(ASK_S):
                return await balance(await self._connect(stack))
        return None

    def close(self) -> None:
        """Let go of the batch."""
        self.pace.close()
        self.ledger.close()

    def share_pace(self, *, submits: bool = True) -> None:
        """Count the calls of other runs with this key on this machine, and be counted by them.

        Raises:
            UsageError: another one is at work, this one `submits`, and no `--rpm` says how much of the rate is its own.
        """
        if self.settings.sandbox or self._sharing:
            return
        self._sharing = True
        origin, account = self.ledger.meta("origin") or "", account_of(self._key)
        self.pace = PaceSetup.shared(self.settings, origin, account, f"process {os.getpid()}, batch {self.folder}")
        if not self.pace.others or self.settings.rpm_given:
            return
        if submits:
            message = f"another run uses this API key on this machine: {'; '.join(self.pace.others)}. Wait for it, or"
            raise UsageError(f"{message} share the account's rate: say --rpm N here, and mind that the two add up")
        self.pace.step_back()

    # --- joining --------------------------------------------------------------------------------------------

    async def _connect(self, stack: AsyncExitStack) -> Provider:
        base_url = self.settings.base_url
        if self.settings.sandbox:
            from batchgen.sandbox.server import Sandbox  # a server of its own is no part of a paid run

            sandbox = Sandbox(
                self.folder / "service",
                latency_s=self.settings.sandbox_latency,
                faults=self._faults,
                credits=decimal_usd(self.settings.sandbox_credits),
            )
            base_url = await stack.enter_async_context(sandbox)
            log.info("the sandbox answers at %s; nothing is paid for", base_url)
        return await stack.enter_async_context(self._segmind(base_url))

    def _segmind(self, base_url: str) -> Segmind:
        history_url, upload_url = self.settings.history_url, self.settings.upload_url
        if self.settings.sandbox:
            history_url = upload_url = None
        return Segmind(self._key, base_url=base_url, history_url=history_url, upload_url=upload_url)

    def _home(self, provider: Segmind | None) -> Home:
        manifest = os.path.relpath(self.manifest.path, self.folder)
        return Home(manifest, provider.origin if provider else SANDBOX_ORIGIN, account_of(self._key))

    async def _runner(self, provider: Provider, downloads: Downloader) -> Dispatcher:
        settings, ledger = self.settings, self.ledger
        self.share_pace(submits=not settings.collect_only)
        pacer = self.pace.pacer()
        paced = PacedProvider(provider, pacer)
        price_classes = [price_class_of(model, params) for model, params, _ in self._kinds]
        places = self.pace.places(
            max((self._run_times(price_class).typical for price_class in price_classes), default=0.0)
        )
        self.tools = RunContext(
            ledger=ledger,
            provider=paced,
            pacer=pacer,
            poller=Poller(provider, pacer, deadline_s=settings.deadline, wall_clock=ledger.now, probes=places),
            places=places,
            downloads=downloads,
            shutdown=self.shutdown,
            clips_dir=self.folder / CLIPS,
            price=self._worst_price,
            estimate=self.tariff.estimate,
            run_times=self._run_times,
            submit_concurrency=settings.submit_concurrency,
            give_up_s=settings.give_up,
            deadline_s=settings.deadline,
            started_at=ledger.now(),
            blind=await self._blind(paced),
        )
        selection = Selection(
            limit=settings.limit,
            only=settings.only,
            planned=self._planned(),
            submit=not settings.collect_only,
            resubmit_unconfirmed=settings.resubmit_unconfirmed,
            resubmit_lost=settings.resubmit_lost,
        )
        return Dispatcher(self.tools, self._reconciler(paced), selection, check_credits=not self._credits_told)

    async def _blind(self, provider: Provider) -> RecoveryCheck | None:
        if not (self.ledger.meta(BLIND) or self.ledger.meta(POSSIBLE)):
            return None
        settle_s = self.settings.history_settle
        blind = RecoveryCheck(self.ledger, provider, settle_s=settle_s, elsewhere=self._elsewhere)
        if self.settings.trust_recovery:
            await blind.trust()
        return blind

    def _reconciler(self, provider: Provider) -> Reconciler:
        return Reconciler(
            provider,
            settle_s=self.settings.history_settle,
            taken=self.ledger.known_ids,
            elsewhere=self._elsewhere,
            expected=self.ledger.expected_ids,
        )

    def _elsewhere(self) -> set[str]:
        return other_batches.request_ids(self.folder, {self.folder.parent, self.manifest.path.parent})

    def _planned(self) -> frozenset[int] | None:
        """Give the rows of the clips that a saved plan lets this run submit; None: there is no such plan."""
        if self.settings.planned is None:
            return None
        rows = self.ledger.rows()
        return frozenset(rows[key] for key in self.settings.planned & rows.keys())

    def _begin(self) -> None:
        """Remember which saved plan the run is held to: progress on it is its own, what another run does is not."""
        if not self.settings.collect_only and (self.ledger.meta(PLAN) or "") != self.settings.plan_sha256:
            self.ledger.remember(PLAN, self.settings.plan_sha256)

    def _remember_drifts(self) -> None:
        """Keep for `status`, which reads no manifest, which charges are not what was told."""
        quotes = self.tariff.drifts((model, params) for model, params, _ in self._kinds).items()
        note = json.dumps(
            [[price_class, quote.each, quote.listed, quote.listed_by, quote.charges] for price_class, quote in quotes]
        )
        if note != (self.ledger.meta(DRIFTS) or "[]"):
            with suppress(LedgerWriteError):  # no more than a note
                self.ledger.remember(DRIFTS, note)

    def _remember(self) -> None:
        self.ledger.remember("name", self.manifest.name)
        self.ledger.remember("manifest_sha256", self.manifest.sha256)
        caps = self.settings.caps
        for name, cap in (("cap", caps.usd), ("cap_by_day", caps.usd_per_day), ("cap_clips", caps.clips)):
            self.ledger.remember(name, "" if cap is None else str(cap))
        polls = polls_per_s(self.settings.rpm, count_polls=self.settings.count_polls)
        self.ledger.remember("looks_per_s", repr(polls))
        self.ledger.remember("rpm", repr(self.settings.rpm))
        self.ledger.remember("files", json.dumps(self.manifest.files, sort_keys=True))

    # --- what is believed -----------------------------------------------------------------------------------

    def _worst_price(self, wanted: Wanted) -> int | None:
        told, table = self.tariff.listed(wanted.model, wanted.values)
        return self.ledger.money.worst(wanted.price_class, table, told)

    def _run_times(self, price_class: str) -> RunTimes:
        if price_class not in self._times:
            times = self._times[price_class] = RunTimes(latency_of(price_class.split(" ", 1)[0], self.settings))
            for seconds in self._learned.get(price_class, ()):
                times.learn(seconds)
        return self._times[price_class]

    # --- the end --------------------------------------------------------------------------------------------

    def _stopped(self) -> str | None:
        if self.shutdown.exit is not None:
            return self.shutdown.why
        if self._left():
            word = "only" if self.settings.only else "plan" if self.settings.planned is not None else ""
            counted = "1 clip was" if self._left() == 1 else f"{self._left():,} clips were"
            return f"{word}: {counted} left out, as asked" if word else "not all was collected"
        return None

    def _left(self) -> int:
        counts = self.ledger.live_totals.counts
        return sum(counts[state] for state in State if not state.settled)

    def _exit_code(self) -> Exit:
        counts = self.ledger.live_totals.counts
        if self.shutdown.exit in (Exit.INTERRUPTED, Exit.TERMINATED):
            return self.shutdown.exit
        if self.shutdown.exit is not None or self._left():
            return Exit.STOPPED
        if counts[State.UNCONFIRMED] or counts[State.LOST]:
            return Exit.NEEDS_DECISION
        return Exit.SOME_FAILED if counts[State.FAILED] or counts[State.BLOCKED] else Exit.OK


def _make(folder: Path) -> None:
    try:
        durable.make(folder)
    except OSError as error:
        raise LedgerWriteError(f"{folder}: can't be made ({error.strerror})") from error
