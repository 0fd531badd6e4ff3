"""What the steps of a clip's life share: the tools of a run, how it is stopped, and news of each other's progress."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from batchgen.clip import Clip, Wanted
from batchgen.errors import AccountError, DiskFullError, Exit, LedgerError, LedgerLostError, LedgerWriteError
from batchgen.files.mp4 import Expect, Fetched
from batchgen.history.reconcile import Reconciler
from batchgen.ledger import Ledger
from batchgen.polling.poller import Poller
from batchgen.polling.schedule import RunTimes
from batchgen.providers.base import Provider, Source
from batchgen.ratelimit.base import Pacer
from batchgen.ratelimit.concurrency import ConcurrencyLimit
from batchgen.runner.recovery_check import RecoveryCheck
from batchgen.window import Window

log = logging.getLogger("batchgen.run")

#: A Date header has whole seconds, and its answer was on the way: less than this is no fault of a clock (seconds).
CLOCK_OFF_S = 60.0


#: Of several reasons to stop, the exit code of the first of these counts.
_GRAVEST_FIRST = (Exit.INTERRUPTED, Exit.TERMINATED, Exit.STOPPED)
#: As `submission_order` gives it.
Rank: TypeAlias = tuple[int, int, int, int]


class Downloads(Protocol):
    """What fetches and checks a file (see `batchgen.download`)."""

    async def fetch(
        self, url: str, target: Path, expect: Expect, finish: Callable[[Path, Fetched], None] | None = None
    ) -> Fetched:
        """Return when the file is whole, checked and under its final name."""
        ...

    async def keep(
        self, source: Source, target: Path, expect: Expect, finish: Callable[[Path, Fetched], None] | None = None
    ) -> Fetched:
        """Do the same with a body that is the service's own answer."""
        ...


def boot_clock() -> float:
    """Give seconds by a clock that goes on while the machine is suspended, where the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(slots=True)
class Notifier:
    """Wakes all who wait for something to have changed."""

    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for the next `notify`, or for some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()


@dataclass
class Shutdown:
    """How a run ends before its work does: why, with which exit code, and how long it still collects.

    Pulled once or more; each pull can only shorten what is left. Submissions are closed by the first.

    `grace_s` counts from the pull; infinite means: collect all that is in flight (drain).
    """

    why: str = ""
    exit: Exit | None = None
    needs_edit: bool = False  #: the same run would end at once again: a cap has to be raised, or a price written
    by_budget: bool = False  #: a cap is reached, or a price is not known under one
    by_account: bool = False  #: the account is dead: no other batch of it could go on either
    now: bool = False  #: leave at once, even with answers outstanding
    _until: float = field(default=math.inf, init=False, repr=False)
    _changed: asyncio.Future[None] | None = field(default=None, init=False, repr=False)

    @property
    def requested(self) -> bool:
        """True once nothing more may be submitted."""
        return self.exit is not None

    def request(
        self,
        why: str,
        exit_code: Exit,
        *,
        grace_s: float = math.inf,
        now: bool = False,
        needs_edit: bool = False,
        by_budget: bool = False,
        by_account: bool = False,
    ) -> None:
        """Stop submitting, and stop collecting `grace_s` seconds from now."""
        if self.exit is None or _GRAVEST_FIRST.index(exit_code) < _GRAVEST_FIRST.index(self.exit):
            self.why, self.exit, self.needs_edit = why, exit_code, needs_edit
            self.by_budget, self.by_account = by_budget, by_account
        self.now = self.now or now
        self._until = min(self._until, asyncio.get_running_loop().time() + grace_s)
        if self._changed and not self._changed.done():
            self._changed.set_result(None)

    def left_s(self) -> float | None:
        """Seconds that may still be spent on collecting; None while there is no end to it."""
        if math.isinf(self._until):
            return None
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def next_request(self) -> asyncio.Future[None]:
        """Give a future that is done at the next pull."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed


@dataclass(slots=True)
class InFlightSlot:
    """One clip's hold on a slot in flight; given back once."""

    places: ConcurrencyLimit
    held: bool = True
    taken: int = field(init=False)  #: how many were taken when it was, this one included
    generation: int = field(init=False)  #: of the limit, when it was taken

    def __post_init__(self) -> None:
        """Note how full it was."""
        self.taken, self.generation = self.places.taken, self.places.generation

    def release(self) -> None:
        """Give it back, if it was not yet."""
        if self.held:
            self.held = False
            self.places.release()


