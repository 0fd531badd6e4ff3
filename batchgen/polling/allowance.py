"""How many looks a clip can be afforded: the calls that submissions and results leave, shared out among the ends.

Pure but for the pacer, which says what was spare.
"""

from __future__ import annotations

from collections import deque

from batchgen.polling.schedule import RunTimes, affordable_looks
from batchgen.ratelimit.base import Pacer

#: Over how long the ends are counted that looks are shared out among (seconds).
ENDS_S = 120.0
#: For run times up to this, what calls were spare in the last minute tells how many will be (seconds).
SOON_S = 300.0
#: How often the looks a clip are reckoned anew (seconds), how slowly they follow upwards and downwards (as parts of
#: the typical run time: clips that were submitted together end together, which is no reason to look away and then to
#: stare; but where calls get short, what looks take is taken from submissions), and the change that is worth planning
#: all looks anew.
FOLLOW_EVERY_S, FOLLOWS_UP, FOLLOWS_DOWN, REPLAN = 10.0, 0.5, 0.25, 1.25
START_LOOKS = 2.0


class Allowance:
    """Follows, slowly, what can be afforded. Times are by one clock that never jumps, in seconds.

    Attributes:
        looks: so many a clip.
    """

    def __init__(self, pacer: Pacer) -> None:
        self.looks = START_LOOKS
        self._pacer = pacer
        self._planned_for = START_LOOKS
        self._followed_at = 0.0
        self._ends: deque[float] = deque()

    def __repr__(self) -> str:
        """Say what it allows, for logs and tests."""
        return f"<Allowance of {self.looks:.2f} looks a clip>"

    def ended(self, now: float) -> None:
        """Take note that a request has ended."""
        self._ends.append(now)

    def follow(self, now: float, times: RunTimes, waiting: int) -> bool:
        """Reckon anew, if it is time to; tell whether what was planned before is now another matter.

        Args:
            now: by the clock.
            times: run times of the oldest request that waits.
            waiting: how many do.
        """
        if now < self._followed_at + FOLLOW_EVERY_S:
            return False
        ends = self._ends_per_s(now, times, waiting)
        target = affordable_looks(self._spare_per_s(times, ends), ends)
        follows = times.typical * (FOLLOWS_DOWN if target < self.looks else FOLLOWS_UP)
        weight = min(1.0, (now - self._followed_at) / max(FOLLOW_EVERY_S, follows))
        self._followed_at = now
        self.looks += weight * (target - self.looks)
        if self._planned_for / REPLAN < self.looks < self._planned_for * REPLAN:
            return False
        self._planned_for = self.looks
        return True

    def _spare_per_s(self, times: RunTimes, ends: float) -> float:
        """How many calls a second are left when looks that are planned now come due: about a run time from now.

        What the last minute left tells it of short jobs. Where they are long it may be a lull: each clip that ends
        will take a result and a submission.
        """
        pace = self._pacer.snapshot()
        lately = pace.spare_polls / 60.0
        soon = min(1.0, SOON_S / max(times.typical, 1e-3))
        return lately if soon == 1.0 else soon * lately + (1.0 - soon) * min(lately, pace.polls_per_s - 2 * ends)

    def _ends_per_s(self, now: float, times: RunTimes, waiting: int) -> float:
        """How many clips end in a second: as seen lately or by Little's law, whichever is more.

        Long jobs end in waves. Between two of them few end, and what is spare then can't be kept for the next one.
        """
        while self._ends and self._ends[0] < now - ENDS_S:
            self._ends.popleft()
        in_flight_s = max(times.typical + times.looks(self.looks).lag, 1e-3)
        return max(len(self._ends) / ENDS_S, waiting / in_flight_s)
