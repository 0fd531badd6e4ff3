"""The seam between a run and the store of its batch: what the runner may ask of a ledger, and what it is promised.

`SqliteLedger` is the first implementation. Every promise here is tested by `tests/ledger_conformance.py`, which
any further one has to pass. Views and commands that only read use `Reader` instead.

Money is counted in whole micro-dollars (1e-6 USD), times in seconds since the epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from batchgen.billing.budget import NOTHING_SET_ASIDE, Budget, Cap, SetAside
from batchgen.clip import Clip, State
from batchgen.errors import BatchgenError
from batchgen.events import Event

#: Called after an event is on disk, with the clip as it is then.
Observer: TypeAlias = Callable[[Clip, Event], None]


class FencedError(BatchgenError):
    """The clip is no longer what the caller holds: another one has moved it. Nothing was written."""


class SkippedError(FencedError):
    """The user picked another take of its prompt: it is not to be made. Nothing was written."""


class NoRoomError(BatchgenError):
    """A cap, or the in-flight ceiling, leaves no room for one more request. Nothing was written.

    Args:
        cap: which of them.
    """

    def __init__(self, cap: Cap) -> None:
        super().__init__(f"no room for another request: {cap}")
        self.cap = cap


@dataclass(frozen=True, slots=True)
class Home:
    """Whom a batch belongs to: one manifest, one origin, one account."""

    manifest: str
    origin: str
    account: str


#: The fact that says how the last run began and ended, so that the next morning knows the night.
LAST_RUN = "last_run"
#: The fact with the hours of submission of the last run, as JSON; empty: it had none.
WINDOW = "window"
#: Why a run ended that wrote down no end.
KILLED = "did not end (killed or power cut)"


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a batch. Times are epoch seconds."""

    began: float
    ended: float | None = None  #: None: it is at work, or was killed
    exit_code: int | None = None
    reason: str | None = None  #: why it ended early; None when it did not
    needs_edit: bool = False  #: the same run again would end at once for the same reason: a cap has to be raised first
    left_out: int = 0  #: clips that were left to a later run because --only, --limit or --plan said so


@dataclass(slots=True)
class Totals:
    """Counts of wanted clips by state, and of clips that are no longer wanted."""

    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    unwanted: int = 0


class Ledger(Protocol):
    """The store of one batch, as a run uses it.

    `money` and `live_totals` are mirrors: good for waiting and for display, exact as soon as no write is on its way.
    They never decide anything: the store checks the caps itself.
    """

    money: Budget
    live_totals: Totals
    observers: list[Observer]  #: called after every event of this process that is on disk

    def now(self) -> float:
        """Give the store's time: epoch seconds in whole microseconds, so that memory and disk hold the same."""
        ...

    # --- moves ----------------------------------------------------------------------------------------------

    async def claim(self, row: int) -> Clip | None:
        """Become the carrier of a clip and return it as it is stored.

        An intent that nobody carries is in doubt (`unconfirmed`) on disk before this returns.

        Returns:
            None when there is nothing to carry: the clip is settled, or unwanted and never sent, or not to be made
            since another take was picked, or another carrier is between its intent and its answer.
        """
        ...

    async def record(self, clip: Clip, event: Event, *, set_aside: SetAside | None = NOTHING_SET_ASIDE) -> Clip:
        """Advance the clip by one event, in one durable write, and return it when the event is on disk.

        The write is fenced in the store: it is made only if the stored clip still has the state, the request
        number and the request id of `clip`. The write that reserves (`SubmitStarted`) is made only if it fits
        into all caps and the in-flight ceiling, by the store's own sums.

        Args:
            clip: as the caller holds it.
            event: what happened.
            set_aside: what must stay free for clips that come before this one. None: nothing is going to be sent
                for this event, so that no cap applies.

        Raises:
            IllegalEventError: the clip's state has no such arrow; nothing was written.
            FencedError: the clip is no longer what the caller holds. A request id that comes too late is kept.
            SkippedError: it is not to be made; only for `SubmitStarted` of what is to be sent.
            NoRoomError: a cap or the ceiling leaves no room; only for `SubmitStarted`.
            LedgerWriteError: it could not be written; a request id was kept in the spill file.
        """
        ...

    async def settle(self) -> None:
        """Wait until all that was recorded is on disk, or could not be written."""
        ...

    # --- facts ----------------------------------------------------------------------------------------------

    async def set_facts(self, facts: Mapping[str, str | None]) -> None:
        """Write facts in one transaction, on disk when this returns; None deletes one. Repeating it changes nothing.

        A fact of one clip has the name that `about(kind, row)` gives.
        """
        ...

    def meta(self, key: str) -> str | None:
        """Give one fact of the batch."""
        ...

    def facts(self, kind: str) -> dict[int, str]:
        """Give the facts of a kind by the clips' rows."""
        ...

    # --- questions of a run ---------------------------------------------------------------------------------

    async def read(self, row: int) -> Clip:
        """Give a clip as it is stored, without carrying it."""
        ...

    async def open_clips(self, *states: State) -> list[Clip]:
        """Give the clips in these states, the oldest request first."""
        ...

    async def to_collect(self) -> list[int]:
        """Give the rows of clips that are generating or wait for their download, the oldest request first."""
        ...

    async def to_submit(self) -> list[tuple[int, str, str]]:
        """Give the wanted clips to submit as (row, prompt id, name), in the order of submission; no skipped ones."""
        ...

    async def in_flight(self) -> int:
        """Count the requests that were sent and have not ended: clips that are submitting or generating."""
        ...

    async def known_ids(self) -> set[str]:
        """Give every request id that some clip of the batch has."""
        ...

    async def expected_ids(self, model: str, since: float, until: float) -> set[str]:
        """Give the ids that a complete history of this time must show: requests that were made in it and charged."""
        ...

    async def failures_charged(self, model: str) -> int:
        """Add up what requests for a model that FAILED were charged all the same, in micro-dollars."""
        ...

    async def count_by_price_class(self) -> list[tuple[int, int]]:
        """Group the clips to submit by what their price depends on: (row of one of them, how many)."""
        ...


def about(kind: str, row: int) -> str:
    """Name a fact of one clip."""
    return f"{kind}:{row}"


def replacing(kind: str, before: Iterable[int], texts: Mapping[int, str]) -> dict[str, str | None]:
    """Give the facts to set so that a kind has these texts by row, and no others of those that it had `before`."""
    gone: dict[str, str | None] = {about(kind, row): None for row in before}
    return gone | {about(kind, row): text for row, text in texts.items()}