@dataclass(slots=True)
class Candidate:
    """One clip that is to be submitted."""

    row: int
    rank: Rank
    wanted: Wanted
    price_class: str
    reserved: bool = False  #: its own reservation stands for it


class Gate(Protocol):
    """One reason not to submit now.

    It says at once and without an await why it is closed for a candidate at a time, and it waits for a change. Where no
    change can come in this run, waiting stops the run.
    """

    def closed_for(self, candidate: Candidate, at: float) -> str | None:
        """Say why a candidate may not go at that time (epoch seconds); None: it may."""
        ...

    async def wait(self, candidate: Candidate) -> None:
        """Wait until it may be open.

        Raises:
            SubmissionStoppedError: it never will in this run, which stops for it; or the run stops anyway.
        """
        ...


@dataclass
class RunContext:
    """The tools of a run. Limits are objects passed in; nothing here is global."""

    ledger: Ledger
    provider: Provider  #: its calls ask the pacer (`PacedProvider`), all but submissions
    pacer: Pacer
    poller: Poller
    places: ConcurrencyLimit
    downloads: Downloads
    shutdown: Shutdown
    clips_dir: Path
    price: Callable[[Wanted], int | None]  #: the worst price in micro-dollars; None: unknown
    estimate: Callable[[Wanted], int | None]  #: the likely price, for the bill; None: unknown
    reconciler: Reconciler  #: looks clips up in the account's history
    run_times: Callable[[str], RunTimes]  #: what is known of a price class
    submit_concurrency: int = 8
    give_up_s: float = 7200.0
    deadline_s: float = 3300.0  #: after submission, by the wall
    started_at: float = 0.0  #: when this run began, by the wall
    left: dict[int, str] = field(default_factory=dict)  #: rows whose files are left for the next run, and why
    dice: Callable[[], float] = random.random
    boot_clock: Callable[[], float] = boot_clock  #: seconds, those of a suspended machine included
    news: Notifier = field(default_factory=Notifier)
    alarm: str = ""  #: what of the paid clips is about to be lost to us, in words
    posts_out: int = 0  #: POSTs that wait for their answer
    #: Rows whose reservation becomes a cost, or is freed, without us, and their price classes.
    in_flight: dict[int, str] = field(default_factory=dict)
    settling: bool = False  #: the history is being read for clips in doubt, whose reservations it may free
    window: Window | None = None  #: the hours of submission
    wait: bool = True  #: for the window to open; False: end then
    until: float | None = None  #: when submissions end (epoch seconds)
    recovery_check: RecoveryCheck | None = None  #: what a rebuilt ledger must ask before it submits
    retuned: str = ""  #: what the user has set for the rest of the run, in words
    paused: bool = False  #: the user wants nothing to be submitted for now; what is in flight is collected
    waits: str = ""  #: what submissions wait for, in words; "" when they don't
    outage: str = ""  #: of what kind, since when and how long it is waited for, in words; "" while there is none
    aside: dict[int, None] = field(default_factory=dict)  #: rows refused for no fault of their own: last in this run

    def clock_off(self) -> float | None:
        """Give how far the service's clock is ahead of ours, where that matters; else None."""
        off = self.provider.clock_off_s
        return None if off is None or abs(off) < CLOCK_OFF_S else round(off)

    def age_s(self, clip: Clip) -> float:
        """Give how long ago a clip's last request was submitted, in seconds."""
        return self.ledger.now() - (clip.request.requested_at if clip.request else 0.0)

    def not_in_flight(self, clip: Clip) -> None:
        """Take note that a clip's reservation has become a cost, or will not become one in this run."""
        self.in_flight.pop(clip.row, None)
        self.news.notify()

    async def pause(self, seconds: float) -> None:
        """Wait before another try; the shutdown cuts it short."""
        await asyncio.wait({self.shutdown.next_request()}, timeout=seconds)

    def disk_trouble(self, error: LedgerError | LedgerWriteError | DiskFullError) -> None:
        """Stop the run: nothing can be written any more."""
        log.error("%s", error)
        word = "ledger" if isinstance(error, LedgerLostError) else "disk"
        self.shutdown.request(f"{word}: {error}", Exit.STOPPED, grace_s=0.0)

    def account_trouble(self, error: AccountError) -> None:
        """Stop submitting; what is in flight is collected if the account still lets us."""
        grace_s = math.inf if error.collects else 0.0
        self.shutdown.request(error.explained, Exit.STOPPED, grace_s=grace_s, by_account=error.problem.everywhere)
