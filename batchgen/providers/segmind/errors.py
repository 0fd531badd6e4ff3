"""What Segmind's refusals mean: this clip, now, the account, the network, or unsure (pure).

Only the API's own JSON speaks of a clip. A web page comes from something in between, whatever its words are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Final
from urllib.parse import urlsplit

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
from batchgen.providers.segmind.parse import Answer, epoch, mapping, reason_in

_CONTENT: Final = re.compile(
    r"moderation|content (policy|filter|block|violation)|policy violation|inspection|\bsafety\b|\bnsfw\b|\brai\b"
    r"|responsible ai|infring|(?<!case )(?<!time )\bsensitive|inappropriate|prohibited content"
)
_OUR_INPUT: Final = re.compile(r"invalid ?(parameter|argument|input|value)|mandatory|must be|not allowed|unsupported")
_TROUBLE: Final = re.compile(
    r"\btime ?outs?\b|\btimed out\b|throttl|\brate limit|too many requests|\binternal\b|overload|\bcapacity\b"
    r"|unavailable|try again|\bretry\b|\bworkers?\b|\bgpus?\b|out of memory|\boom\b|\bupstream\b|\bconnection\b"
    r"|temporar|bad gateway|\bbusy\b|interrupted|queue is full|high demand|server error|unexpected error"
    r"|\be(conn|timedout|pipe|hostunreach|netunreach|ai again)|socket hang up|preempt|deadline exceeded"
    r"|resource exhausted|heartbeat|crashed"
)
_CREDITS: Final = re.compile(r"credit|balance|\bfunds?\b")
_VALUE: Final = re.compile(
    r"parameter|\bvalue|invalid|must be|should be|one of|not (allowed|supported|accepted|valid)|unsupported|required"
)
#: A 403 in these words is about now, not about what the account may do.
_PASSING: Final = re.compile(r"rate limit|too many|throttl|temporar|try again|slow down|\bfor now\b")
#: Refusals of something on the way, whatever the body says: a proxy's log-in, TLS and header trouble, a legal block.
_ON_THE_WAY: Final = frozenset({407, 421, 425, 431, 451})
_PAGES_OF_ITS_OWN: Final = frozenset({404, 405})  #: an unknown path or verb: a web framework answers with a page
_REDIRECTS: Final = frozenset({301, 302, 307, 308})  #: not 303, by which a server may answer what it has done
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
_PAGE_MAX: Final = 4000  #: bytes of a web page in which its title, or else its text, is searched
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)


def cause_of(text: str) -> Cause:
    """Why a job FAILED, by the words of its error."""
    words = _plain(text)
    trouble = _TROUBLE.search(words)
    if _CONTENT.search(words):
        return Cause.MODERATION if trouble else Cause.BLOCKED
    if _OUR_INPUT.search(words):
        return Cause.FINAL
    return Cause.TRANSIENT if trouble else Cause.UNKNOWN


def submit_error(answer: Answer, now: float) -> CallError:
    """Classify the refusal of a paid POST.

    Only what is surely not accepted may be tried again: a 429, a redirect that names its address, and a 500 that
    carries the API's own JSON error. Any other 5xx may come from a gateway in front of a job that runs.
    """
    status, text, wait = answer.status, _message("submit", answer), retry_after(answer.headers, now)
    own = reason_in(mapping(answer.data())) is not None
    if status == 429:
        return RateLimited(text, status=status, retry_after=wait)
    if status in _REDIRECTS and "location" in answer.headers:
        return AccountError(text, AccountProblem.REDIRECT, status=status)
    if status == 500 and answer.whole and _own_error(answer):
        return ServerError(text, status=status, retry_after=wait)
    if not 400 <= status < 500 or status in {408, 409}:
        return UnsureError(text, status=status, retry_after=wait)
    if status in _ON_THE_WAY or (status not in _PAGES_OF_ITS_OWN and _is_page(answer)) or (status == 403 and not own):
        return AccountError(text, AccountProblem.NETWORK, status=status)
    return _own_refusal(answer, text, wait)


def _own_refusal(answer: Answer, text: str, wait: float | None) -> CallError:
    """Classify a 4xx of the API itself: the clip's content, its parameters, or the account."""
    status, words = answer.status, _plain(answer.message(2000))
    of_the_prompt = status in {400, 422} or (status in {403, 406} and "prompt" in words)
    cause = cause_of(words) if of_the_prompt and isinstance(answer.data(), dict) else None
    if cause is Cause.BLOCKED:
        return ClipError(text, status=status, blocked=True)
    if cause is Cause.MODERATION:
        return ServerError(text, status=status, retry_after=wait)
    if status == 406:
        return _not_acceptable(words, text)
    if status == 403 and _PASSING.search(words):
        return AccountError(text, AccountProblem.THROTTLED, status=status)
    if problem := _PROBLEMS.get(status):
        return AccountError(text, problem, status=status, collects=problem is not AccountProblem.KEY)
    return ClipError(text, status=status)


