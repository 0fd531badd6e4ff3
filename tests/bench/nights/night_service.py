"""A model of the service for simulated nights: `FakeProvider` with a queue, run times that drift, limits, outages.

Jobs are taken up first come, first served; what each one takes is drawn when it is accepted, so that its end
is known from then on (to the bookkeeping, and to the oracle among the policies; the others have to ask).
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from batchgen.providers.base import Completed, Gone, Outcome
from batchgen.testing import EPOCH, FakeProvider

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


class NightService(FakeProvider):
    """`FakeProvider` under a weather, which also counts what a night is judged by."""

    def __init__(self, weather: Weather) -> None:
        super().__init__(
            post_s=0.8, get_s=0.15, queue=Slots(weather).take, outages=[weather.outage] if weather.outage else []
        )
        self.weather = weather
        self.seen: dict[str, float] = {}  #: when a status check first showed a job's end: epoch seconds
        self.expired = 0
        self._minute: deque[float] = deque()

    async def status(self, request_id: str) -> Outcome:
        """Keep when the end was seen."""
        outcome = await super().status(request_id)
        if isinstance(outcome, Completed):
            self.seen.setdefault(request_id, EPOCH + asyncio.get_running_loop().time())
        return outcome

    async def _ask(self, request_id: str) -> Outcome:
        outcome = await super()._ask(request_id)
        self.expired += isinstance(outcome, Gone)
        if isinstance(outcome, Completed) and not self.weather.told:
            return replace(outcome, queue_s=None, run_s=None)
        return outcome

    def _limited(self, now: float, *, poll: bool) -> bool:
        limit = self.weather.hidden_rpm or self.weather.rpm
        if not limit or (poll and not self.weather.count_polls):
            return False
        begin = now // 60.0 * 60.0 if self.weather.calendar else now - 60.0
        while self._minute and self._minute[0] <= begin:
            self._minute.popleft()
        if len(self._minute) >= limit:
            return True
        self._minute.append(now)
        return False


def least_makespan(weather: Weather, clips: int, used: float) -> float:
    """Bound a night from below by what rate and slots set, with nothing wasted and nothing in the way.

    By the slots: the same run times are drawn, submissions come as early as the rate lets them, in flight without
    bound, and what completes is known at once; what others take of the slots is work, too. By the rate: each clip
    takes three calls (submission, one poll, result; where polls don't count, one), and the rate is used up to the
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
