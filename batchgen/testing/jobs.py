"""What the in-memory service works on: clips, accepted jobs, and scripts of what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.clip import Wanted
from batchgen.errors import (
    AccountError,
    AccountProblem,
    CallError,
    ClipError,
    RateLimited,
    ServerError,
    Unreachable,
    UnsureError,
)
from batchgen.providers.base import Cause, Completed, Refused, Running

#: Fates of jobs that end as FAILED, and are free.
FAILURES = frozenset(Cause)
COST = 625_000
MODEL = "wan-2.5-t2v"

#: What a POST can meet: a word of this table, or "ok", "lost" (accepted, the answer never comes), "error" (accepted,
#: and answered with the service's own 500).
TROUBLE: dict[str, Callable[[], CallError]] = {
    "rate": lambda: RateLimited("429", status=429),
    "rate-30": lambda: RateLimited("429", status=429, retry_after=30.0),
    "unreachable": lambda: Unreachable("connection refused"),
    "server": lambda: ServerError("500 internal error", status=500),
    "arrears": lambda: ClipError("400 Arrearage: the account is not in good standing", status=400),
    "refused": lambda: ClipError("422 seed must be a number", status=422),
    "blocked": lambda: ClipError("content policy", status=422, blocked=True),
    "unsure": lambda: UnsureError("504 gateway time-out", status=504),
    "maintenance": lambda: UnsureError("503 maintenance", status=503, retry_after=120.0),
    "page": lambda: ServerError("503 maintenance", status=503, retry_after=120.0),
    "untrusted": lambda: Unreachable("its certificate is not trusted", needs_user=True),
    "key": lambda: AccountError("401 invalid key", AccountProblem.KEY, status=401, collects=False),
    "credits": lambda: AccountError("406 insufficient credits", AccountProblem.CREDITS, status=406),
    "spend": lambda: AccountError("406 team spend limit", AccountProblem.SPEND_LIMIT, status=406),
    "throttled": lambda: AccountError("403 try again later", AccountProblem.THROTTLED, status=403),
    "network": lambda: AccountError("403 a web page", AccountProblem.NETWORK, status=403),
    "redirect": lambda: AccountError("308 the service redirects", AccountProblem.REDIRECT, status=308),
    "forbidden": lambda: AccountError("403 not allowed", AccountProblem.FORBIDDEN, status=403),
    "model": lambda: AccountError("404 no such model", AccountProblem.MODEL, status=404),
    "retired": lambda: AccountError("410 retired", AccountProblem.RETIRED, status=410),
}
#: The words with which a POST is accepted.
ACCEPTED = ("ok", "lost", "error")


def trouble(word: str) -> CallError:
    """The error that a word of the table stands for."""
    return TROUBLE[word]()


def wanted(n: int, take: int = 1, **params: object) -> Wanted:
    """One clip; no two have the same parameters."""
    values = {"prompt": f"shot {n}", "seed": 1000 * take + n, "size": "1280*720", "duration": 5, **params}
    text = json.dumps(values, sort_keys=True)
    return Wanted(f"k{n}.{take}", f"shot{n}", take, MODEL, text, f"shot{n}_{take}", order=n)


def identity(params: Mapping[str, Any]) -> str:
    """What makes two submissions the same video."""
    return json.dumps(params, sort_keys=True)


@dataclass
class FakeJob:
    """One accepted submission, in the service's own books."""

    request_id: str
    model: str
    params: Mapping[str, Any]
    at: float  #: epoch seconds
    starts: float
    ends: float
    #: "done"; "transient", "final", "blocked" (FAILED, free); "charged" (FAILED, and charged); "too soon" (FAILED by
    #: the record, until it is done); "contradicts" (COMPLETED, and FAILED by the result); "stuck", "no-url", "inline"
    fate: str = "done"
    cost: int | None = COST

    @property
    def free(self) -> bool:
        """True when it is never charged."""
        return self.fate in FAILURES

    @property
    def charged(self) -> int | None:
        """What the account is charged for it once it has ended; a failure of the fate "charged" is, too."""
        return 0 if self.free else self.cost

    @property
    def url(self) -> str:
        """Where its file is."""
        return f"https://files.example/{self.request_id}.mp4"


def always(word: str) -> Callable[..., str]:
    """A script that always says the same."""
    return lambda *_: word


def first(*words: str, then: str = "ok") -> Callable[..., str]:
    """A script that says these words one after the other, and then always another."""
    left = list(words)
    return lambda *_: left.pop(0) if left else then


def done(*_: object) -> str:
    """The script in which all jobs end well."""
    return "done"


def outcome_of(job: FakeJob, now: float) -> Running | Completed | Refused:
    """What the service knows of a job at a time."""
    if job.fate == "too soon" and job.starts + 10.0 <= now < job.ends:  # the record alone says so
        return Refused("FAILED: internal error", Cause.TRANSIENT)
    if now < job.ends or job.fate == "stuck":
        queued = now < job.starts
        return Running("IN_QUEUE" if queued else "IN_PROGRESS", queued=queued)
    if job.fate in FAILURES:
        return Refused(f"FAILED: {job.fate}", Cause(job.fate))
    if job.fate == "charged":
        return Refused("FAILED: internal error", Cause.TRANSIENT)
    url = None if job.fate in ("no-url", "inline") else job.url
    return Completed(url, job.cost, None, job.starts - job.at, job.ends - job.starts, body="{}" if url is None else "")
