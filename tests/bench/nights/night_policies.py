"""When to poll, by other rules than ours: what the vendor's SDK does, what people write, and what can't be beaten."""

from __future__ import annotations

import random
from collections.abc import Callable

from night_service import NightService, Weather
from run_times import frontier, known

from batchgen.polling.poller import Poller, Wait
from batchgen.polling.schedule import Schedule

#: Age → the age of the next poll.
Rule = Callable[[float], float]


class RulePoller(Poller):
    """Polls by a rule of the age alone."""

    rule: Rule

    def next_age(self, wait: Wait, age: float) -> float:
        """Give the age of the next poll."""
        return self.rule(age)


class OraclePoller(Poller):
    """Polls once, when it is over."""

    service: NightService

    def next_age(self, wait: Wait, age: float) -> float:
        """Give the age of the next poll."""
        job = self.service.jobs[wait.request_id]
        return max(age + 0.05, job.ends - wait.submitted_at + 0.01)


def every(seconds: float) -> Rule:
    """At equal distances: 1 s is the SDK."""
    return lambda age: age + seconds


def doubling(cap_s: float = 60.0) -> Rule:
    """1, 3, 7, 15, … s: exponential back-off."""
    return lambda age: age + min(cap_s, max(1.0, age + 1.0))


def by(polls: Schedule) -> Rule:
    """By a schedule that is worked out beforehand."""

    def rule(age: float) -> float:
        later = next((poll for poll in polls.ages if poll > age + 0.05), None)
        return later if later is not None else age * 1.08 + 1.0

    return rule


def optimal(weather: Weather, polls: float = 3.0) -> Rule:
    """By the best schedule for the true distribution, at about so many polls a clip."""
    dice = random.Random(99)
    best = frontier(known(sorted(weather.run(dice) for _ in range(6000))))
    return by(min(best, key=lambda found: abs(found.polls - polls)))
