"""A run, joined from its parts, once: the command, the Python API, the tests and the simulated nights use it.

The parts with I/O are passed in: an open ledger (its clock is the run's), a provider and the downloads. All else is
made here from the settings, and nothing runs until `Assembly.dispatcher` does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from batchgen.billing.prices import MEMORY, ChargeHistory
from batchgen.billing.tariff import PriceBook
from batchgen.clip import Wanted
from batchgen.history.reconcile import Reconciler
from batchgen.ledger import Ledger
from batchgen.ledger.recovery.rebuild import BLIND
from batchgen.planning.inputs import RUN_TIMES, latency_of
from batchgen.polling.poller import Poller
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Provider
from batchgen.providers.models import Prices
from batchgen.ratelimit.concurrency import ConcurrencyLimit
from batchgen.ratelimit.limiter import Pacer
from batchgen.ratelimit.setup import PaceSetup
from batchgen.runner.context import Downloads, RunContext
from batchgen.runner.dispatcher import Dispatcher, Orders
from batchgen.runner.recovery_check import POSSIBLE, RecoveryCheck
from batchgen.runner.shutdown import Shutdown
from batchgen.settings import Settings

#: The folder of the finished files, in the batch folder.
CLIPS = "clips"
RequestIds = Callable[[], set[str]]


class Forecast:
    """What a run expects of its clips: prices and run times, by price class, as the ledger has learned them.

    Args:
        ledger: an open one; prices follow its charges once `prices.learn` is among its observers.
        settings: of the run; they say what to expect of a model before anything was learned.
        prices: those of the manifest.
    """

    def __init__(self, ledger: Ledger, settings: Settings, prices: Prices | None = None) -> None:
        self.prices = PriceBook(prices or Prices(), ChargeHistory.of(ledger.charges(MEMORY)))
        self._ledger = ledger
        self._settings = settings
        self._learned = ledger.run_times(RUN_TIMES)
        self._times: dict[str, RunTimes] = {}

    def price(self, wanted: Wanted) -> int | None:
        """Give the worst price of a clip, the one to reserve, in micro-dollars; None: unknown."""
        manifest, table = self.prices.listed(wanted.model, wanted.values)
        return self._ledger.money.worst(wanted.price_class, table, manifest)

    def estimate(self, wanted: Wanted) -> int | None:
        """Give the likely price of a clip, in micro-dollars; None: unknown."""
        return self.prices.estimate(wanted)

    def run_times(self, price_class: str) -> RunTimes:
        """Give the run times of a price class, as they were learned so far; always the same object."""
        if price_class not in self._times:
            times = self._times[price_class] = RunTimes(latency_of(price_class.split(" ", 1)[0], self._settings))
            for seconds in self._learned.get(price_class, ()):
                times.learn(seconds)
        return self._times[price_class]

    def longest_s(self, price_classes: Iterable[str]) -> float:
        """Give the run time of the slowest of these price classes, in seconds; 0 without any."""
        return max((self.run_times(price_class).typical for price_class in price_classes), default=0.0)


@dataclass(frozen=True, slots=True)
class Assembly:
    """A run, ready to go: `await dispatcher.run()` carries it to its end; `context.shutdown` says how it ended."""

    context: RunContext
    dispatcher: Dispatcher


def assemble(
    ledger: Ledger,
    provider: Provider,
    downloads: Downloads,
    settings: Settings,
    *,
    orders: Orders | None = None,
    forecast: Forecast | None = None,
    price_classes: Iterable[str] = (),
    pace: PaceSetup | None = None,
    places: ConcurrencyLimit | None = None,
    poller: type[Poller] = Poller,
    shutdown: Shutdown | None = None,
    elsewhere: RequestIds = set,
    dice: Callable[[], float] = random.random,
) -> Assembly:
    """Join a run, under the caps of these settings.

    Args:
        ledger, provider, downloads: open, connected and ready to fetch; `ledger.recover` is for the caller.
        orders, forecast, shutdown: what to do, what to expect, what stops it; by default as the settings have it.
        price_classes: those of the wanted clips; the slowest one bounds what is in flight at first.
        pace: the rate limit's set-up; by default for this run alone, with nothing remembered.
        places, poller: another limit of clips in flight than the adaptive one of `pace`; another schedule of polls.
        elsewhere, dice: give the request ids of other batches (called in a thread); random numbers in [0, 1).
    """
    pace, forecast = pace or PaceSetup(settings), forecast or Forecast(ledger, settings)
    pacer, places = pace.pacer(dice), places or pace.places(forecast.longest_s(price_classes))
    ledger.money.caps = settings.caps
    reconciler = reconciler_of(ledger, provider, pacer, settings, elsewhere)
    context = RunContext(
        ledger=ledger,
        provider=provider,
        pacer=pacer,
        poller=poller(provider, pacer, deadline_s=settings.deadline, wall_clock=ledger.now, probes=places),
        places=places,
        downloads=downloads,
        shutdown=shutdown or Shutdown(),
        clips_dir=ledger.folder / CLIPS,
        price=forecast.price,
        estimate=forecast.estimate,
        run_times=forecast.run_times,
        submit_concurrency=settings.submit_concurrency,
        give_up_s=settings.give_up,
        deadline_s=settings.deadline,
        started_at=ledger.now(),
        dice=dice,
        blind=_recovery_check(ledger, provider, pacer, settings, elsewhere),
    )
    return Assembly(context, Dispatcher(context, reconciler, orders or orders_of(settings, ledger)))


def orders_of(settings: Settings, ledger: Ledger, *, foresee: bool = True) -> Orders:
    """Say what the settings ask a run to do; `foresee`: ask for the account's credits before the first submission."""
    planned = None
    if settings.planned is not None:
        rows = ledger.rows()
        planned = frozenset(rows[key] for key in settings.planned & rows.keys())
    return Orders(
        limit=settings.limit,
        only=settings.only,
        planned=planned,
        submit=not settings.collect_only,
        foresee=foresee,
        resubmit_unconfirmed=settings.resubmit_unconfirmed,
        resubmit_lost=settings.resubmit_lost,
    )


def reconciler_of(
    ledger: Ledger, provider: Provider, pacer: Pacer, settings: Settings, elsewhere: RequestIds = set
) -> Reconciler:
    """Join what settles a batch's clips in doubt from the account's request history."""
    return Reconciler(
        provider,
        pacer,
        settle_s=settings.history_settle,
        taken=ledger.request_ids,
        elsewhere=elsewhere,
        witnesses=ledger.must_show,
    )


def _recovery_check(
    ledger: Ledger, provider: Provider, pacer: Pacer, settings: Settings, elsewhere: RequestIds
) -> RecoveryCheck | None:
    """Make the check that a rebuilt ledger needs before it submits; None for every other ledger."""
    if not (ledger.meta(BLIND) or ledger.meta(POSSIBLE)):
        return None
    check = RecoveryCheck(ledger, provider, pacer, settle_s=settings.history_settle, elsewhere=elsewhere)
    if settings.trust_recovery:
        check.trust()
    return check
