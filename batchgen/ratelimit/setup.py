"""The rate and concurrency limit of one run, from what is configured, other runs with the key, and earlier nights."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

from batchgen.ratelimit.concurrency import START, ConcurrencyLimit
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.ratelimit.memory import AccountMemory, SharedWindow, Start, ago, start_of
from batchgen.settings import Settings

#: The part of the rate that a command takes which only asks, while a run is at work.
ASKING_PART = 0.1


class PaceSetup:
    """Makes the pacer and the concurrency limit of a run. Without window and memory it knows and keeps nothing."""

    def __init__(
        self, settings: Settings, window: SharedWindow | None = None, lessons: AccountMemory | None = None
    ) -> None:
        self._settings = settings
        self._window = window or SharedWindow()
        self._memory = lessons or AccountMemory(None)
        #: Who else is at work with the account, in words.
        self.others = self._window.others
        if settings.rpm_given and not settings.continues:
            self._memory.forget_rate()
        #: A line each: what this run starts with by memory, and how to override it; later, what refusals changed.
        self.notes: list[str] = []
        self._rpm = settings.rpm
        self._pacer: LocalPacer | None = None
        self._places: ConcurrencyLimit | None = None

    def __repr__(self) -> str:
        """Show what it holds, for logs."""
        return f"<PaceSetup {self._window}, {self._memory}>"

    @classmethod
    def shared(cls, settings: Settings, origin: str, account: str, who: str) -> PaceSetup:
        """Count the calls of other runs with this account on this machine, be counted by them, and learn of them."""
        return cls(settings, SharedWindow.open(origin, account, who), AccountMemory.of(origin, account))

    @property
    def start(self) -> Start:
        """Where a run starts, as its plan shows it."""
        return start_of(self._settings, self._memory.known, time.time())

    def pacer(self, dice: Callable[[], float] = random.random) -> LocalPacer:
        """Make the pacer: it starts where the last run stood, if that is below what is configured."""
        settings, known, start = self._settings, self._memory.known, self.start
        if start.rpm_note:
            more = f"the rate rises as it is used; --rpm {settings.rpm:g} starts at the full rate"
            self.notes.append(f"starting {start.rpm_note}; {more}")
        self._rpm = start.rpm
        self._pacer = LocalPacer(
            settings.rpm,
            count_polls=settings.count_polls,
            before=self._window.before,
            counted=self._window.called,
            start=(known.rpm, known.known_limit) if known.rpm else None,
            learned=self._learned_rate,
            dice=dice,
        )
        return self._pacer

    def retune(self, *, rpm: float | None = None, in_flight: int | None = None) -> None:
        """Change what is configured, during the run; as with `--rpm`, a rate that is named wins over memory."""
        if rpm is not None:
            self._settings, self._rpm = replace(self._settings, rpm=rpm), rpm
            self._memory.forget_rate()
            if self._pacer is not None:
                self._pacer.retune(rpm)
        if in_flight is not None:
            self._settings = replace(self._settings, in_flight=in_flight)
            if self._places is not None:
                self._places.retune(in_flight)

    def _learned_rate(self, rpm: float, known_limit: float, proven: float) -> None:
        """Keep it, and note when it fell and when it is whole again, not the steps between."""
        asked = self._settings.rpm
        if rpm < self._rpm:
            now = f"slowed to {round(rpm, 1):g} of {asked:g} calls a minute"
            self.notes.append(f"rate limited by the service (429): {now}; the rate rises again as it is used")
        elif self._rpm < asked <= rpm:
            self.notes.append(f"the rate is back at {asked:g} calls a minute, as configured")
        self._rpm = rpm
        self._memory.rate(rpm, known_limit, proven, ceiling=asked)

    def places(self, longest_s: float) -> ConcurrencyLimit:
        """Make the concurrency limit, starting with as many clips as the last run learned.

        `longest_s` is how long the slowest of the clips is likely to run. Never so many at first that the last of
        them, were the service down to `START` at a time tonight, would end past the deadline: a record dies soon after.
        """
        settings, known = self._settings, self._memory.known
        safe = START * settings.deadline / max(longest_s, 1.0)
        start = max(START, int(min(known.places, safe, settings.in_flight)))
        if start > START:
            self.notes.append(
                f"starting with up to {start} clips in flight, as many as the service could take "
                f"{ago(time.time() - known.places_at)}; the number follows the service's queue, up to --in-flight N"
            )
        self._places = ConcurrencyLimit(
            settings.in_flight,
            start=start,
            full=bool(self.start.in_flight_note),
            safe_s=settings.deadline / 2,
            learned=lambda limit, full: self._memory.places(limit, self._settings.in_flight, full=full),
        )
        return self._places

    def step_back(self) -> None:
        """Take a small part of the rate: a command that only asks must not slow down a run at work.

        What is learned at such a rate says nothing of the account's, and is not kept.
        """
        self._settings, self._memory = (
            replace(self._settings, rpm=ASKING_PART * self._settings.rpm),
            AccountMemory(None),
        )

    def called(self) -> None:
        """Count a call that was made before there is a pacer."""
        self._window.before.append(0.0)
        self._window.called()

    def close(self) -> None:
        """Free the window for other runs."""
        self._window.close()
