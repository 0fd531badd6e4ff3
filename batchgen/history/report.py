"""What a check of the request history found about one clip in doubt: a value that the ledger keeps and `status` shows.

Times are epoch seconds, UTC; money is micro-dollars.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

#: Under this name the ledger keeps what the last check found about each clip that is still in doubt.
LOOKS = "look"


@dataclass(frozen=True, slots=True)
class PossibleRequest:
    """A request of the history that may be the one in doubt."""

    request_id: str
    status: str  #: "running", "completed" or "failed"
    at: float | None = None  #: when it was made, if the history says so
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """Another clip in doubt that the same requests may belong to."""

    clip: str
    sent_at: float


@dataclass(frozen=True, slots=True)
class HistoryCheck:
    """One check: when, of what, and what follows from it. `note` says it in words."""

    at: float  #: by the service's clock if the answer has its time, else by ours
    note: str
    sent_at: float = 0.0  #: when the clip's request left, by our clock: a check of an earlier one says nothing
    since: float | None = None  #: the window that was asked for
    until: float | None = None
    pages: int = 0
    rows: int = 0
    whole: bool = False
    counts_at: float | None = None  #: from when an absence in the history counts
    candidates: tuple[PossibleRequest, ...] = ()
    rivals: tuple[Rival, ...] = ()

    def text(self) -> str:
        """Write it as JSON, for the ledger."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read(text: str) -> HistoryCheck | None:
    """Read what `HistoryCheck.text` wrote; None for anything else: it is a help to people, no promise hangs on it."""
    try:
        record: dict[str, Any] = json.loads(text)
        candidates = tuple(PossibleRequest(**one) for one in record.pop("candidates"))
        rivals = tuple(Rival(**one) for one in record.pop("rivals"))
        return HistoryCheck(**record, candidates=candidates, rivals=rivals)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
