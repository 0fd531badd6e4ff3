"""The provider protocol: the service that makes the video, as the core sees it.

A provider speaks its service's wire and *classifies*: every call either returns one of the small values
below or raises a `CallError` (see `batchgen.errors`). What then happens to the clip is the core's affair.
Seconds are seconds; money is micro-dollars; times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a submission that will be billed if it succeeds."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Running:
    """Queued or being worked on. `known` is False for a state word that we have never seen."""

    word: str
    known: bool = True
    queue_s: float | None = None
    queued: bool = False  #: surely accepted, and surely not begun yet


@dataclass(frozen=True, slots=True)
class Completed:
    """Ended well. `url` is None on a status answer, and when the service named no file."""

    url: str | None = None
    cost: int | None = None
    file_size: int | None = None
    queue_s: float | None = None
    run_s: float | None = None
    remaining_credits: int | None = None
    others: tuple[str, ...] = ()  #: further links of the answer, the likeliest first: the film may be behind one
    body: str = ""  #: what was answered, redacted and cut to 2,000 characters, kept when `url` is None


class Cause(StrEnum):
    """Why the service says that a job FAILED."""

    BLOCKED = "blocked"  #: content rules
    MODERATION = "moderation"  #: words of content rules and of trouble: one new try, then it counts as blocked
    TRANSIENT = "transient"  #: the service's own trouble; worth a new try
    UNKNOWN = "unknown"  #: nobody knows these words: one new try, since a failure is free
    FINAL = "final"  #: bad input: no automatic try


@dataclass(frozen=True, slots=True)
class Refused:
    """FAILED. Whether it is free is for the history to say, or for `Capabilities.failures_free`."""

    reason: str
    cause: Cause = Cause.FINAL


@dataclass(frozen=True, slots=True)
class Gone:
    """The service keeps no record of this id (any more)."""

    reason: str = ""


Outcome: TypeAlias = Running | Completed | Refused | Gone


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One request as the account's history shows it."""

    request_id: str
    model: str
    outcome: Running | Completed | Refused
    params: Mapping[str, Any] | None  #: as sent; None when the history did not give them readably
    at: float | None  #: when it was made, if the row says so
    charged: int | None = None  #: what the account paid for it, whatever became of it; None: the row does not say


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """All rows of a window, and whether it was read whole."""

    rows: list[HistoryRow] = field(default_factory=list)
    whole: bool = True
    server_time: float | None = None  #: by the Date header of the last answer
    pages: int = 1  #: how many answers it took


class HistoryReader(Protocol):
    """A window of the history, read call by call."""

    @property
    def ended(self) -> bool:
        """True when nothing more is to be read."""
        ...

    async def read(self) -> None:
        """Make the next call, and take in what it shows; raises as `Provider.lookup` does."""
        ...

    def page(self) -> HistoryPage:
        """Give what was read so far; `HistoryPage.whole` only once it has ended without a doubt."""
        ...


#: Opens a body: its bytes, as they come.
Source: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]


class Idempotency(Enum):
    """What a service does with the key of a submission that it has seen before."""

    NONE = "it knows no keys: every POST is another job"
    REPLAYS = "it gives the answer of the first one"
    REFUSES = "it refuses the second one"


class HistoryAccess(Enum):
    """What a service shows of requests whose record is gone."""

    WITH_INPUTS = "all requests of a window, with what was sent, and each by its id"
    BY_ID = "each by its id"
    NONE = "nothing"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a service can do, as far as the core must know it."""

    idempotency: Idempotency = Idempotency.NONE
    history: HistoryAccess = HistoryAccess.WITH_INPUTS
    failures_free: bool = False  #: the service says that a job which FAILED is not charged
    record_s: float = 3600.0  #: status and result can be asked for, from the submission
    file_s: float = 7 * 86400.0  #: the file is kept, from its completion
    calls_per_minute: float | None = None  #: that the service publishes for a usual account; None: it publishes none
    seeds: tuple[int, int] = (0, 2**31 - 1)  #: the smallest and the largest


def charge_of_failure(row: HistoryRow | None, can: Capabilities) -> int | None:
    """Say what a request that FAILED was charged, by a history that answered (micro-dollars); None: unknown.

    `row` None: the history has no such request, and so no charge for it.
    """
    if row is None or (row.charged is None and can.failures_free):
        return 0
    return row.charged


class Provider(Protocol):
    """What the core needs of a service. Every method that calls it may raise a `CallError`."""

    name: str
    origin: str

    @property
    def capabilities(self) -> Capabilities:
        """What the service can do."""
        ...

    @property
    def clock_off_s(self) -> float | None:
        """How far the service's clock is ahead of ours, in seconds, by its latest answer; None: it has not said."""
        ...

    async def submit(self, model: str, params: Mapping[str, Any], key: str) -> Accepted:
        """POST one paid job, once.

        `key` is made with the intent that is on disk before, and the same on every attempt of that intent. A service
        without idempotency never sees it.

        Raises:
            ClipError: refused for good.  TryAgain: surely not accepted.
            AccountError: the batch must pause.  UnsureError: it may have been accepted.
        """
        ...

    async def status(self, request_id: str) -> Outcome:
        """Ask how far a job is. Raises TryAgain (ask again) or AccountError; never UnsureError."""
        ...

    async def result(self, request_id: str) -> Outcome:
        """Fetch the link, cost and metrics of a completed job; raises as `status` does."""
        ...

    def video(self, url: str) -> Source | None:
        """Give what opens a link that is the service's own answer; None: it is a file's, and free to all.

        Only the service's own `result` makes such a link: it answered with the video in place of one. Opening it is
        a call as any other, and raises as `result` does, or DeadLink when there is no video any more.
        """
        ...

    async def lookup(self, request_id: str) -> HistoryRow | None:
        """Find one request of any age by its id; None: the history answered and has no such row.

        Raises:
            RateLimited: the call was one too many.  Unreachable: it never left this machine.
            UnknownError: no answer, a refusal, or an answer in another shape: nothing may be concluded.
        """
        ...

    def history(self, model: str, since: float, until: float) -> HistoryReader:
        """Give a reader of all requests for `model` in a window (epoch seconds)."""
        ...

    async def upload(self, path: Path) -> str:
        """Upload a local audio file and return its URL. Raises TryAgain, ClipError or AccountError."""
        ...

    async def balance(self) -> int:
        """Credits of the account in micro-dollars. Raises TryAgain or AccountError."""
        ...
