"""What a refusal of Segmind means, row by row of the fact sheet."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest

from batchgen.errors import AccountError, AccountProblem, CallError, ClipError, RateLimited, ServerError, UnsureError
from batchgen.providers.base import Cause
from batchgen.providers.segmind.errors import cause_of, get_error, retry_after, submit_error
from batchgen.providers.segmind.parse import Answer, request_id_in
from batchgen.redact import Redactor

MP4 = "https://images.segmind.com/generations/wan-2.5-t2v/0c1d.mp4"
NOW = 1_795_000_000.0


def answer(status: int, data: object = None, *, raw: bytes | None = None, **headers: str) -> Answer:
    body = raw if raw is not None else json.dumps(data).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, names, redact=Redactor(["k3y"]).redact)


# --- submit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"request_id": "abc"}, "abc"),
        ({"request_id": 42}, "42"),
        ([{"request_id": "abc"}], "abc"),
        ({"data": {"request_id": "abc"}}, "abc"),
        ({"request_id": ""}, None),
        ({"request_id": "  "}, None),
        ({"request_id": ".."}, None),
        ({"request_id": True}, None),
        ({"request_id": None}, None),
        ({"request_id": "a\nb"}, None),
        ({"request_id": "x" * 201}, None),
        ([{"request_id": "a"}, {"request_id": "b"}], None),
        ({}, None),
        ("abc", None),
        (None, None),
    ],
)
def test_a_request_id_is_taken_wherever_it_can_be_used(data: object, expected: str | None) -> None:
    """An id that is overlooked is a paid clip that nobody collects."""
    assert request_id_in(data) == expected


SUBMIT: list[tuple[int, object, type[CallError], dict[str, Any]]] = [
    (400, {"error": "Bad request: 'prompt' is required"}, ClipError, {"blocked": False}),
    (400, {"error": "content_policy_violation"}, ClipError, {"blocked": True}),
    (400, ["bad"], ClipError, {"blocked": False}),
    (401, {"error": "Unauthorized"}, AccountError, {"problem": AccountProblem.KEY, "collects": False}),
    (402, {"error": "Insufficient credits"}, AccountError, {"problem": AccountProblem.CREDITS, "collects": True}),
    (403, {"error": "restricted for your team"}, AccountError, {"problem": AccountProblem.FORBIDDEN, "collects": True}),
    (
        403,
        {"error": "Too many requests from your team, try again later"},
        AccountError,
        {"problem": AccountProblem.THROTTLED},
    ),
    (404, {"error": "Model not found"}, AccountError, {"problem": AccountProblem.MODEL}),
    (405, "<html>", AccountError, {"problem": AccountProblem.BUG}),
    (406, {"error": "Invalid content type"}, AccountError, {"problem": AccountProblem.BUG}),
    (406, {"error": "Insufficient credits. Balance 0.1, value 0.6"}, AccountError, {"problem": AccountProblem.CREDITS}),
    (406, {"error": "Team spend limit reached (cap $50)"}, AccountError, {"problem": AccountProblem.SPEND_LIMIT}),
    (406, {"error": "'size' must be one of 832*480"}, ClipError, {"blocked": False}),
    (406, {"error": "no"}, AccountError, {"problem": AccountProblem.CREDITS}),
    (406, {"error": "the prompt was flagged by moderation"}, ClipError, {"blocked": True}),
    (406, {"error": "flagged by moderation"}, AccountError, {"problem": AccountProblem.CREDITS}),
    (408, {"error": "timeout"}, UnsureError, {}),
    (409, {"error": "conflict"}, UnsureError, {}),
    (410, {"error": "retired"}, AccountError, {"problem": AccountProblem.RETIRED, "collects": True}),
    (413, {"error": "too large"}, ClipError, {"blocked": False}),
    (418, {"error": "teapot"}, ClipError, {"blocked": False}),
    (422, {"detail": [{"msg": "not allowed"}]}, ClipError, {"blocked": False}),
    (422, {"status": "FAILED", "error": "DataInspectionFailed"}, ClipError, {"blocked": True}),
    (429, {"error": "rate_limit_exceeded"}, RateLimited, {"retry_after": None}),
    (500, {"error": "Internal server error"}, ServerError, {}),
    (500, {"message": "boom"}, UnsureError, {}),
    (500, {"detail": "boom"}, UnsureError, {}),
    (500, {}, UnsureError, {}),
    (500, {"error": None}, UnsureError, {}),
    (500, "<html>500</html>", UnsureError, {}),
    (500, [{"error": "x"}], UnsureError, {}),
    (501, {"error": "x"}, UnsureError, {}),
    (502, {"error": "x"}, UnsureError, {}),
    (503, {"error": "Service unavailable"}, UnsureError, {}),
    (504, {"error": "x"}, UnsureError, {}),
    (520, {"error": "x"}, UnsureError, {}),
    (302, {"error": "x"}, UnsureError, {}),
    (101, {"error": "x"}, UnsureError, {}),
]


@pytest.mark.parametrize(("status", "data", "kind", "facts"), SUBMIT)
def test_every_refusal_of_a_submission_has_its_class(
    status: int, data: object, kind: type[CallError], facts: dict[str, Any]
) -> None:
    """The table of the fact sheet, row by row: a wrong class pays twice or loses a clip."""
    error = submit_error(answer(status, data), NOW)
    assert type(error) is kind
    assert error.status == status
    assert {name: getattr(error, name) for name in facts} == facts


FILTER = b"<body>Refused by your company's content filter.</body>"
CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><script>inspection</script></body>"
ZSCALER = b"<html><head><title>Internet Security by Zscaler</title></head><body>Category: Inappropriate</body></html>"
NGINX = b"<html>\r\n<head><title>400 Bad Request</title></head>\r\n<body><center>nginx</center></body></html>"
MOD_SECURITY = b"<html><head><title>Not Acceptable!</title></head><body>Inappropriate: Mod_Security</body></html>"
PAGES = [(403, FILTER, "content filter"), (403, CHALLENGE, "Just a moment..."), (403, ZSCALER, "by Zscaler"),
         (400, NGINX, "400 Bad Request"), (406, MOD_SECURITY, "Not Acceptable!"), (401, FILTER, "content filter"),
         (402, FILTER, "content filter"), (410, FILTER, "content filter"),
         (413, FILTER, "content filter"), (418, FILTER, "content filter"), (422, FILTER, "content filter")]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "title"), PAGES)
def test_a_web_page_is_never_about_the_clip_and_names_the_network(status: int, body: bytes, title: str) -> None:
    """Every prompt of a night would be called blocked for a filter's two minutes; the advice is not about the plan."""
    for error in (submit_error(answer(status, raw=body), NOW), submit_error(answer(status, raw=body * 300), NOW)):
        assert isinstance(error, AccountError)
        assert (error.problem, error.collects) == (AccountProblem.NETWORK, True)
        assert title in str(error)
        assert "<" not in str(error)
        assert "plan" not in error.explained
    assert isinstance(get_error("status", answer(status, raw=body), NOW), ServerError)


