"""What of a night is worth a message: each event at most once a run. Pure; times are epoch seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.errors import Exit

#: Failures are a burst from so many on, if they are also this part of what ended in this time (seconds).
BURST, BURST_PART, BURST_S = 5, 0.2, 600.0
#: A clip in doubt may be found in the history within minutes; it is worth a message after so long (seconds).
DOUBT_S = 900.0


class Occasion(StrEnum):
    """Why a message is sent; the `event` of a webhook's object."""

    STARTED = "started"  #: the run was started by a timer
    FAILURES = "failures"  #: the first burst of failed and blocked clips
    UNCONFIRMED = "unconfirmed"  #: clips are in doubt, and the user may have to decide
    BUDGET = "budget"  #: the run ended because a cap is reached
    STOPPED = "stopped"  #: it ended early for another reason
    DONE = "done"  #: it did all that it was asked for, with whatever result
    TEST = "test"  #: `batchgen notify NAME --test`


@dataclass(slots=True)
class NightConditions:
    """Watches one run; each method gives the occasion of a message that is due, or None."""

    _ended: deque[tuple[float, bool]] = field(default_factory=deque)  #: when clips ended, and whether they failed
    _given: set[Occasion] = field(default_factory=set)
    _doubt_since: float | None = None

    def started(self, *, by_timer: bool) -> Occasion | None:
        """Say that the run begins; who types the command needs no message."""
        return self._once(Occasion.STARTED) if by_timer else None

    def clip_ended(self, at: float, *, failed: bool) -> None:
        """Take note of a clip that is done, or failed or was blocked."""
        self._ended.append((at, failed))

    def check(self, now: float, *, unconfirmed: int) -> list[Occasion]:
        """Give what is due now; `unconfirmed` is how many clips are in doubt."""
        while self._ended and self._ended[0][0] <= now - BURST_S:
            self._ended.popleft()
        self._doubt_since = (self._doubt_since or now) if unconfirmed else None
        failed = sum(failed for _, failed in self._ended)
        due = []
        if failed >= BURST and failed >= BURST_PART * len(self._ended):
            due.append(self._once(Occasion.FAILURES))
        if self._doubt_since is not None and now - self._doubt_since >= DOUBT_S:
            due.append(self._once(Occasion.UNCONFIRMED))
        return [occasion for occasion in due if occasion is not None]

    def ended(self, code: Exit, *, by_budget: bool, unconfirmed: int) -> list[Occasion]:
        """Give what is due at the end of the run."""
        finished = code in (Exit.OK, Exit.SOME_FAILED, Exit.NEEDS_DECISION)
        last = Occasion.DONE if finished else Occasion.BUDGET if by_budget else Occasion.STOPPED
        due = [self._once(Occasion.UNCONFIRMED) if unconfirmed else None, self._once(last)]
        return [occasion for occasion in due if occasion is not None]

    def _once(self, occasion: Occasion) -> Occasion | None:
        if occasion in self._given:
            return None
        self._given.add(occasion)
        return occasion
