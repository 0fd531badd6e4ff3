"""The vendor's client and ours, case by case: the table that `test_conformance` proves and benchmarks.md sums up.

The record is `data/segmind-traffic.jsonl`: what the vendor's SDK (1.3.0) sent to a scripted server, the server's
answers, and what the SDK made of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: case -> (what the SDK does, what our last call gives)
CASES: Final[dict[str, tuple[str, str]]] = {
    "v1_sync_bytes": ("returns Response", "UnsureError"),
    "v1_sync_406": ("raises SegmindError 406", "AccountError credits"),
    "submit_200": ("returns AsyncJob", "Accepted 2c7f"),
    "submit_201": ("returns AsyncJob", "Accepted 2c7f"),
    "submit_202": ("returns AsyncJob", "Accepted 2c7f"),
    "submit_none_and_int": ("returns AsyncJob", "Accepted 2c7f"),
    "wait_completed": ("returns dict", "Completed 625000 link"),
    "wait_completed_first_poll": ("returns dict", "Completed 625000 link"),
    "wait_status_202_while_running": ("returns dict", "Completed 625000 link"),
    "result_output_list": ("returns dict", "Completed 625000 link"),
    "result_output_dict": ("returns dict", "Completed 625000 link"),
    "result_output_json_string": ("returns dict", "Completed 625000 link"),
    "result_no_output": ("returns dict", "Completed None no link"),
    "result_not_json": ("returns dict", "Completed None the answer itself"),
    "failed_422": ("raises InferenceFailed", "Refused final: Prompt is Mandatory and must be string"),
    "failed_200": ("raises InferenceFailed", "Refused unknown: boom"),
    "failed_content_block": (
        "raises InferenceFailed",
        "Refused blocked: content_policy_violation: provider content moderation block",
    ),
    "failed_result_endpoint_422": ("returns dict", "Refused final: Prompt is Mandatory and must be string"),
    "failed_error_is_object": (
        "raises InferenceFailed",
        'Refused blocked: {"code": "DataInspectionFailed", "message": "blocked"}',
    ),
    "failed_no_error_key": ("raises InferenceFailed", "Refused unknown: failed, without a reason"),
    "status_422_no_status": ("raises SegmindError 422", "ServerError"),
    "status_500_but_completed": ("returns dict", "Completed 625000 link"),
    "state_unknown": ("raises InferenceTimeout", "Refused final: cancelled, without a reason"),
    "state_lowercase": ("raises InferenceTimeout", "Completed None no link"),
    "state_missing": ("raises InferenceTimeout", "Running ?"),
    "status_200_not_json": ("raises InferenceTimeout", "ServerError"),
    "timeout": ("raises InferenceTimeout", "Running PROCESSING"),
    "timeout_zero": ("raises InferenceTimeout", "Running PROCESSING"),
    "poll_401": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "poll_404": ("raises SegmindError 404", "Gone"),
    "poll_500": ("raises SegmindError 500", "ServerError"),
    "poll_503": ("raises SegmindError 503", "ServerError"),
    "poll_429": ("raises SegmindError 429", "RateLimited"),
    "poll_502_html": ("raises SegmindError 502", "ServerError"),
    "poll_drop": ("raises RemoteProtocolError", "ServerError"),
    "result_404_after_completed": ("raises SegmindError 404", "Gone"),
    "result_500_after_completed": ("raises SegmindError 500", "ServerError"),
    "submit_400": ("raises SegmindError 400", "ClipError"),
    "submit_401_missing": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "submit_401_invalid": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "submit_401_oauth_shape": ("raises SegmindError 401", "AccountError key, collects nothing"),
    "submit_402": ("raises SegmindError 402", "AccountError credits"),
    "submit_403": ("raises SegmindError 403", "AccountError forbidden"),
    "submit_404_model": ("raises SegmindError 404", "AccountError model"),
    "submit_405_html": ("raises SegmindError 405", "AccountError bug"),
    "submit_406_credits": ("raises SegmindError 406", "AccountError credits"),
    "submit_406_content_type_text": ("raises SegmindError 406", "AccountError bug"),
    "submit_406_content_type_json": ("raises SegmindError 406", "AccountError bug"),
    "submit_406_team_limit": ("raises SegmindError 406", "AccountError spend-limit"),
    "submit_410_retired": ("raises SegmindError 410", "AccountError retired"),
    "submit_422": ("raises SegmindError 422", "ClipError"),
    "submit_429": ("raises SegmindError 429", "RateLimited"),
    "submit_429_retry_after": ("raises SegmindError 429", "RateLimited"),
    "submit_500": ("raises SegmindError 500", "ServerError"),
    "submit_502_html": ("raises SegmindError 502", "UnsureError"),
    "submit_503": ("raises SegmindError 503", "UnsureError"),
    "submit_504_html": ("raises SegmindError 504", "UnsureError"),
    "submit_error_under_detail": ("raises SegmindError 400", "ClipError"),
    "submit_error_under_message": ("raises SegmindError 500", "UnsureError"),
    "submit_error_list": ("raises SegmindError 400", "ClipError"),
    "submit_200_only_request_id": ("raises SegmindError 200", "Accepted 2c7f"),
    "submit_200_empty_body": ("raises JSONDecodeError", "UnsureError"),
    "submit_200_html": ("raises JSONDecodeError", "UnsureError"),
    "submit_200_list": ("raises AttributeError", "Accepted 2c7f"),
    "submit_302": ("raises JSONDecodeError", "AccountError redirect"),
    "submit_hang": ("raises ReadTimeout", "UnsureError"),
    "submit_drop": ("raises RemoteProtocolError", "UnsureError"),
    "submit_refused": ("raises ConnectError", "Unreachable"),
    "submit_no_key": ("raises SegmindError 401", "UsageError"),
    "status_url_other_host": ("returns dict", "Completed 625000 link"),
    "v1_get_user_credits": ("returns dict", "41393492"),
    "files_upload_mp3": ("returns dict", "https://images.segmind.com/assets/abc.mp3"),
    "files_upload_wav": ("raises ValueError", "https://images.segmind.com/assets/abc.mp3"),
    "generations_get": ("returns dict", "row Completed 625000 link ['duration', 'enable_prompt_expansion']"),
    "generations_get_404": ("raises SegmindError 404", "no such row"),
    "generations_history": ("returns dict", "2 rows, whole"),
    "generations_list": ("returns dict", "1 rows, whole"),
    "pixelflow_run_poll": ("returns dict", "link"),
    "models_list": ("returns dict", "the catalogue says nothing of the parameters of wan-2.5-t2v"),
}

#: case -> what the SDK does; ours makes no such call, since …
NEVER: Final[dict[str, tuple[str, str]]] = {
    "webhooks_add": ("returns dict", "webhooks do not fire for a plain model request"),
    "webhooks_delete": ("returns dict", "webhooks do not fire for a plain model request"),
    "accounts_current": ("returns dict", "who owns the account is nobody's business: the key's fingerprint is enough"),
}


@dataclass(frozen=True)
class Group:
    """Cases of one kind, and the difference in words."""

    about: str
    sdk: str
    ours: str
    safer: str
    cases: tuple[str, ...]


def _named(start: str, names: str) -> tuple[str, ...]:
    return tuple(f"{start}_{name}" for name in names.split())


GROUPS: Final = (
    Group(
        "a submission is accepted",
        "a job in memory; where the answer lacks the URLs it raises, and the id is gone",
        "takes the id wherever it stands and writes it to disk before anything else; builds all URLs itself",
        "no paid id is lost, and the key goes to no address that an answer names",
        (*_named("submit", "200 201 202 none_and_int 200_only_request_id 200_list"), "status_url_other_host"),
    ),
    Group(
        "a submission is surely refused",
        "one exception for all, Retry-After is dropped; a missing key is sent",
        "classified: this clip (go on), now (wait as asked, retry), the account (stop, all resumable)",
        "one bad prompt never stops the night, a dead account stops it at once",
        (
            *_named("submit", "400 401_missing 401_invalid 401_oauth_shape 402 403 404_model 405_html 406_credits"),
            *_named("submit", "406_content_type_text 406_content_type_json 406_team_limit 410_retired 422 429"),
            *_named("submit", "429_retry_after 500 error_under_detail error_list refused no_key"),
            "v1_sync_406",
        ),
    ),
    Group(
        "a submission's answer is lost or unclear",
        "an exception like any other, some not even its own: whoever retries pays again",
        "*unconfirmed*: never sent again by itself, searched for in the account's history",
        "nothing is paid for twice",
        (
            *_named("submit", "502_html 503 504_html error_under_message 200_empty_body 200_html 302 hang drop"),
            "v1_sync_bytes",
        ),
    ),
    Group(
        "the wait",
        "polls every job once a second, some 214 times per clip; an unknown state lasts until its time-out",
        "polls when the end is likely; knows synonyms of a state, and keeps waiting on an unknown one",
        "the calls that an account has go to submissions",
        (
            *_named("wait", "completed completed_first_poll status_202_while_running"),
            *_named("state", "unknown lowercase missing"),
            *("status_500_but_completed", "timeout", "timeout_zero"),
        ),
    ),
    Group(
        "a status call fails",
        "raises at once: the wait is over, the paid job runs on and nobody has its id",
        "polls again; a record that is gone is looked up in the history",
        "network trouble is not a failure of a clip",
        (*_named("poll", "401 404 500 503 429 502_html drop"), "status_422_no_status", "status_200_not_json"),
    ),
    Group(
        "the job failed",
        "one exception, the reason unchanged",
        "classified: blocked by content rules, the service's fault (retried at most twice), the clip's fault",
        "free failures are retried, and blocked prompts are not",
        _named("failed", "422 200 content_block result_endpoint_422 error_is_object no_error_key"),
    ),
    Group(
        "the result",
        "returned unchanged: no link is extracted, a video in its place becomes `{}`, a 404 or 500 ends it",
        "finds the link in every known shape, keeps a video that is sent in its place, retries, then asks the history",
        "a clip that was paid for arrives",
        (
            *_named("result", "output_list output_dict output_json_string no_output not_json 404_after_completed"),
            *("result_500_after_completed", "pixelflow_run_poll"),
        ),
    ),
    Group(
        "uploads, history, balance, catalogue",
        "refuses wav files though the model takes them; its list of generations has only what has an output",
        "uploads wav and mp3; reads the whole request history, and says when it could not; sends the catalogue no key",
        "an unconfirmed clip is judged by everything that the account knows, or not at all",
        (
            *("files_upload_mp3", "files_upload_wav", "v1_get_user_credits", "generations_get", "generations_get_404"),
            *("generations_history", "generations_list", "models_list"),
        ),
    ),
    Group(
        "what batchgen never calls",
        "adds webhooks, asks who owns the account",
        "makes no such call",
        "webhooks do not fire for these requests, and what is not asked for can't leak",
        tuple(NEVER),
    ),
)