def test_a_page_for_an_unknown_path_names_the_model_and_the_address() -> None:
    """A web framework answers so to a model that it does not know."""
    error = submit_error(answer(404, raw=b"<pre>Cannot POST /v2/wan-9</pre>"), NOW)
    assert isinstance(error, AccountError)
    assert error.problem is AccountProblem.MODEL
    assert "Cannot POST /v2/wan-9" in str(error)
    assert "--base-url" in error.explained


@pytest.mark.parametrize("status", [407, 421, 425, 431, 451])
def test_refusals_on_the_way_are_never_about_the_clip(status: int) -> None:
    """They belong to a proxy, a TLS front or a court, whatever shape the body has."""
    for data in ({"error": "content policy"}, {"error": "x"}, None):
        error = submit_error(answer(status, data), NOW)
        assert isinstance(error, AccountError)
        assert error.problem is AccountProblem.NETWORK


@pytest.mark.parametrize(
    ("data", "kind", "problem"),
    [
        (b"Forbidden", AccountError, AccountProblem.NETWORK),
        (b"error code: 1020", AccountError, AccountProblem.NETWORK),
        ({"error": {"message": "The resource is blocked for now: it may violate our content policy"}}, AccountError,
         AccountProblem.THROTTLED),
        ({"error": "Your team may not use this: see our content policy"}, AccountError, AccountProblem.FORBIDDEN),
        ({"error": "This prompt violates the content policy"}, ClipError, None),
    ],
)  # fmt: skip
def test_a_403_is_about_content_only_when_the_api_names_the_prompt(
    data: object, kind: type[CallError], problem: AccountProblem | None
) -> None:
    """All others are the account's or the network's: no prompt of the night is to blame."""
    raw = data if isinstance(data, bytes) else None
    error = submit_error(answer(403, data if raw is None else None, raw=raw), NOW)
    assert type(error) is kind
    assert getattr(error, "problem", None) is problem


