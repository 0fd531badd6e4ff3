"""What can happen to a clip: the events that ledger, display, log and report are fed with. Pure values.

Money is counted in whole micro-dollars (1e-6 USD, `int`), times in seconds since the epoch (UTC, `float`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, get_args


@dataclass(frozen=True, slots=True)
class SubmitStarted:
    """The intent: on disk before the POST leaves. `reserved` is set aside with it."""

    at: float
    reserved: int = 0
    sent: str | None = None
    estimate: int | None = None  #: the likely price, which the bill compares with the charge


@dataclass(frozen=True, slots=True)
class Submitted:
    """The provider accepted it (or history shows that it runs). On disk before the first poll."""

    request_id: str
    at: float


@dataclass(frozen=True, slots=True)
class SubmitDeferred:
    """Surely not accepted, or refused for now; `counts` marks the API's own 500."""

    reason: str
    counts: bool = False


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """The POST may have been accepted, and its answer never came."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused or failed for good, free of charge. `transient`: by the service's own trouble, not by what was asked."""

    reason: str
    transient: bool = False
    poll_count: int | None = None  #: as of `Generated`


@dataclass(frozen=True, slots=True)
class Blocked:
    """Stopped by the provider's content rules, free of charge."""

    reason: str
    poll_count: int | None = None  #: as of `Generated`


@dataclass(frozen=True, slots=True)
class FailedForNow:
    """FAILED for a transient cause, free, with attempts left."""

    reason: str
    poll_count: int | None = None  #: as of `Generated`


@dataclass(frozen=True, slots=True)
class Generated:
    """COMPLETED: cost and link, on disk before the download. Again while downloading: a renewed link."""

    url: str
    at: float
    cost: int | None = None
    file_size: int | None = None
    queue_s: float | None = None
    run_s: float | None = None
    request_id: str | None = None  #: set when history found it
    poll_count: int | None = None  #: status calls that it took; None: not known, since an earlier run made some of them


@dataclass(frozen=True, slots=True)
class Lost:
    """Every known way to the file is closed. `cost` when the provider reported it all the same."""

    reason: str
    cost: int | None = None
    poll_count: int | None = None  #: as of `Generated`


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The file is whole, checked, and under its final name."""

    file: str
    bytes: int
    sha256: str
    flags: str = ""
    seconds: float | None = None  #: of video


@dataclass(frozen=True, slots=True)
class Released:
    """The user decided: submit again. `absent`: a whole history proved that nothing was accepted."""

    reason: str
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The user decided: stop looking for it. What it may have cost stays in the bill."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retried:
    """The user asked for another try."""


@dataclass(frozen=True, slots=True)
class FileMissing:
    """verify: the file of a done clip is gone or damaged; its link may live."""

    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The file of a done clip has another name under `clips/`: written after the move, once that is durable."""

    file: str
    old_file: str


Event: TypeAlias = (
    SubmitStarted
    | Submitted
    | SubmitDeferred
    | AnswerLost
    | Failed
    | Blocked
    | FailedForNow
    | Generated
    | Lost
    | Downloaded
    | Released
    | Forgotten
    | Retried
    | FileMissing
    | Moved
)
EVENTS: tuple[type[Event], ...] = get_args(Event)
#: Fields of events and requests that files know by another name: columns of the ledger, lines of event logs.
FILE_NAMES: Mapping[str, str] = MappingProxyType({"reserved": "held", "poll_count": "looks"})
#: What ends the wait for a request.
Ending: TypeAlias = Generated | Failed | Blocked | FailedForNow | Lost
