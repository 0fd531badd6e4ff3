"""What Segmind's refusals mean: this clip, now, the account, or unsure (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from batchgen import retry
from batchgen.errors import (
    AccountError,
    AccountProblem,
    CallError,
    ClipError,
    RateLimited,
    ServerError,
    TryAgain,
    UnsureError,
)
from batchgen.providers.base import Cause
from batchgen.providers.segmind.parse import Answer, epoch

_CONTENT: Final = re.compile(
    r"moderation|content (policy|filter|block|violation)|policy violation|inspection|\bsafety\b|\bnsfw\b|\brai\b"
    r"|responsible ai|infring|(?<!case )(?<!time )\bsensitive|inappropriate|prohibited content"
)
_OUR_INPUT: Final = re.compile(r"invalid ?(parameter|argument|input|value)|mandatory|must be|not allowed|unsupported")
_TROUBLE: Final = re.compile(
    r"\btime ?outs?\b|\btimed out\b|throttl|\brate limit|too many requests|\binternal\b|overload|\bcapacity\b"
    r"|unavailable|try again|\bworkers?\b|\bgpus?\b|out of memory|\boom\b|\bupstream\b|\bconnection\b|temporar"
    r"|bad gateway|\bbusy\b"
)
_CREDITS: Final = re.compile(r"credit|balance|\bfunds?\b")
_VALUE: Final = re.compile(
    r"parameter|\bvalue|invalid|must be|should be|one of|not (allowed|supported|accepted|valid)|unsupported|required"
)
#: A 403 in these words is about now, not about what the account may do.
_PASSING: Final = re.compile(r"rate limit|too many|throttl|temporar|try again|slow down")
_NO_BLOCK: Final = frozenset({401, 402, 404, 405, 408, 409, 410, 429})
#: What the status of a refused POST says about the account; a 403, 406 or 429 may say something else.
_PROBLEMS: Final[Mapping[int, AccountProblem]] = {
    401: AccountProblem.KEY,
    402: AccountProblem.CREDITS,
    403: AccountProblem.FORBIDDEN,
    404: AccountProblem.MODEL,
    405: AccountProblem.BUG,
    410: AccountProblem.RETIRED,
}
_LONGEST_WAIT_S: Final = 120.0


def cause_of(text: str) -> Cause:
    """Why a job FAILED, by the words of its error; what nobody recognises is final."""
    words = _plain(text)
    if _CONTENT.search(words):
        return Cause.BLOCKED
    if _OUR_INPUT.search(words) or not _TROUBLE.search(words):
        return Cause.FINAL
    return Cause.TRANSIENT


def submit_error(answer: Answer, now: float) -> CallError:
    """Classify the refusal of a paid POST.

    Only what is surely not accepted may be tried again: a 429, and a 500 that carries the API's own JSON
    error. Any other 5xx may come from a gateway in front of a job that runs.
    """
    status, text = answer.status, _message("submit", answer)
    if 400 <= status < 500 and status not in _NO_BLOCK and _CONTENT.search(_plain(answer.message(2000))):
        return ClipError(text, status=status, blocked=True)
    if status == 429:
        return RateLimited(text, status=status, retry_after=retry_after(answer.headers, now))
    if status == 500 and answer.whole and _own_error(answer):
        return ServerError(text, status=status, retry_after=retry_after(answer.headers, now))
    if not 400 <= status < 500 or status in {408, 409}:
        return UnsureError(text, status=status)
    if status == 406:
        return _not_acceptable(answer, text)
    if status == 403 and _PASSING.search(_plain(answer.message(2000))):
        return AccountError(text, AccountProblem.THROTTLED, status=status)
    if problem := _PROBLEMS.get(status):
        return AccountError(text, problem, status=status, collects=problem is not AccountProblem.KEY)
    return ClipError(text, status=status)


def get_error(what: str, answer: Answer, now: float) -> TryAgain | AccountError:
    """Classify a GET whose answer says nothing of what was asked: it can always be asked again."""
    status, text = answer.status, _message(what, answer)
    if status == 401:
        return AccountError(text, AccountProblem.KEY, status=status, collects=False)
    passing = status == 403 and _PASSING.search(_plain(answer.message(2000)))
    if status == 403 and not passing:
        return AccountError(text, AccountProblem.FORBIDDEN, status=status, collects=False)
    refusal = RateLimited if status == 429 or passing else ServerError
    return refusal(text, status=status, retry_after=retry_after(answer.headers, now))


def too_many(what: str, answer: Answer, now: float) -> RateLimited | None:
    """Give the error of an answer that refuses a call as one too many; None for every other answer."""
    error = None if answer.ok else get_error(what, answer, now)
    return error if isinstance(error, RateLimited) else None


def upload_error(answer: Answer, now: float) -> CallError:
    """Classify a refused upload: it costs nothing, so what is unsure may be sent again."""
    error = submit_error(answer, now)
    text = _message("upload", answer)
    if answer.status in {404, 410}:
        return AccountError(text, AccountProblem.BUG, status=answer.status)
    if isinstance(error, UnsureError):
        return ServerError(text, status=answer.status)
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the server asks us to wait, from 1 to 120; None if it says nothing readable.

    Reads `Retry-After` (seconds or an HTTP date) and `x-rate-limit-reset-at-utc` (ISO or epoch). A date is
    compared with the server's own `Date`, so that a wrong clock on this machine does no harm.
    """
    clock = server_time(headers) or now
    wait = retry.retry_after(headers.get("retry-after"), clock)
    if wait is None and (at := epoch(headers.get("x-rate-limit-reset-at-utc"))) is not None:
        wait = at - clock
    return None if wait is None else min(max(wait, 1.0), _LONGEST_WAIT_S)


def server_time(headers: Mapping[str, str]) -> float | None:
    """The server's clock by its `Date` header, in epoch seconds; None if it sent none."""
    return retry.http_date(headers.get("date", ""))


def _not_acceptable(answer: Answer, text: str) -> CallError:
    """406 has four meanings, distinguished by its text; one that nobody recognises stops the spending."""
    words = _plain(answer.message(2000))
    if "content type" in words:
        return AccountError(text, AccountProblem.BUG, status=406)
    if re.search(r"\bspend", words):
        return AccountError(text, AccountProblem.SPEND_LIMIT, status=406)
    if _CREDITS.search(words) or not _VALUE.search(words):
        return AccountError(text, AccountProblem.CREDITS, status=406)
    return ClipError(text, status=406)


def _own_error(answer: Answer) -> bool:
    """Only the API's own envelope distinguishes its own 500 from a gateway's, which proves nothing."""
    data = answer.data()
    return isinstance(data, dict) and bool(data.get("error"))


def _message(what: str, answer: Answer) -> str:
    return f"{what}: HTTP {answer.status}: {answer.message()}"


def _plain(text: str) -> str:
    """Lower-case words: `DataInspectionFailed` and `content_policy_violation` read as people would."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.sub(r"[\s_-]+", " ", spaced).lower()
