"""Warns before a loss: of records that end soon, and of those that can't be collected in time at this pace."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from batchgen.retention import Alarm, alarm
from batchgen.runner.context import RunContext

log = logging.getLogger("batchgen.vigil")

#: The same warning is not told more often (seconds), unless more clips are concerned.
AGAIN_S = 300.0


class ExpiryAlert:
    """Looks at what is in flight; `RunContext.alarm` is the last warning, or empty."""

    def __init__(self, tools: RunContext) -> None:
        self._tools = tools
        self._told_at = 0.0
        self._worst = (0, 0)

    def look(self) -> None:
        """Warn, if there is something new to warn of."""
        tools, now = self._tools, self._tools.ledger.now()
        found = alarm(tools.poller.submitted(), now, tools.pacer.snapshot().polls_per_s)
        tools.alarm = "" if found is None else words(found)
        if found is None:
            self._told_at, self._worst = 0.0, (0, 0)
            return
        late, soon = self._worst
        if found.late > late or found.soon >= 2 * max(soon, 0.5) or now - self._told_at >= AGAIN_S:
            self._told_at, self._worst = now, (found.late, found.soon)
            log.warning("%s", tools.alarm)


def words(found: Alarm) -> str:
    """Say an alarm."""
    at = datetime.fromtimestamp(found.first_end, UTC).strftime("%H:%M:%S UTC")
    soon = f"{found.soon} of the paid clips' records end within ten minutes, the first at {at}" if found.soon else ""
    late = f"at this pace {found.late} of them can't be collected before their records end" if found.late else ""
    history = "; the request history is asked for their files then" if found.late else ""
    return "; ".join(text for text in (soon, late) if text) + history
