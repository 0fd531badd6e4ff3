"""The hours of submission as plan and status show them; a module of its own because both do, in the same words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from batchgen.views.text import stamp_utc
from batchgen.window import Window


def window_of(text: str | None) -> Window | None:
    """Read what a run wrote of its window to the ledger; None: it had none."""
    if not text:
        return None
    said = json.loads(text)
    return Window(**{**said, "days": tuple(said["days"])})


def window_object(window: Window | None, now: float) -> dict[str, Any] | None:
    """Give the `window` of `plan --json` and `status --json`: as written, whether it is open, and the next change."""
    if window is None:
        return None
    night = window.night_at(now)
    coming = night or window.next_night(now)
    return {
        **asdict(window),
        "days": list(window.days),
        "open": night is not None,
        "opens": None if night else stamp_utc(coming.opens),
        "closes": stamp_utc(coming.closes),
        "text": window_text(window, now),
    }


def window_text(window: Window, now: float) -> str:
    """Say when clips may be submitted: "Submissions start Fri 22:00 CEST and stop Sat 06:30 CEST"."""
    if (night := window.night_at(now)) is not None:
        return f"Submissions stop {window.when(night.closes)}; what is generating then is still collected"
    coming = window.next_night(now)
    return f"Submissions start {window.when(coming.opens)} and stop {window.when(coming.closes)}"


def window_line(obj: Mapping[str, Any] | None) -> list[str]:
    """Give the line of a `window_object`; none without a window."""
    return [f"{obj['text']}."] if obj else []
