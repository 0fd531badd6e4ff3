"""What must hold: the service's books against the ledger and the folder, promise by promise. Pure.

A promise is broken with evidence: which clip, which requests. Money is in micro-dollars.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: Faults of the service after which nobody can get a paid file; such a clip must be reported as lost.
HOPELESS: Final = frozenset({"no_output", "broken_file"})
#: A failure that is charged all the same: nothing can be had for it, and the bill has it.
CHARGED: Final = frozenset({"failed_charged"})
SETTLED: Final = frozenset({"done", "failed", "blocked", "lost"})


@dataclass(frozen=True, slots=True)
class Booked:
    """A job that the service accepted: for which clip (its parameters), and what it took."""

    request_id: str
    clip: str
    charged: int
    fates: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kept:
    """A clip as the ledger has it: state, all its requests, and the file it names."""

    clip: str
    name: str
    state: str
    request_ids: tuple[str, ...] = ()
    request_id: str | None = None  #: of the last request
    file: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is compared at the end.

    Attributes:
        files: sha256 by name, of everything with a final name in the clips' folder.
        made: sha256 by request id, of what the service made.
        spent: the ledger's bill.
        leftovers: names of what is neither a clip nor its sidecar.
        final_exit: of the last run.
        ledger_lost: a ledger was lost on the way: a request that FAILED may be in no file any more.
    """

    booked: Sequence[Booked]
    kept: Sequence[Kept]
    files: Mapping[str, str]
    made: Mapping[str, str]
    spent: int
    leftovers: Sequence[str]
    final_exit: int
    ledger_lost: bool = False


@dataclass(slots=True)
class Promise:
    """One promise: how it was checked, how often, and what broke it."""

    name: str
    how: str
    checked: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when it was checked, and nothing broke it."""
        return self.checked > 0 and not self.findings


def verdict(evidence: Evidence) -> list[Promise]:
    """Hold the books against ledger and folder."""
    return [
        _paid_once(evidence),
        _none_lost(evidence),
        _whole(evidence),
        _known(evidence),
        _bill(evidence),
        _ended(evidence),
    ]


def _paid_once(evidence: Evidence) -> Promise:
    promise = Promise("never pays twice", "charged jobs in the service's books, counted by clip")
    clips = {kept.clip: kept.name for kept in evidence.kept}
    paid: dict[str, list[str]] = defaultdict(list)
    for job in evidence.booked:
        if job.clip not in clips:
            promise.findings.append(f"request {job.request_id} was accepted, and is no clip's: {job.clip[:200]}")
        elif job.charged and not _may_be_forgotten(evidence, job):
            paid[job.clip].append(job.request_id)
    promise.checked = len(paid)
    promise.findings += [
        f"{clips[clip]} was paid for {len(ids)} times: requests {', '.join(ids)}"
        for clip, ids in paid.items()
        if len(ids) > 1
    ]
    return promise


def _none_lost(evidence: Evidence) -> Promise:
    promise = Promise("never loses a paid clip", "every charged job: its clip is done, with the service's own bytes")
    clips = {kept.clip: kept for kept in evidence.kept}
    for job in evidence.booked:
        kept = clips.get(job.clip)
        if kept is None or not job.charged or _may_be_forgotten(evidence, job):
            continue
        promise.checked += 1
        if job.fates & CHARGED and kept.state == "failed":
            continue
        if job.fates & HOPELESS:
            if kept.state != "lost":
                promise.findings.append(f"{kept.name}, whose file can't be had, is {kept.state}: {job.request_id}")
            continue
        there = kept.state == "done" and evidence.files.get(kept.file or "") == evidence.made.get(job.request_id)
        if not there:
            promise.findings.append(f"{kept.name} is {kept.state} without the file of request {job.request_id}")
    return promise


def _whole(evidence: Evidence) -> Promise:
    promise = Promise(
        "a file with its final name is whole", "every .mp4: the bytes that the service made for that clip"
    )
    by_file = {kept.file: kept for kept in evidence.kept if kept.file}
    broken = {job.request_id for job in evidence.booked if job.fates & HOPELESS}
    for name, sha256 in evidence.files.items():
        promise.checked += 1
        kept = by_file.get(name)
        if kept is not None and kept.request_id in broken:
            promise.findings.append(f"{name} is kept, and the service's own file of {kept.request_id} is broken")
        elif kept is None:
            promise.findings.append(f"{name} is no clip's file")
        elif sha256 != evidence.made.get(kept.request_id or ""):
            promise.findings.append(f"{name} is not what the service made for request {kept.request_id}")
        elif kept.sha256 != sha256:
            promise.findings.append(f"{name} has another sha256 than the ledger says")
    hopeless = {f"{kept.name}.mp4.bad" for kept in evidence.kept if kept.request_id in broken}  # the best copy there is
    promise.findings += [f"left over: {name}" for name in evidence.leftovers if name not in hopeless]
    return promise


def _known(evidence: Evidence) -> Promise:
    promise = Promise("every open question is reported", "every accepted job: its id is in the ledger")
    known = {request_id for kept in evidence.kept for request_id in kept.request_ids}
    doubtful = {kept.clip for kept in evidence.kept if kept.state in {"unconfirmed", "submitting"}}
    for job in evidence.booked:
        promise.checked += 1
        if job.request_id not in known and job.clip not in doubtful and not _may_be_forgotten(evidence, job):
            promise.findings.append(f"request {job.request_id} is nowhere in the ledger: {job.clip[:200]}")
    return promise


def _bill(evidence: Evidence) -> Promise:
    promise = Promise("the bill is honest", "the ledger's sum against the service's", checked=1)
    known = {request_id for kept in evidence.kept for request_id in kept.request_ids}
    charged = sum(
        job.charged for job in evidence.booked if job.request_id in known or not _may_be_forgotten(evidence, job)
    )
    if charged != evidence.spent:
        promise.findings.append(f"the ledger says {evidence.spent} micro-dollars, the service took {charged}")
    return promise


def _ended(evidence: Evidence) -> Promise:
    promise = Promise("what was killed resumes to the end", "after the last resume: every state, and the exit code")
    promise.checked = len(evidence.kept)
    promise.findings += [f"{kept.name} is still {kept.state}" for kept in evidence.kept if kept.state not in SETTLED]
    states = {kept.state for kept in evidence.kept}
    right = 5 if states & {"unconfirmed", "lost"} else 3 if states & {"failed", "blocked"} else 0
    if evidence.final_exit != right and not promise.findings:
        promise.findings.append(f"the last run ended with exit {evidence.final_exit}, not {right}")
    return promise


def _may_be_forgotten(evidence: Evidence, job: Booked) -> bool:
    """Return whether a request that made no film may be in no file any more, with a ledger that was lost."""
    return evidence.ledger_lost and (not job.charged or bool(job.fates & CHARGED))


def observed(name: str, how: str, checked: int, findings: Iterable[str]) -> Promise:
    """Make a promise of what was checked round by round."""
    return Promise(name, how, checked, list(findings))
