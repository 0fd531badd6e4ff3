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
    clock_off: float | None = None  #: how far the service's clock was ahead of ours, where that is not next to nothing


@dataclass(frozen=True, slots=True)
class Submitted:
    """The provider accepted it (or history shows that it runs). On disk before the first poll."""

    request_id: str
    at: float


@dataclass(frozen=True, slots=True)
class SubmitDeferred:
    """Surely not accepted, or refused for now; `counts` marks the API's own 500 in ledgers of schema 3 and before."""

    reason: str
    counts: bool = False


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """The POST may have been accepted, and its answer never came, or was the service's own error (500).

    `error`: such an answer came, so that one look at the history decides; `counts`: it counts as a try of the clip.
    """

    reason: str
    clock_off: float | None = None  #: as of `SubmitStarted`, by what came in place of the answer
    error: bool = False
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused or failed for good. `transient`: by the service's own trouble, not by what was asked."""

    reason: str
    transient: bool = False
    poll_count: int | None = None  #: as of `Generated`
    cost: int | None = (
        None  #: what the account was charged all the same; 0: the record and the history agree on nothing
    )
    unproven: bool = False  #: the service says FAILED, and nothing says what it cost: it stays reserved


@dataclass(frozen=True, slots=True)
class Blocked:
    """Stopped by the provider's content rules."""

    reason: str
    poll_count: int | None = None  #: as of `Generated`
    cost: int | None = None  #: as of `Failed`
    unproven: bool = False  #: as of `Failed`


@dataclass(frozen=True, slots=True)
class FailedForNow:
    """FAILED for a transient cause, free, with attempts left."""

    reason: str
    poll_count: int | None = None  #: as of `Generated`
    cost: int | None = None  #: 0: surely nothing; None in ledgers of schema 3 and before


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
    other_links: str | None = None  #: further links of the answer, one a line: the film may be behind one of them
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
    """Another try: the user asked for it, or (with a reason) the refusal turned out not to be about this clip."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reopened:
    """The record or the history no longer says FAILED: the same request is asked for again, and not sent again."""

    reason: str


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
    | Reopened
    | FileMissing
    | Moved
)
EVENTS: tuple[type[Event], ...] = get_args(Event)
#: Fields of events and requests that files know by another name: columns of the ledger, lines of event logs.
FILE_NAMES: Mapping[str, str] = MappingProxyType({"reserved": "held", "poll_count": "looks"})
#: What ends the wait for a request.
Ending: TypeAlias = Generated | Failed | Blocked | FailedForNow | Lost