@pytest.mark.parametrize("raw", [b"content policy", b'["content policy"]', b'{"error": "content policy', b'"nsfw"'])
def test_content_words_outside_of_the_apis_json_block_nothing(raw: bytes) -> None:
    """Nobody knows who wrote them."""
    error = submit_error(answer(400, raw=raw), NOW)
    assert isinstance(error, ClipError)
    assert not error.blocked


def test_a_moderator_in_trouble_refuses_for_now() -> None:
    """The prompt was not judged."""
    assert type(submit_error(answer(400, {"error": "moderation service timed out"}), NOW)) is ServerError


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:pw@new.example:8443/v2/x?token=k3y", "https://new.example:8443"),
        ("//cdn.example/x", "cdn.example"),
        ("/login", "/login"),
        ("http://[bad", "can't be read"),
    ],
)  # fmt: skip
def test_a_redirected_post_was_refused_and_its_address_is_named(status: int, location: str, shown: str) -> None:
    """Nothing was accepted there: no clip is in doubt, and the user can correct the address."""
    error = submit_error(answer(status, location=location), NOW)
    assert isinstance(error, AccountError)
    assert error.problem is AccountProblem.REDIRECT
    assert shown in str(error)
    assert "--base-url" in error.explained
    assert not {"token", "pw", "k3y"} & set(str(error).replace("@", " ").split())


def test_a_303_may_follow_what_was_done() -> None:
    """It is how a server answers a POST that it has carried out."""
    assert type(submit_error(answer(303, location="/jobs/1"), NOW)) is UnsureError


@pytest.mark.parametrize("data", [{"code": "Arrearage", "message": "Access denied"}, {"code": 7, "message": "Access"}])
def test_the_code_is_part_of_the_reason(data: dict[str, object]) -> None:
    """It is the one word to search for; a number is not."""
    said = str(submit_error(answer(400, data), NOW))
    assert ("Arrearage; Access denied" in said) == (data["code"] == "Arrearage")
    assert "7" not in said


@pytest.mark.parametrize(("status", "kind"), [(503, UnsureError), (500, UnsureError), (429, RateLimited)])
def test_a_wait_that_is_asked_for_goes_with_the_refusal(status: int, kind: type[CallError]) -> None:
    """A maintenance page says how long it takes."""
    error = submit_error(answer(status, raw=b"<html>", retry_after="30"), NOW)
    assert (type(error), error.retry_after) == (kind, 30.0)


def test_a_500_whose_json_error_was_cut_is_unsure() -> None:
    """A cut answer is a lost answer, though what came of it happens to parse."""
    error = submit_error(Answer(500, b'{"error": "x"}', whole=False), NOW)
    assert type(error) is UnsureError


def test_a_message_shows_the_services_words_without_key_or_control_characters() -> None:
    """It goes to a terminal, a ledger and a report."""
    error = submit_error(answer(400, {"error": "bad \x1b[2J\nkey k3y SG_0123456789abcdef \ud800" + "x" * 999}), NOW)
    text = str(error)
    assert "bad" in text
    assert text.isprintable()
    assert "k3y" not in text
    assert "0123456789abcdef" not in text
    assert len(text) < 340


