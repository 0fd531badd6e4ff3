"""Our errors, their fates and exit codes.

Two families. `BatchgenError` and its children stop what the user asked for; each knows its exit code.
`CallError` and its children are what a provider may raise from a call: the provider *classifies*
(this clip / now / the account / unsure), the core decides the fate. Any other exception is a fault of
batchgen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, fixed for ever; where several hold, the order of `PRECEDENCE` decides."""

    OK = 0
    BUG = 1
    USAGE = 2
    SOME_FAILED = 3
    STOPPED = 4
    WANTS_WORD = 5
    LOCKED = 6
    INTERRUPTED = 130
    TERMINATED = 143


class BatchgenError(Exception):
    """Something that batchgen can explain went wrong."""

    exit_code = Exit.BUG

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class UsageError(BatchgenError):
    """The command, its options or its environment can't be obeyed."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a manifest: where, what, and how to fix it.

    `line` and `column` count from 1; 0 means that the place is not known.
    """

    file: str
    line: int
    column: int
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """Give `file:line:column: what: how to fix it`, leaving out what is not known."""
        place = self.file + (f":{self.line}:{self.column}" if self.line else "")
        return f"{place}: {self.what}" + (f": {self.fix}" if self.fix else "")


class ManifestError(UsageError):
    """The manifest has faults; all of them are listed."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class LockedError(BatchgenError):
    """Another run holds this batch."""

    exit_code = Exit.LOCKED


class LedgerError(UsageError):
    """The ledger can't be used as it is; nothing in it was changed."""


class LedgerWriteError(BatchgenError):
    """The ledger can't be written, so nothing may be submitted."""

    exit_code = Exit.STOPPED


class DiskFullError(BatchgenError):
    """The disk is full; what was paid for is safe and is fetched by the next run."""

    exit_code = Exit.STOPPED


class IllegalEventError(BatchgenError):
    """An event came that the clip's state has no arrow for: a fault of batchgen."""


class CallError(Exception):
    """A call to the provider did not give what was asked.

    Args:
        message: in plain words, the provider's own text included; never holds the key.
        status: the HTTP status, or None when there was no answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ClipError(CallError):
    """About this clip: refused for good, and free. `blocked` marks a content rule."""

    def __init__(self, message: str, *, status: int | None = None, blocked: bool = False) -> None:
        super().__init__(message, status=status)
        self.blocked = blocked


class NowError(CallError):
    """About now: surely not accepted (or a GET that can be asked again); wait and try again.

    Args:
        kind: "rate" (429), "unreachable" (nothing left this machine: refused connection, DNS, TLS),
            or "server" (the API's own 500, or a GET that met a gateway error).
        retry_after: seconds that the server asked us to wait, already clamped; None if it said nothing.
    """

    def __init__(self, message: str, *, kind: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.kind = kind
        self.retry_after = retry_after


class AccountError(CallError):
    """About the account or the model: the batch pauses, all stays resumable.

    Args:
        reason: one word: "key", "forbidden", "throttled", "credits", "spend-limit", "model", "retired", "bug".
        collects: True when what is in flight can still be polled and fetched.
    """

    def __init__(self, message: str, *, reason: str, status: int | None = None, collects: bool = True) -> None:
        super().__init__(message, status=status)
        self.reason = reason
        self.collects = collects


class UnsureError(CallError):
    """A POST that may have been accepted: its answer never came, or can't be read."""


class UnknownError(CallError):
    """The request history could not answer: nothing may be concluded."""


class DownloadError(Exception):
    """The file could not be fetched; the generation stays paid for.

    Args:
        kind: "dead" (403, 404, 410: the link is gone, ask for another), "broken" (it came whole, as the
            server sees it, and is no sound MP4), "refused" (an address we may not fetch from),
            "trouble" (network or server trouble outlasted the tries).
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
