"""Our errors, what each means for the run, and the exit codes.

    BatchgenError                   stops what the user asked for          exit code
     ├── (itself)                   a fault of batchgen                     1
     ├── UsageError                 command, options or environment         2
     │    ├── ManifestError         all faults of a manifest                2
     │    ├── ProxyError            the machine's proxy can't be used       2
     │    └── LedgerError           the ledger can't be used as it is       2
     ├── LedgerWriteError           nothing may be submitted                4
      │    └── LedgerLostError       the ledger is gone, or another run's    4
      ├── DiskFullError              no file can be written                  4
      ├── OutputError                the answer, or a file of it, can't be written   4
     ├── LockedError                another run holds the batch             6
     └── IllegalEventError          a fault of batchgen                     1
    CallError                       a call to the provider: what becomes of the clip is the core's affair
     ├── ClipError                  this clip, refused for good and free    3 at the end of the run
     ├── TryAgain                   now: wait and try again                 4 if it outlasts `--give-up`
     │    ├── RateLimited           one call too many
     │    ├── Unreachable           nothing left this machine
     │    └── ServerError           the service's own error
     ├── AccountError               the account or the model                4 unless waiting ends it
     ├── UnsureError                a POST that may have been accepted      5 unless the history knows it
     └── UnknownError               the history could not answer
    DownloadError                   the file: the generation stays paid for
     ├── DeadLink                   try again, ask for another link         4 if it outlasts the run's patience
     ├── BrokenFile                 as a dead link
     ├── AddressRefused             as a dead link
     ├── NameTaken                  as a dead link, after another name
     └── TransferFailed             wait and fetch again                    4 if it outlasts the run's patience
          └── PathTrouble           the same; its host has no part in it

A provider raises nothing but `CallError`s (and, for a video that its own answer holds, `DownloadError`s). Any other
exception is a fault of batchgen: exit code 1.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum, IntEnum


class Exit(IntEnum):
    """Exit codes, fixed permanently; where several hold, the order of `PRECEDENCE` decides."""

    OK = 0
    BUG = 1
    USAGE = 2
    SOME_FAILED = 3
    STOPPED = 4
    NEEDS_DECISION = 5
    LOCKED = 6
    INTERRUPTED = 130
    TERMINATED = 143


class BatchgenError(Exception):
    """Something that batchgen can explain went wrong.

    Args:
        message: what happened, where, and what to do; by default the first line of the class's docstring.
        tip: what to try instead, as in "did you mean night?"; the command line shows it on a line of its own.
    """

    exit_code = Exit.BUG
    code = "bug"  #: the word for it in the `error` of `--json`

    def __init__(self, message: str = "", *, tip: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.tip = tip
        super().__init__(f"{self.message}; {tip}" if tip else self.message)


class UsageError(BatchgenError):
    """The command, its options or its environment can't be obeyed."""

    exit_code = Exit.USAGE
    code = "usage"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a manifest: where, what, and how to fix it.

    `line` and `column` count from 1; 0 means that it is not known.
    """

    file: str
    line: int
    column: int
    what: str
    fix: str = ""
    source: str = ""  #: the line that is meant; "" where it is not known, or may hold a secret

    def __str__(self) -> str:
        """Give `file:line:column: what: how to fix it`, leaving out what is not known."""
        place = self.file + (f":{self.line}:{self.column}" if self.line else "")
        return f"{place}: {self.what}" + (f": {self.fix}" if self.fix else "")


class ManifestError(UsageError):
    """The manifest has faults; all of them are listed."""

    code = "manifest"

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class ProxyError(UsageError):
    """The proxy that the environment names can't be used; its address is not shown, since it may hold a password."""


class LockedError(BatchgenError):
    """Another run holds this batch."""

    exit_code = Exit.LOCKED
    code = "locked"


class LedgerError(UsageError):
    """The ledger can't be used as it is; nothing in it was changed."""

    code = "ledger"


class LedgerWriteError(BatchgenError):
    """The ledger can't be written, so nothing may be submitted."""

    exit_code = Exit.STOPPED
    code = "ledger_write"


class LedgerLostError(LedgerWriteError):
    """The ledger is no longer this run's: deleted, moved or replaced while the run used it, or taken over by another.

    Args:
        message: what happened to which file, and what to do.
        there: True where the file is still there, in another run's hands.
    """

    def __init__(self, message: str, *, there: bool = False) -> None:
        super().__init__(message)
        self.there = there


class DiskFullError(BatchgenError):
    """The folder of the clips takes no file: the disk is full, can't be written, or the folder is gone."""

    exit_code = Exit.STOPPED
    code = "disk_full"


class OutputError(BatchgenError):
    """The answer, or a file that the user asked for, can't be written."""

    exit_code = Exit.STOPPED
    code = "output"

    @classmethod
    def of(cls, where: object, error: OSError) -> OutputError:
        """Make one of a system error: "cannot write plan.json: disk full"; a name that can't be right is usage."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        made = cls(f"cannot write {where}: {'disk full' if full else error.strerror or error}")
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG):
            made.exit_code = Exit.USAGE
        return made


class IllegalEventError(BatchgenError):
    """An event came that the clip's state has no arrow for: a fault of batchgen."""


