"""How the last run of a batch began and ended: one fact of the ledger, so that the next morning knows the night.

A module of its own because the run writes it and every view reads it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

#: The name of the fact.
LAST_RUN = "last_run"
#: Why a run ended that wrote down no end.
KILLED = "did not end (killed or power cut)"


@dataclass(frozen=True, slots=True)
class LastRun:
    """One run. Times are epoch seconds."""

    began: float
    ended: float | None = None  #: None: it is at work, or was killed
    exit_code: int | None = None
    reason: str | None = None  #: why it ended early; None when it did not
    needs_edit: bool = False  #: the same run again would end at once for the same reason: a cap has to be raised first
    left_out: int = 0  #: clips that were left to a later run because --only, --limit or --plan said so

    def text(self) -> str:
        """Write it as the ledger keeps it."""
        return json.dumps(asdict(self))


def read(text: str | None) -> LastRun | None:
    """Read it; None where there is none, as in a ledger of an earlier release."""
    if text:
        with suppress(ValueError, TypeError):
            return LastRun(**json.loads(text))
    return None
