"""What Segmind says of a job: its state words, its metrics, its link (pure)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from batchgen.money import to_micro
from batchgen.providers.base import Cause, Completed, Gone, Outcome, Refused, Running
from batchgen.providers.segmind.errors import cause_of, get_error
from batchgen.providers.segmind.parse import (
    Answer,
    Say,
    file_bytes,
    find_link,
    find_links,
    mapping,
    reason_in,
    seconds,
)

_QUEUED: Final = frozenset({"queued", "in_queue", "pending"})
_RUNNING: Final = _QUEUED | {"starting", "processing", "running", "in_progress"}
_COMPLETED: Final = frozenset({"completed", "complete", "success", "succeeded", "done", "finished"})
_FAILED: Final = frozenset({"failed", "failure", "error", "canceled", "cancelled"})
#: Whatever such an answer's body says, it is about the call: the job may run on.
_ABOUT_THE_CALL: Final = frozenset({401, 403, 404, 408, 429, 502, 503, 504})
_DOCUMENTED: Final = frozenset({"completed", "failed"})
_OTHERS: Final = 10  #: so many links of one answer are tried
_BARE: Final = frozenset({"output", "video", "generation_url"})


def read_outcome(what: str, answer: Answer, *, links: bool = True) -> Outcome:
    """What a status or result answer says of the job; a 404 that says nothing of it: the record is gone.

    The body is read before the code: FAILED comes as a 422, and a documented final word counts under any
    code. Its synonyms count only where no error envelope is to be expected, since `{"status": "error"}`
    under a 404 is about the call, not about the job.

    Raises TryAgain or AccountError for an answer that says nothing of the job.
    """
    body = _object(answer.data())
    word = _word(body.get("status")) if body else ""
    final = word in _DOCUMENTED or (answer.status == 422 and word in _COMPLETED | _FAILED)
    if body is not None and (final or answer.ok) and answer.status not in _ABOUT_THE_CALL:
        outcome = judge(body, body.get("status"), answer.say, links=links)
        if isinstance(outcome, Refused) and answer.status not in (200, 422):
            # FAILED is documented under these two; elsewhere it must not be a reason to POST again.
            return replace(outcome, cause=_without_retry(outcome.cause))
        return outcome
    if answer.status == 404:
        return Gone(answer.message())
    raise get_error(what, answer, time.time())


def read_inline(answer: Answer, url: str) -> Completed:
    """Read what the headers say of a result whose body is the video itself, as the synchronous v1 call has them."""
    headers = answer.headers
    return Completed(
        url=url,
        cost=to_micro(headers.get("x-cost")),
        run_s=seconds(headers.get("x-generation-time")),
        remaining_credits=to_micro(headers.get("x-remaining-credits")),
    )


def judge(body: Mapping[str, Any], status: object, say: Say, *, links: bool = True) -> Completed | Refused | Running:
    """The outcome that a state word means: unknown words keep running, a bare link is a completed job.

    With `links` False no link is looked for: a status answer has none.
    """
    word = _word(status)
    if word in _FAILED:
        return _refused(body, word, say)
    if word in _COMPLETED or (not word and _BARE & body.keys() and find_link(body)):
        return _completed(body, say) if links else _metrics(body)
    metrics = mapping(body.get("metrics"))
    shown = say(status, 40) if isinstance(status, str) else ""
    queue_s = seconds(metrics.get("queue_time"))
    return Running(shown, known=word in _RUNNING, queue_s=queue_s, queued=word in _QUEUED)


def _refused(body: Mapping[str, Any], word: str, say: Say) -> Refused:
    reason = reason_in(body) or f"{word}, without a reason"
    cause = cause_of(reason)
    # A new POST by itself needs the one word that the service documents as a free failure.
    return Refused(say(reason, 2000), cause if word in _DOCUMENTED else _without_retry(cause))


def _without_retry(cause: Cause) -> Cause:
    return Cause.BLOCKED if cause in (Cause.BLOCKED, Cause.MODERATION) else Cause.FINAL


def _completed(body: Mapping[str, Any], say: Say) -> Completed:
    links, done = find_links(body), _metrics(body)
    if not links:
        return replace(done, body=_without_link(body, say))
    url, holders = links[0], (mapping(body.get("video")), mapping(body.get("output")))
    # The stated size counts if it is stated next to this very link.
    sizes = (file_bytes(each["file_size"]) for each in holders if "file_size" in each and find_link(each) == url)
    return replace(done, url=url, others=tuple(links[1:_OTHERS]), file_size=next(filter(None, sizes), None))


def _metrics(body: Mapping[str, Any]) -> Completed:
    metrics = mapping(body.get("metrics"))
    return Completed(
        cost=to_micro(metrics.get("cost")),
        queue_s=seconds(metrics.get("queue_time")),
        run_s=seconds(metrics.get("inference_time")),
        remaining_credits=to_micro(metrics.get("remaining_credits")),
    )


def _without_link(body: Mapping[str, Any], say: Say) -> str:
    text = say(dict(body), 2000)
    note = "the output is a data: URL, which is not a link: " if '"data:' in text else ""
    return (note + text)[:2000]


def _object(data: object) -> dict[str, Any] | None:
    """The object that describes the job: bare, alone in a list, or under `data`."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return None
    inner = data.get("data")
    return inner if "status" not in data and isinstance(inner, dict) and "status" in inner else data


def _word(status: object) -> str:
    text = status.strip().lower() if isinstance(status, str) else ""
    return text.replace("-", "_").replace(" ", "_")