def get_error(what: str, answer: Answer, now: float) -> TryAgain | AccountError:
    """Classify a GET whose answer says nothing of what was asked: it can always be asked again."""
    status, text = answer.status, _message(what, answer)
    page = _is_page(answer)
    passing = status == 403 and not page and _PASSING.search(_plain(answer.message(2000)))
    if status in {401, 403} and not passing and not page:
        problem = AccountProblem.KEY if status == 401 else AccountProblem.FORBIDDEN
        return AccountError(text, problem, status=status, collects=False)
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
    if isinstance(error, UnsureError):
        return ServerError(text, status=answer.status, retry_after=error.retry_after)
    if answer.status in {404, 410}:
        return AccountError(text, AccountProblem.BUG, status=answer.status)
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the server asks us to wait, from 1 to 120; None if it says nothing readable.

    Reads `Retry-After` (seconds or an HTTP date) and `x-rate-limit-reset-at-utc` (ISO or epoch). A date is
    compared with the server's own `Date`, so that a wrong clock on this machine does no harm.
    """
    clock = retry.http_date(headers.get("date", "")) or now
    wait = retry.retry_after(headers.get("retry-after"), clock)
    if wait is None and (at := epoch(headers.get("x-rate-limit-reset-at-utc"))) is not None:
        wait = at - clock
    return None if wait is None else min(max(wait, 1.0), _LONGEST_WAIT_S)


def _not_acceptable(words: str, text: str) -> CallError:
    """406 has four meanings, distinguished by its text; one that nobody recognises stops the spending."""
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


def _is_page(answer: Answer) -> bool:
    """True for a web page (or XML): the API speaks JSON, and answers so only to a wrong verb (405)."""
    markup = answer.kind == "text/html" or answer.body.lstrip()[:1] == b"<"
    return markup and not isinstance(answer.data(), dict | list)


def _message(what: str, answer: Answer) -> str:
    """Say what was answered: the address of a redirect, the title of a page, the API's own reason."""
    start = f"{what}: HTTP {answer.status}: "
    if answer.status in _REDIRECTS and (location := answer.headers.get("location")):
        return f"{start}the service redirects to {answer.say(_without_query(location), 200)}"
    if not _is_page(answer):
        return start + answer.message()
    html = answer.body[:_PAGE_MAX].decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>([^<]+)", html, re.IGNORECASE)
    said = answer.say(unescape(title[1] if title else _MARKUP.sub(" ", html)), 200)
    return start + "a web page in place of the API's answer" + (f": {said}" if said else "")


def _without_query(location: str) -> str:
    """Shorten an address to what a person has to see; its query may hold a secret."""
    try:
        parts = urlsplit(location)
        return f"{parts.scheme or 'https'}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else parts.path
    except ValueError:
        return "an address that can't be read"


def _plain(text: str) -> str:
    """Lower-case words: `DataInspectionFailed` and `content_policy_violation` read as people would."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.sub(r"[\s_-]+", " ", spaced).lower()