@pytest.mark.parametrize(
    ("status", "kind", "facts"),
    [
        (200, ServerError, {}),
        (302, ServerError, {}),
        (400, ServerError, {}),
        (401, AccountError, {"problem": AccountProblem.KEY, "collects": False}),
        (403, AccountError, {"problem": AccountProblem.FORBIDDEN}),
        (408, ServerError, {}),
        (422, ServerError, {}),
        (429, RateLimited, {}),
        (500, ServerError, {}),
        (502, ServerError, {}),
    ],
)
def test_a_get_that_tells_nothing_can_be_asked_again(status: int, kind: type[CallError], facts: dict[str, Any]) -> None:
    """A fault while polling is never the job's failure."""
    error = get_error("status", answer(status, {"error": "x"}), NOW)
    assert type(error) is kind
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("content_policy_violation: provider content moderation block", Cause.BLOCKED),
        ('{"code": "DataInspectionFailed", "message": "x"}', Cause.BLOCKED),
        ("IPInfringementSuspect", Cause.BLOCKED),
        ("RAI_blocked", Cause.BLOCKED),
        ("Output flagged NSFW", Cause.BLOCKED),
        ("safety checker, try again", Cause.MODERATION),
        ("sensitive content", Cause.BLOCKED),
        ("the strait of Dubrai could not be drawn", Cause.UNKNOWN),
        ("parameter names are case-sensitive", Cause.UNKNOWN),
        ("Prompt is Mandatory and must be string", Cause.FINAL),
        ("InvalidParameter: timeout must be a number", Cause.FINAL),
        ("international waters", Cause.UNKNOWN),
        ("boom", Cause.UNKNOWN),
        ("", Cause.UNKNOWN),
        ("Request timed out", Cause.TRANSIENT),
        ("upstream Timeout", Cause.TRANSIENT),
        ("Throttling.RateQuota", Cause.TRANSIENT),
        ("InternalError", Cause.TRANSIENT),
        ("CUDA out of memory", Cause.TRANSIENT),
        ("no GPU worker", Cause.TRANSIENT),
        ("service temporarily unavailable", Cause.TRANSIENT),
        ("Prediction interrupted; please retry", Cause.TRANSIENT),
        ("Queue is full, please retry later", Cause.TRANSIENT),
        ("The model is in high demand", Cause.TRANSIENT),
        ("Server error", Cause.TRANSIENT),
        ("502 Server Error", Cause.TRANSIENT),
        ("An unexpected error occurred", Cause.TRANSIENT),
        ("read ECONNRESET", Cause.TRANSIENT),
        ("connect ETIMEDOUT 10.0.0.1:443", Cause.TRANSIENT),
        ("socket hang up", Cause.TRANSIENT),
        ("the instance was preempted", Cause.TRANSIENT),
        ("Deadline exceeded", Cause.TRANSIENT),
        ("RESOURCE_EXHAUSTED", Cause.TRANSIENT),
        ("heartbeat lost", Cause.TRANSIENT),
        ("Content moderation service timed out, please try again", Cause.MODERATION),
        ("Safety checker service unavailable, please try again", Cause.MODERATION),
        ("moderation API connection error", Cause.MODERATION),
        ("NSFW filter worker crashed: out of memory", Cause.MODERATION),
    ],
)
def test_a_failures_cause_is_told_by_its_words(text: str, cause: Cause) -> None:
    """A block is never tried again; trouble of theirs is; what nobody knows is left to the user."""
    assert cause_of(text) is cause


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "9999"}, 120.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW + 30), "date": formatdate(NOW + 20, usegmt=True)}, 10.0),
        ({"retry-after": formatdate(NOW - 30)}, 1.0),
        ({"x-rate-limit-reset-at-utc": "2026-11-19T10:27:00"}, 120.0),
        ({"x-rate-limit-reset-at-utc": str(NOW + 12)}, 12.0),
        ({"x-rate-limit-reset-at-utc": "2020-01-01T00:00:00Z"}, 1.0),
        ({"x-rate-limit-reset-at-utc": "later"}, None),
        ({"retry-after": "3", "x-rate-limit-reset-at-utc": "2099-01-01T00:00:00Z"}, 3.0),
    ],
)
def test_the_wait_that_the_server_asks_for_is_read_and_clamped(headers: dict[str, str], expected: float | None) -> None:
    """Its clock against its clock; a far date must not stop the night."""
    assert retry_after(headers, NOW) == expected
