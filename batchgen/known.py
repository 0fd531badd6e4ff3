"""What the ledger knows of a clip, in short: all that a plan needs of it, and no more. A pure value."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.clip import FINAL, REPLACED, TRANSIENT, State


class Known(NamedTuple):
    """A clip of the ledger, wanted or not, with what all of its requests cost. Micro-dollars, epoch seconds."""

    key: str
    prompt_id: str
    take: int
    model: str
    params: str
    name: str
    order: int
    priority: int
    label: str
    reroll_of: str | None
    audio_sha256: str | None
    state: State
    requests: int  #: how many were made; 0: it was never submitted
    failures: int  #: of them FAILED for a transient cause, since the last retry
    refusals: int  #: 500s in a row at submission
    reason: str
    at: float | None  #: when the last request was made
    spent: int  #: what is known to have been charged
    held: int  #: what is still reserved
    uncharged: int  #: requests that may have cost something, and nothing is reserved for them
    flags: str = ""
    attempts: int = 0  #: requests that were accepted, or may have been

    @property
    def dropped(self) -> bool:
        """A run that no longer wants it forgets it: it was never submitted."""
        return self.state is State.PENDING and self.requests == 0

    @property
    def transient(self) -> bool:
        """It failed by the service's own trouble; as `Clip.transient` tells it."""
        told = self.flags.split()
        if TRANSIENT in told or FINAL in told:
            return TRANSIENT in told
        return self.state is State.FAILED and max(self.failures, self.refusals) > 1

    @property
    def replaced(self) -> bool:
        """Another take has its place, so it is not wanted, whatever the manifest says."""
        return self.state in {State.FAILED, State.BLOCKED} and REPLACED in self.flags.split()
