"""A length of time as people read it. Pure."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Say a length of time: "45 s", "12 min", "3 h 12 min", "2 days 5 h"; never less than "0 s"."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} days {hours % 24} h"
