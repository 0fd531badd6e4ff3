"""How long to wait before another try, by our own rule or the server's. Pure: dice and clock are passed in."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

#: Waits never grow beyond this, so that a night is not slept through after a short outage (seconds).
CAP_S = 60.0
#: Tries of one submission that meets the API's own 500: a bad parameter always gives that answer.
SUBMIT_TRIES = 6
#: New requests for a clip that FAILED for a transient cause (failures are free, patience is not).
FREE_RETRIES = 2
#: Accepted requests that one clip may have over its whole life before another one takes the user's word for more.
MAX_ATTEMPTS = 5
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")


def delay(
    attempt: int, *, hint: float | None = None, dice: float = 1.0, base: float = 1.0, cap: float = CAP_S
) -> float:
    """Give the seconds to wait before the next try.

    Args:
        attempt: how many tries have failed in a row, from 1.
        hint: seconds that the server asked for; obeyed, with a little spread so that not all come at once.
        dice: a number from 0 to 1: full jitter, as in the AWS architecture blog's "Exponential Backoff
            And Jitter".
        base: the ceiling of the first wait in seconds, doubled by each further failure.
        cap: the ceiling that no wait passes, in seconds.
    """
    if hint is not None:
        return hint + dice * min(1.0, 0.1 * hint)
    ceiling = min(cap, base * 2.0 ** min(attempt - 1, 16))
    return max(0.05, ceiling * dice)


def retry_after(text: str | None, now: float) -> float | None:
    """Read the header Retry-After: seconds, or an HTTP date (RFC 9110, 10.2.3).

    Returns:
        Seconds from now, below 0 for a date that is past; None where it says nothing readable. The caller bounds it.
    """
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return float(text)
    at = http_date(text)
    return None if at is None else at - now


def http_date(text: str) -> float | None:
    """Read the date of an HTTP header as epoch seconds; None where it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
