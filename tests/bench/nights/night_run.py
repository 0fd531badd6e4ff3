"""One simulated night: the product's own runner, pacer, poller and ledger in virtual time, and what it came to."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from night_policies import OraclePoller, Rule, RulePoller, doubling, every, optimal
from night_service import NightService, Weather, least_makespan

from batchgen.clip import Wanted
from batchgen.files.mp4 import Expect, Fetched
from batchgen.ledger import SqliteLedger
from batchgen.money import price_class_of
from batchgen.polling.poller import Poller
from batchgen.providers.base import Source
from batchgen.ratelimit.adaptive_rate import HEADROOM
from batchgen.ratelimit.concurrency import ConcurrencyLimit
from batchgen.ratelimit.memory import AccountMemory
from batchgen.ratelimit.setup import PaceSetup
from batchgen.runner.assembly import assemble
from batchgen.settings import Settings
from batchgen.testing import EPOCH, VirtualTimeLoop

#: The published mean of the model, whatever the night brings.
EXPECTED_S = 213.0
#: A policy's name → the rule that it polls by; None: the product's own, or the oracle.
POLICIES = ("ours", "oracle", "optimal", "every 1 s", "every 5 s", "doubling")


@dataclass(frozen=True)
class Night:
    """What a night came to."""

    policy: str
    clips: int
    makespan: float
    bound: float
    calls: float  #: all calls a clip
    polls: float  #: status calls a clip
    lags: tuple[float, float, float]  #: p50, p95, p99
    mean_lag: float
    limited: int
    expired: int
    paid_twice: int
    queued: float  #: median, of what each clip waited at the service
    took_s: float  #: of real time, to simulate

    @property
    def over(self) -> float:
        """Makespan over the lower bound."""
        return self.makespan / self.bound


class Shelf:
    """Implements `runner.context.Downloads`: files come soon, and nothing is written."""

    takes_s = 1.0

    async def fetch(
        self, url: str, target: Path, expect: Expect, finish: Callable[[Path, Fetched], None] | None = None
    ) -> Fetched:
        """Say that it is there."""
        await asyncio.sleep(self.takes_s)
        return Fetched(3_000_000, "0" * 64)

    async def keep(
        self, source: Source, target: Path, expect: Expect, finish: Callable[[Path, Fetched], None] | None = None
    ) -> Fetched:
        """No answer of that service is a video."""
        raise NotImplementedError


def simulate(
    weather: Weather, policy: str, clips: int, *, in_flight: int = 400, lessons: AccountMemory | None = None
) -> Night:
    """Run one night to its end; `lessons` are what nights before it learned, and take in what it learns."""
    service = NightService(weather)
    began = time.perf_counter()
    with _folder() as folder, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        makespan = runner.run(_night(folder, service, policy, clips, in_flight, lessons or AccountMemory(None)))
    return _summed(service, policy, clips, makespan, time.perf_counter() - began)


def simulate_second(weather: Weather, policy: str, clips: int) -> Night:
    """Run a night, and another one of the same weather after it; gives the second."""
    lessons = AccountMemory(None)
    simulate(weather, policy, clips, lessons=lessons)
    return simulate(weather, policy, clips, lessons=lessons)


async def _night(
    folder: Path, service: NightService, policy: str, clips: int, in_flight: int, lessons: AccountMemory
) -> float:
    loop = asyncio.get_running_loop()
    ledger = SqliteLedger(folder / "night", wall_clock=lambda: EPOCH + loop.time())
    try:
        ledger.sync(_wanted(clips))
        (folder / "night" / "clips").mkdir()
        weather = service.weather
        settings = Settings(
            rpm=weather.rpm, count_polls=weather.count_polls, in_flight=in_flight, expect_latency=EXPECTED_S
        )
        assembly = await assemble(
            ledger,
            service,
            Shelf(),
            settings,
            clips_dir=folder / "night" / "clips",
            price_classes=[price_class_of(clip.model, clip.values) for clip in _wanted(1)],
            pace=PaceSetup(settings, lessons=lessons),
            # The other policies cannot find out how many slots there are: they get the number.
            places=None if policy == "ours" else ConcurrencyLimit(in_flight, start=weather.slots * 3 // 2),
            poller={"ours": Poller, "oracle": OraclePoller}.get(policy, RulePoller),
            dice=lambda: 0.5,
        )
        _inform(assembly.context.poller, policy, service)
        await assembly.dispatcher.run()
        return loop.time() - Shelf.takes_s
    finally:
        ledger.close()


def _inform(poller: Poller, policy: str, service: NightService) -> None:
    """Give the policies that are not ours what they poll by."""
    if isinstance(poller, OraclePoller):
        poller.service = service
    if isinstance(poller, RulePoller):
        poller.rule = rule_of(policy, service.weather)


def rule_of(policy: str, weather: Weather) -> Rule:
    """Give the rule that a policy polls by."""
    if policy == "optimal":
        return optimal(weather)
    return doubling() if policy == "doubling" else every(float(policy.split()[1]))


def _wanted(clips: int) -> Iterator[Wanted]:
    for n in range(clips):
        params = json.dumps({"prompt": f"shot {n}", "seed": n, "size": "1280*720", "duration": 5})
        yield Wanted(f"k{n}", f"shot{n}", 1, "wan-2.5-t2v", params, f"shot{n}_1", order=n)


def _summed(service: NightService, policy: str, clips: int, makespan: float, took_s: float) -> Night:
    jobs = service.jobs.values()
    lags = sorted(service.seen.get(job.request_id, EPOCH + makespan) - job.ends for job in jobs)
    weather = service.weather
    return Night(
        policy=policy,
        clips=clips,
        makespan=makespan,
        bound=least_makespan(weather, clips, HEADROOM),
        calls=(len(service.calls) + service.limited) / clips,
        polls=service.status_calls.total() / clips,
        lags=(_share(lags, 0.5), _share(lags, 0.95), _share(lags, 0.99)),
        mean_lag=sum(lags) / len(lags),
        limited=service.limited,
        expired=service.expired,
        paid_twice=len(service.jobs) - clips,
        queued=_share(sorted(job.starts - job.at for job in jobs), 0.5),
        took_s=took_s,
    )


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory where the machine has one: no night here proves what a disk keeps."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None, prefix="batchgen-night-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
