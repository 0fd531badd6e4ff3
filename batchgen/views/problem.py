"""One clip that needs a person's eye, as the views are told of it."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.clip import State
from batchgen.history.looks import Look


@dataclass(frozen=True, slots=True)
class Problem:
    """A wanted clip that failed, was blocked, or is unconfirmed or lost."""

    name: str
    state: State
    reason: str
    request_id: str | None = None
    since: float | None = None  #: when its last request was made, epoch seconds
    held: int = 0  #: still reserved for it, micro-dollars
    transient: bool = True  #: of a failure: by the service's own trouble; False: only a change can mend it
    forgotten: bool = False  #: of a failure: given up by the user; it may have been charged
    look: Look | None = None  #: of a doubt: what the last look into the history saw of it
