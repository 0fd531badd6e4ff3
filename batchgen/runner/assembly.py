"""A run, joined from its parts, once: the command, the Python API, the tests and the simulated nights use it.

The parts with I/O are passed in: an open ledger (its clock is the run's), a provider and the downloads. All else is
made here from the settings, and nothing runs until `Assembly.dispatcher` does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.billing.budget import Budget
from batchgen.billing.prices import PriceBook
from batchgen.clip import Wanted
from batchgen.history.reconcile import Reconciler
from batchgen.ledger import Ledger
from batchgen.ledger.recovery.rebuild import BLIND
from batchgen.planning.inputs import latency_of
from batchgen.polling.poller import Poller
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Provider
from batchgen.providers.models import Prices
from batchgen.providers.paced import PacedProvider
from batchgen.ratelimit.concurrency import ConcurrencyLimit
from batchgen.ratelimit.setup import PaceSetup
from batchgen.runner.context import Downloads, RunContext, Shutdown, boot_clock
from batchgen.runner.dispatcher import Dispatcher, Wishes
from batchgen.runner.recovery_check import POSSIBLE, RecoveryCheck
from batchgen.selection import Selection
from batchgen.settings import Settings

#: The folder of the finished files, in the batch folder.
CLIPS = "clips"
RequestIds = Callable[[], set[str]]


@dataclass
class Forecast:
    """What a run expects of its clips: prices and run times, by price class."""

    _money: Budget  #: of the ledger; it knows the highest charges so far
    _settings: Settings  #: of the run; they say what to expect of a model before anything was learned
    #: The book of prices; it follows the charges once its `learn` is among the ledger's observers.
    prices: PriceBook = field(default_factory=lambda: PriceBook(Prices()))
    #: The latest run times of the ledger, by price class, in seconds.
    _learned: Mapping[str, Sequence[float]] = field(default_factory=dict)
    _times: dict[str, RunTimes] = field(default_factory=dict, init=False)

    def price(self, wanted: Wanted) -> int | None:
        """Give the worst price of a clip, the one to reserve, in micro-dollars; None: unknown."""
        manifest, table = self.prices.listed(wanted.model, wanted.values)
        return self._money.worst(wanted.price_class, table, manifest)

    def estimate(self, wanted: Wanted) -> int | None:
        """Give the likely price of a clip, in micro-dollars; None: unknown."""
        return self.prices.estimate(wanted)

    def run_times(self, price_class: str) -> RunTimes:
        """Give the run times of a price class, as they were learned so far; always the same object."""
        if price_class not in self._times:
            times = self._times[price_class] = RunTimes(
                latency_of(price_class.split(" ", 1)[0], self._settings, self.prices.models)
            )
            for seconds in self._learned.get(price_class, ()):
                times.learn(seconds)
        return self._times[price_class]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A run, ready to go: `await dispatcher.run()` carries it to its end; `context.shutdown` says how it ended."""

    context: RunContext
    dispatcher: Dispatcher


async def assemble(
    ledger: Ledger,
    provider: Provider,
    downloads: Downloads,
    settings: Settings,
    *,
    clips_dir: Path,
    selection: Selection | None = None,
    forecast: Forecast | None = None,
    price_classes: Iterable[str] = (),
    pace: PaceSetup | None = None,
    places: ConcurrencyLimit | None = None,
    poller: type[Poller] = Poller,
    shutdown: Shutdown | None = None,
    elsewhere: RequestIds = set,
    check_credits: bool = True,
    wishes: Wishes | None = None,
    since: float | None = None,
    traces: bool = False,
    dice: Callable[[], float] = random.random,
    boot_clock: Callable[[], float] = boot_clock,
) -> Assembly:
    """Join a run.

    Args:
        ledger, provider, downloads: open, connected and ready to fetch; `clips_dir` is there for finished files.
        settings: merged; the caps are those that the ledger was given.
        selection, forecast: what of the batch to do, prices and run times; by default all, and nothing learned.
        price_classes: those of the wanted clips; the slowest one bounds what is in flight at first.
        pace, places: the rate limit's set-up, by default with nothing remembered; the limit in flight, by default its.
        poller, shutdown: a class with another schedule of status checks; what is pulled to stop the run.
        elsewhere: gives the request ids of other batches; called in a thread.
        check_credits, wishes: for `Dispatcher`.
        since, traces: for `RecoveryCheck`; without them only a rebuilt ledger is compared with the history.
        dice, boot_clock: random numbers in [0, 1) for jitter; seconds that go on while the machine sleeps.
    """
    pace, forecast = pace or PaceSetup(settings), forecast or Forecast(ledger.money, settings)
    pacer, slowest = pace.pacer(dice), (forecast.run_times(each).typical for each in price_classes)
    places = places or pace.places(max(slowest, default=0.0))
    paced = PacedProvider(provider, pacer)
    context = RunContext(
        ledger=ledger, provider=paced, pacer=pacer, places=places, downloads=downloads, clips_dir=clips_dir,
        poller=poller(provider, pacer, deadline_s=settings.deadline, wall_clock=ledger.now, probes=places),
        reconciler=reconciler_of(ledger, paced, settings, elsewhere), window=settings.window, until=settings.until,
        wait=settings.wait, price=forecast.price, estimate=forecast.estimate, run_times=forecast.run_times,
        submit_concurrency=settings.submit_concurrency, give_up_s=settings.give_up, deadline_s=settings.deadline,
        shutdown=shutdown or Shutdown(), started_at=ledger.now(), dice=dice, boot_clock=boot_clock,
        recovery_check=await _recovery_check(ledger, paced, settings, elsewhere, since, traces=traces),
    )  # fmt: skip
    return Assembly(context, Dispatcher(context, selection or Selection(), check_credits=check_credits, wishes=wishes))


def reconciler_of(ledger: Ledger, paced: PacedProvider, settings: Settings, elsewhere: RequestIds = set) -> Reconciler:
    """Join what looks up a batch's clips in doubt in the account's request history."""
    return Reconciler(
        paced,
        settle_s=settings.history_settle,
        taken=ledger.known_ids,
        elsewhere=elsewhere,
        expected=ledger.expected_ids,
    )


async def _recovery_check(
    ledger: Ledger,
    paced: PacedProvider,
    settings: Settings,
    elsewhere: RequestIds,
    since: float | None,
    *,
    traces: bool,
) -> RecoveryCheck | None:
    """Make the check that a ledger needs before it submits; None where it needs none."""
    if since is None and not (ledger.meta(BLIND) or ledger.meta(POSSIBLE)):
        return None
    settle_s = settings.history_settle
    check = RecoveryCheck(ledger, paced, settle_s=settle_s, elsewhere=elsewhere, since=since, traces=traces)
    if settings.trust_recovery:
        await check.trust()
    return check
