"""What `status -v` adds: the measured run times, the status checks planned from them, and the account's limits.

Apart from `learned`, because it imports the models, and `status` must answer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batchgen.ledger import SANDBOX_ORIGIN
from batchgen.ledger.reader import Reader
from batchgen.polling.schedule import MEMORY, RunTimes, affordable_polls
from batchgen.providers import models
from batchgen.ratelimit.adaptive_rate import HEADROOM
from batchgen.ratelimit.memory import AccountMemory, Remembered
from batchgen.views.learned import ClassTimes, Learned

#: Calls of a clip that are no status checks: submission and result.
OTHER_CALLS = 2


def learned_of(ledger: Reader, now: float) -> Learned:
    """Collect it, as the next run would start with it."""
    origin, account = ledger.meta("origin") or "", ledger.meta("account") or ""
    known = Remembered() if origin == SANDBOX_ORIGIN else AccountMemory.of(origin, account, wall=lambda: now).known
    totals, parts, made = ledger.run_times(MEMORY), ledger.run_parts(MEMORY), ledger.poll_counts()
    per_s = float(ledger.meta("looks_per_s") or "inf")
    if known.rpm:
        per_s = min(per_s, HEADROOM * known.rpm / 60.0)
    return Learned(
        [
            replace(
                _class_times(name, totals[name], parts.get(name, ()), per_s, known.places), made=made.get(name, (0, 0))
            )
            for name in sorted(totals)
        ],
        (known.rpm, now - known.rpm_at) if known.rpm else None,
        (known.places, now - known.places_at) if known.places else None,
        borne=known.proven,
    )


def _class_times(
    name: str, seconds: Sequence[float], parts: Sequence[tuple[float, float | None]], per_s: float, places: float
) -> ClassTimes:
    model = models.find(name.split(" ", 1)[0])
    times = RunTimes((model and model.mean_latency_s) or sorted(seconds)[len(seconds) // 2])
    for each in seconds:
        times.learn(each)
    ends = min(max(places, 1.0) / times.typical, per_s / (OTHER_CALLS + 1))
    looks = times.schedule(affordable_polls(per_s - OTHER_CALLS * ends, ends))
    return ClassTimes(
        name,
        run=[run for run, _ in parts],
        queue=[queue for _, queue in parts if queue is not None],
        ages=looks.ages,
        looks=looks.polls,
        lag=looks.lag,
    )