class CallError(Exception):
    """A call to the provider did not give what was asked.

    Args:
        message: in plain words, the provider's own text included; never holds the key.
        status: the HTTP status, or None when there was no answer.
        retry_after: seconds that the server asked us to wait, already clamped; None if it said nothing.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ClipError(CallError):
    """About this clip: refused for good, and free. `blocked` marks a content rule."""

    def __init__(self, message: str, *, status: int | None = None, blocked: bool = False) -> None:
        super().__init__(message, status=status)
        self.blocked = blocked


class TryAgain(CallError):
    """About now: surely not accepted (or a GET that can be asked again); wait and try again."""


class RateLimited(TryAgain):
    """The service refused the call as one too many (429, or a 403 in such words)."""


class Unreachable(TryAgain):
    """Nothing left this machine: refused connection, DNS, TLS.

    Args:
        message: as for every `CallError`.
        needs_user: it is no outage: a certificate that is not trusted, a proxy that refuses. A person has to act.
    """

    def __init__(self, message: str, *, needs_user: bool = False) -> None:
        super().__init__(message)
        self.needs_user = needs_user


class ServerError(TryAgain):
    """The API's own 500; or a GET that met a gateway's error, or an answer that says nothing."""


class EndedBy(Enum):
    """What can end trouble with the account while the run waits."""

    USER = "a person has to act: waiting can't help"
    IN_FLIGHT = "the end of what is in flight: the service holds credits back for it"
    TIME = "time"


class AccountProblem(Enum):
    """What is wrong with the account or the model: a word for it, what can end it, and what the user can do."""

    KEY = ("key", EndedBy.USER, "check the API key (batchgen doctor)")
    FORBIDDEN = (
        *("forbidden", EndedBy.USER),
        "ask the administrator of the account whether its plan and team may use this model",
    )
    THROTTLED = ("throttled", EndedBy.TIME, "the account is throttled: wait, or ask the service why")
    NETWORK = (
        *("network", EndedBy.TIME),
        "a proxy, firewall or filter on the way refused the call: use another network, or have the address allowed",
    )
    REDIRECT = ("redirect", EndedBy.TIME, "check --base-url")
    ALIKE = (
        *("all refused", EndedBy.TIME),
        "different clips were refused in the same words: check the account, or what these clips have in common",
    )
    CREDITS = ("credits", EndedBy.IN_FLIGHT, "top up the account")
    SPEND_LIMIT = ("spend-limit", EndedBy.IN_FLIGHT, "raise the team's spend limit")
    MODEL = ("model", EndedBy.USER, "check model: in the manifest, and --base-url; the service does not know it")
    RETIRED = ("retired", EndedBy.USER, "choose another model in the manifest; the service has withdrawn this one")
    BUG = ("bug", EndedBy.USER, "please report this")

    def __init__(self, word: str, ended_by: EndedBy, advice: str) -> None:
        self.word = word
        self.ended_by = ended_by
        self.advice = advice

    @property
    def everywhere(self) -> bool:
        """True for what stops every batch of the account, whatever its clips and models are."""
        kind = AccountProblem
        return self in (kind.KEY, kind.CREDITS, kind.SPEND_LIMIT, kind.THROTTLED)

    def __str__(self) -> str:
        """Give the word for it."""
        return self.word


class AccountError(CallError):
    """About the account or the model: the batch pauses, all stays resumable.

    Args:
        problem: what is wrong.
        collects: True when what is in flight can still be polled and fetched.
    """

    def __init__(
        self, message: str, problem: AccountProblem, *, status: int | None = None, collects: bool = True
    ) -> None:
        super().__init__(message, status=status)
        self.problem = problem
        self.collects = collects

    @property
    def explained(self) -> str:
        """The trouble and what to do, in one line; nothing is lost by it."""
        return f"{self.problem}: {self}: {self.problem.advice}, then run again"


class UnsureError(CallError):
    """A POST that may have been accepted: its answer never came, or can't be read."""


class UnknownError(CallError):
    """The request history could not answer: nothing may be concluded."""


class DownloadError(Exception):
    """The file could not be fetched; the generation stays paid for."""


class DeadLink(DownloadError):
    """The host refuses the link (403, 404, 410): it may be the host's trouble, or there may be another link."""


class BrokenFile(DownloadError):
    """It came whole, as the server sees it, and is no sound MP4."""


class AddressRefused(DownloadError):
    """An address that we may not fetch from."""


class NameTaken(DownloadError):
    """Another file has the final name, and is never overwritten."""


class TransferFailed(DownloadError):
    """Trouble of the network, the server or one path outlasted the tries."""


class PathTrouble(TransferFailed):
    """One path of the disk can't be written, or has no room for this one file."""
