"""A model of the service for simulated nights: slots, a queue, run times that drift, limits, outages.

Jobs are taken up first come, first served; what each one takes is drawn when it is accepted, so that its end
is known from then on (to the bookkeeping, and to the oracle among the policies; the others have to look).
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batchgen.errors import RateLimited, Unreachable
from batchgen.providers.base import (
    Accepted,
    Capabilities,
    Completed,
    Gone,
    HistoryPage,
    HistoryReader,
    HistoryRow,
    Outcome,
    Running,
    Source,
)
from batchgen.testing import wall

COST = 625_000
#: A record lives this long after the submission (seconds).
RECORD_S = 3600.0
DAY_S = 86_400.0
Draw = Callable[[random.Random], float]


def log_normal(median: float, sigma: float) -> Draw:
    """Run times as they are known of such services: seconds."""
    return lambda dice: dice.lognormvariate(math.log(median), sigma)


USUAL = log_normal(213.0, 0.2)


@dataclass(frozen=True)
class Weather:
    """What a night brings. Times are seconds since its begin."""

    slots: int = 40
    run: Draw = USUAL
    rpm: float = 50.0  #: published, and what batchgen is told
    hidden_rpm: float | None = None  #: what really holds, where that is less
    calendar: bool = False  #: counted by minutes of the clock, not in any 60 s
    count_polls: bool = True
    drift: float = 0.0  #: how much longer runs are after ten hours, as a part
    diurnal: float = 0.0  #: by how much the busiest hour slows down
    bursts: tuple[tuple[float, int, float], ...] = ()  #: (when, slots that others take, for how long)
    others_s: float = 0.0  #: what each job waits for others', however few of ours there are
    told: bool = True  #: how long each was queued and ran
    outage: tuple[float, float] | None = None  #: (from, to): nothing is reached
    seed: int = 1

    def slowness(self, at: float) -> float:
        """By what factor a job that begins now takes longer."""
        return (1 + self.drift * at / 36_000) * (1 + self.diurnal * math.sin(2 * math.pi * at / DAY_S) ** 2)


@dataclass
class Job:
    """One accepted job, and when its end was seen."""

    number: int
    at: float
    starts: float
    ends: float
    looks: int = 0
    seen: float | None = None


class Slots:
    """Who is at work until when; first come, first served."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._dice = random.Random(weather.seed)
        self._free_at = [0.0] * weather.slots
        self._bursts = deque(sorted(weather.bursts))

    def take(self, at: float) -> tuple[float, float]:
        """Queue up at a time: (begin, end)."""
        while self._bursts and self._bursts[0][0] <= at:
            when, slots, lasts = self._bursts.popleft()
            for _ in range(slots):
                heapq.heappush(self._free_at, max(when, heapq.heappop(self._free_at)) + lasts)
        starts = max(at, heapq.heappop(self._free_at))
        ends = starts + self._weather.run(self._dice) * self._weather.slowness(starts)
        heapq.heappush(self._free_at, ends)
        return starts + self._weather.others_s, ends + self._weather.others_s


