"""How long requests queue, and how much of it is because of us. Pure.

A service may be loaded by others, or take its time to begin: such a queue is there whatever we do, and no reason for
fewer in flight. So queues are judged above a base, as TCP Vegas judges round trips (see `places`), and as LEDBAT, the
base is the smallest that was met, of which, as there, a filter takes out the noise (Shalunov, Hazel, Iyengar and
Kuehlewind, "Low extra delay background transport", RFC 6817, 2012). LEDBAT lets the base rise with time, and so takes
a queue of its own that stands for long for others'. Here it rises only when what was met can't be ours: alone in
flight, or after a narrowing (`places`).

A service that tells no queue time is judged by all the time from the submission to the end, which grows with what is
in flight when it is full: what it takes above the shortest is a queue, as Vegas has it; and no less than the age at
which a look still found it queued.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median_low

#: Queueing because of us below this part of what it takes alone (or below so many seconds) means that there is room.
ROOM, ROOM_S = 0.1, 2.0
#: Above this part of it, the service is full.
FULL = 0.5
#: So many of the latest are looked at as one; a service is not full by the word of fewer than the first few.
LATEST, FEW = 5, 3
#: The same of run times, and of all the time from the submission to the end, which vary more.
RUNS, TOTALS = 25, 15


@dataclass(frozen=True, slots=True)
class Queued:
    """What the latest few requests met, by their medians (seconds)."""

    queue_s: float
    run_s: float
    base_s: float  #: of the queue, what is not ours
    newest_s: float  #: the queue of the newest alone
    at_work: float  #: how many of those in flight were, by Little's law, not in a queue
    few: bool  #: they are too few to say that the service is full

    @property
    def alone_s(self) -> float:
        """What a request takes while nothing queues because of us."""
        return self.run_s + self.base_s

    @property
    def others(self) -> bool:
        """There is a queue that is not ours."""
        return self.base_s > ROOM_S

    @property
    def room(self) -> bool:
        """Hardly any queue is ours, as the newest tells; others' varies, and the median is judged above it."""
        own = (self.queue_s if self.others else self.newest_s) - self.base_s
        return own <= max(ROOM_S, ROOM * self.alone_s)

    @property
    def full(self) -> bool:
        """A good part of the time is a queue of ours."""
        own = min(self.queue_s, self.newest_s) - self.base_s
        return not self.few and self.run_s > 0 and own > FULL * self.alone_s

    @property
    def fitting(self) -> float:
        """How many in flight would be no more than full, by Little's law, were the queue above the base ours."""
        return self.at_work * (1.0 + FULL) * self.alone_s / max(self.run_s, 1e-3)


class Queueing:
    """Remembers the latest queues, and what of them is not ours."""

    def __init__(self) -> None:
        self.base_s = 0.0
        self._shortest_s = math.inf  #: from the submission to the end
        self._totals: deque[float] = deque(maxlen=TOTALS)
        self._runs: deque[float] = deque(maxlen=RUNS)
        self._queues: deque[tuple[float, int]] = deque(maxlen=LATEST)  #: and how many were in flight

    def __repr__(self) -> str:
        """Say the base, for logs and tests."""
        return f"<Queueing above {self.base_s:.0f} s>"

    @property
    def others(self) -> bool:
        """There is a queue that is not ours."""
        return self.base_s > ROOM_S

    def met(self, queue_s: float | None, run_s: float, taken: int, seen_s: float) -> Queued:
        """Take in how long one queued, and judge it; the arguments are those of `Places.learn`."""
        total = run_s + (queue_s or 0.0)
        if run_s:
            self._totals.append(total)
        if len(self._totals) >= LATEST:
            self._shortest_s = min(self._shortest_s, median_low(self._totals))
        if queue_s is None:
            queue_s = min(total, max(seen_s, total - self._shortest_s))
        elif taken == 1:
            self.base_s = queue_s  # nothing of ours was before it
        self._queues.append((queue_s, taken))
        if run_s:
            self._runs.append(total - queue_s)
        return self._judged(queue_s, taken)

    def _judged(self, newest_s: float, taken: int) -> Queued:
        usual, run = median_low(queue for queue, _ in self._queues), median_low(self._runs or (0.0,))
        self.base_s = min(self.base_s, usual)
        at_work = median_low(n * run / max(run + queue, 1e-3) for queue, n in self._queues)
        few = len(self._queues) < min(FEW, taken)
        return Queued(usual, run, self.base_s, newest_s, at_work, few)

    def forget(self) -> None:
        """What comes now is met by another number in flight: judge it by itself."""
        self._queues.clear()
