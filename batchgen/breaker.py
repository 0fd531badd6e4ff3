"""Circuit breakers, and how long each kind of trouble waits between tries: account, service, history, files. Pure.

After a failure nobody asks for a while; then one probe goes, further and further apart.

    closed ──a failure──▶ open ──its time is over──▶ half-open: one probe at a time ──success──▶ closed
                           ▲                               │
                           └───────── the probe failed ────┘

Whether it has lasted too long is for the user's `--give-up`, and so for the one who asks. Times are seconds by one
clock that never jumps, and are passed in; so are the dice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from batchgen.retry import CAP_S, delay


@dataclass(frozen=True, slots=True)
class Backoff:
    """How far apart the probes are, in seconds."""

    base_s: float = 1.0  #: the ceiling of the first wait, doubled by each probe that fails
    cap_s: float = CAP_S
    least: float = 0.5  #: the part of a ceiling that is waited at least; the dice give the rest
    lease_s: float = math.inf  #: a probe that has not reported for so long is given up for lost


#: The account refuses (`runner.trouble_gates.AccountGate`): a person has to act, or what is in flight must end.
ACCOUNT = Backoff(base_s=30.0, cap_s=600.0)
#: Different clips are refused in the same words (`runner.trouble_gates.AlikeRefusals`): a refusal is free, and one of
#: the clips behind them may well be accepted.
ALIKE = Backoff(base_s=2.0, cap_s=15.0, least=1.0)
#: The service answers every submission with an error of its own (`runner.trouble_gates.ServiceGate`).
SERVICE = Backoff(least=1.0)
#: Submissions in a row have no clear answer, and each of them may have been paid for: a free GET is the probe.
SILENCE = Backoff(least=1.0)
#: Such a GET was answered, and the one POST that went first was not.
TRIAL = Backoff(base_s=30.0, cap_s=600.0, least=1.0)
#: The request history refuses its calls (`runner.cross_check`); a row is kept for long, so a wait costs little.
HISTORY = Backoff(base_s=2.0, cap_s=600.0)
#: A file, or a new link for it, can't be had now (`runner.fetch`); each file has its own.
DOWNLOAD = Backoff()
#: The API is out of reach (`ratelimit.limiter`): any call is the probe, and one that is cancelled never reports.
OUTAGE = Backoff(lease_s=CAP_S)
#: A local file can't be uploaded now (`runner.submit`); each file has its own.
UPLOAD = Backoff(least=0.0)


@dataclass(slots=True, eq=False, repr=False)
class CircuitBreaker:
    """One thing that may be in trouble."""

    backoff: Backoff  #: its numbers, one of the table above
    dice: Callable[[], float] = random.random  #: gives numbers from 0 to 1 for the jitter
    tries: int = 0  #: failures that counted since it opened; 0 while it is closed
    _since: float = 0.0
    _next_at: float = -math.inf
    _lease_ends: float = -math.inf

    def __repr__(self) -> str:
        """Say how it stands, for logs and tests."""
        return f"<CircuitBreaker {'closed' if self.closed else f'open, {self.tries} tries'}>"

    @property
    def closed(self) -> bool:
        """True while there is no trouble."""
        return self.tries == 0

    @property
    def until(self) -> float:
        """Before this time nobody should ask; in the past when somebody may."""
        return max(self._next_at, self._lease_ends)

    def lasted_s(self, now: float) -> float:
        """Give for how long it has been open; 0 when it is closed."""
        return 0.0 if self.closed else now - self._since

    def probe(self, now: float) -> None:
        """One goes to see, and the others wait for what it meets. Nothing happens while it is closed."""
        if not self.closed:
            self._lease_ends = now + self.backoff.lease_s

    def release(self) -> None:
        """The probe did not get that far: another one may go."""
        self._lease_ends = -math.inf

    def failed(self, now: float, *, hint: float | None = None) -> bool:
        """Open it, or wait longer; False for what had left before it opened, which says nothing new.

        `hint` is how many seconds the other side asked us to wait.
        """
        probing = self._lease_ends > now
        if not self.closed and not probing and now < self._next_at:
            return False
        if self.closed:
            self._since = now
        self.tries += 1
        self._lease_ends = -math.inf
        dice = self.backoff.least + (1.0 - self.backoff.least) * self.dice()
        self._next_at = now + delay(self.tries, hint=hint, dice=dice, base=self.backoff.base_s, cap=self.backoff.cap_s)
        return True

    def succeeded(self) -> bool:
        """Close it; True when it was open."""
        was_open = not self.closed
        self.tries, self._next_at, self._lease_ends = 0, -math.inf, -math.inf
        return was_open
