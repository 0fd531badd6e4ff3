"""Rules for words that plan, status and log share: a length of time, the cause of several messages. Pure.

A module of its own although it is short: those who use it share nothing else.
"""

from __future__ import annotations

import re

#: What differs between two messages of one cause: URLs, ids, and numbers too long to be an HTTP status.
_PARTICULARS = re.compile(r"https?://\S+|\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]+)*\b|\d{4,}", re.IGNORECASE)


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


def cause(message: str) -> str:
    """Give what messages of one cause have in common: the text without URLs, ids and long numbers, in lower case."""
    return _PARTICULARS.sub("#", message).casefold()