@dataclass
class NightService:
    """Implements `providers.base.Provider` in virtual time, and keeps the books."""

    weather: Weather
    post_s: float = 0.8
    get_s: float = 0.15
    name: str = "night"
    origin: str = "https://night.example"
    clock_off_s: float | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    jobs: dict[str, Job] = field(default_factory=dict)
    calls: int = 0
    posts: int = 0
    looks: int = 0
    limited: int = 0
    expired: int = 0

    def __post_init__(self) -> None:
        self._slots = Slots(self.weather)
        self._minute: deque[float] = deque()

    async def submit(self, model: str, params: Mapping[str, Any], key: str = "") -> Accepted:
        """Accept a job, or answer 429."""
        self._counted(counts=True)
        await asyncio.sleep(self.post_s / 2)
        now = asyncio.get_running_loop().time()
        job = Job(len(self.jobs), now, *self._slots.take(now))
        self.jobs[f"r{job.number}"] = job
        self.posts += 1
        await asyncio.sleep(self.post_s / 2)
        return Accepted(f"r{job.number}")

    async def status(self, request_id: str) -> Outcome:
        """Say how far a job is."""
        self.looks += 1
        self.jobs[request_id].looks += 1
        outcome = await self._ask(request_id)
        if isinstance(outcome, Completed) and self.jobs[request_id].seen is None:
            self.jobs[request_id].seen = asyncio.get_running_loop().time()
        return Completed() if isinstance(outcome, Completed) else outcome

    async def result(self, request_id: str) -> Outcome:
        """Give link, cost and metrics."""
        return await self._ask(request_id)

    async def _ask(self, request_id: str) -> Outcome:
        self._counted(counts=self.weather.count_polls)
        await asyncio.sleep(self.get_s)
        now, job = asyncio.get_running_loop().time(), self.jobs[request_id]
        if now - job.at > RECORD_S:
            self.expired += 1
            return Gone("no such request")
        if now < job.ends:
            queued = now < job.starts
            return Running("QUEUED" if queued else "PROCESSING", queued=queued)
        url = f"https://files.example/{request_id}.mp4"
        told = (job.starts - job.at, job.ends - job.starts) if self.weather.told else (None, None)
        return Completed(url, COST, None, *told)

    def _counted(self, *, counts: bool) -> None:
        now = asyncio.get_running_loop().time()
        if self.weather.outage and self.weather.outage[0] <= now < self.weather.outage[1]:
            raise Unreachable("connection refused")
        self.calls += 1
        limit = self.weather.hidden_rpm or self.weather.rpm
        if not counts or not limit:
            return
        begin = now // 60.0 * 60.0 if self.weather.calendar else now - 60.0
        while self._minute and self._minute[0] <= begin:
            self._minute.popleft()
        if len(self._minute) >= limit:
            self.limited += 1
            raise RateLimited("429", status=429)
        self._minute.append(now)

    def video(self, url: str) -> Source | None:
        """Every link is a file's."""
        return None

    async def lookup(self, request_id: str) -> HistoryRow | None:
        """The account's history knows every request."""
        outcome = await self._ask(request_id)
        known = outcome if isinstance(outcome, Running | Completed) else Running("QUEUED")
        return HistoryRow(request_id, "wan-2.5-t2v", known, None, None)

    def history(self, model: str, since: float, until: float) -> HistoryReader:
        """No night here is in doubt: a window is whole before it was read."""
        return NothingInDoubt()

    async def upload(self, path: Path) -> str:
        """No audio here."""
        return f"https://files.example/{path.name}"

    async def balance(self) -> int:
        """Enough."""
        return 10**12


class NothingInDoubt:
    """Implements `HistoryReader` for a history that is not asked."""

    ended = True

    async def read(self) -> None:
        """Read nothing."""

    def page(self) -> HistoryPage:
        """Give an empty page."""
        return HistoryPage(server_time=wall())


def least_makespan(weather: Weather, clips: int, used: float) -> float:
    """Bound a night from below by what rate and slots set, with nothing wasted and nothing in the way.

    By the slots: the same run times are drawn, submissions come as early as the rate lets them, in flight without
    bound, and what completes is known at once; what others take of the slots is work, too. By the rate: each clip
    takes three calls (submission, one look, result; where looks don't count, one), and the rate is used up to the
    part `used`. An outage is counted as lost (what is in flight runs on in it, so that this is no strict bound).
    """
    limit = used * (weather.hidden_rpm or weather.rpm) / 60.0
    slots = Slots(replace(weather, bursts=(), outage=None))
    jobs = [slots.take(n / limit if limit else 0.0) for n in range(clips)]
    last = max(ends for _, ends in jobs)
    others = sum(taken * lasts for when, taken, lasts in weather.bursts if when < last)
    work = (sum(ends - starts for starts, ends in jobs) + others) / weather.slots
    by_calls = clips * (3 if weather.count_polls else 1) / limit if limit else 0.0
    lost = weather.outage[1] - weather.outage[0] if weather.outage else 0.0
    return max(by_calls, work, last) + lost
