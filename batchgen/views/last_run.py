"""When the last run began and ended, how long it took, and how it ended: as JSON, and as the morning's first line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from batchgen.errors import Exit
from batchgen.ledger.base import KILLED, LastRun
from batchgen.views.doubts import epoch
from batchgen.views.text import clock, stamp_utc
from batchgen.wording import duration

_ENDS = {
    Exit.OK: "finished",
    Exit.BUG: "ended by a fault of batchgen",
    Exit.SOME_FAILED: "finished, some clips failed",
    Exit.STOPPED: "stopped early",
    Exit.NEEDS_DECISION: "finished, some clips need your decision",
    Exit.INTERRUPTED: "interrupted",
    Exit.TERMINATED: "terminated",
}


def last_run_object(run: LastRun | None, last_event: float | None, *, live: bool) -> dict[str, Any] | None:
    """Give the field `last_run` of `status --json`; None for a batch that has not run, as far as is known.

    `ended` and `exit_code` are null of a run that is at work, and of one that was killed; `reason` says the latter.
    """
    if run is None:
        return None
    killed = run.ended is None and not live
    return {
        "began": stamp_utc(run.began),
        "ended": None if run.ended is None else stamp_utc(run.ended),
        "exit_code": run.exit_code,
        "reason": KILLED if killed else run.reason,
        "last_event": stamp_utc(last_event) if last_event is not None and last_event >= run.began else None,
        "left_out": run.left_out,
    }


def last_run_line(run: Mapping[str, Any], now: float, *, live: bool, tz: tzinfo | None) -> str:
    """Write a `last_run_object` in one line, in local time."""
    began = epoch(run["began"])
    since = clock(began, now, tz)
    if run["ended"] is None and live:
        return f"A run is in progress since {since} ({duration(now - began)})."
    if run["ended"] is None:
        seen = f"; last event {clock(epoch(run['last_event']), now, tz)}" if run["last_event"] else ""
        return f"Last run  began {since}, {KILLED}{seen}"
    ended = epoch(run["ended"])
    until = clock(ended, now, tz)
    how = _ENDS.get(run["exit_code"], "ended")
    return f"Last run  {since} to {until} ({duration(ended - began)}): {how} (exit code {run['exit_code']})"
