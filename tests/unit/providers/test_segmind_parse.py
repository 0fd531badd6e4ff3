"""Reading Segmind's answers: every documented shape, every seen one, and any other bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import AccountError, CallError, TryAgain, UnknownError
from batchgen.money import to_micro
from batchgen.providers.base import Cause, Completed, Gone, Outcome, Refused, Running
from batchgen.providers.segmind.errors import get_error, submit_error, upload_error
from batchgen.providers.segmind.history import row_of
from batchgen.providers.segmind.jobs import read_outcome
from batchgen.providers.segmind.parse import (
    Answer,
    as_link,
    epoch,
    file_bytes,
    find_link,
    find_links,
    request_id_in,
    seconds,
)
from batchgen.redact import Redactor

MP4 = "https://images.segmind.com/generations/wan-2.5-t2v/0c1d.mp4"
NOW = 1_795_000_000.0


def answer(status: int, data: object = None, *, raw: bytes | None = None, **headers: str) -> Answer:
    body = raw if raw is not None else json.dumps(data).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, names, redact=Redactor(["k3y"]).redact)


# --- jobs


def stated(got: Answer) -> Outcome | None:
    """What an answer says of its job; None: it is asked again, or the account is in trouble."""
    try:
        return read_outcome("status", got)
    except (TryAgain, AccountError):
        return None


@pytest.mark.parametrize(
    ("status", "data", "expected"),
    [
        (200, {"status": "QUEUED", "metrics": {"queue_time": "1.5"}}, Running("QUEUED", queue_s=1.5, queued=True)),
        (200, {"status": "in-progress"}, Running("in-progress")),
        (200, {"status": "WARMING"}, Running("WARMING", known=False)),
        (200, {"request_id": "x"}, Running("", known=False)),
        (200, {"status": 7}, Running("", known=False)),
        (200, [{"status": "PROCESSING"}], Running("PROCESSING")),
        (200, {"data": {"status": "PROCESSING"}}, Running("PROCESSING")),
        (422, {"status": "FAILED", "error": "boom"}, Refused("boom", Cause.UNKNOWN)),
        (200, {"status": "failed", "error": "boom"}, Refused("boom", Cause.UNKNOWN)),
        (422, {"status": "FAILED", "error": "worker died"}, Refused("worker died", Cause.TRANSIENT)),
        (500, {"status": "FAILED", "error": "worker died"}, Refused("worker died", Cause.FINAL)),
        (500, {"status": "FAILED", "error": "boom"}, Refused("boom", Cause.FINAL)),
        (500, {"status": "FAILED", "error": "moderation timed out"}, Refused("moderation timed out", Cause.BLOCKED)),
        (429, {"status": "FAILED", "error": "rate limit exceeded"}, None),
        (503, {"status": "FAILED", "error": "unavailable, try again"}, None),
        (404, {"status": "FAILED", "error": "not found, try again"}, Gone("not found, try again")),
        (422, {"status": "FAILED"}, Refused("failed, without a reason", Cause.UNKNOWN)),
        (422, {"status": "FAILED", "error": {"code": "X"}}, Refused('{"code": "X"}', Cause.UNKNOWN)),
        (422, {"status": "FAILED", "error": ["a", "b"]}, Refused('["a", "b"]', Cause.UNKNOWN)),
        (200, {"status": "CANCELLED", "error": "timed out"}, Refused("timed out", Cause.FINAL)),
        (200, {"status": "error", "error": "timed out"}, Refused("timed out", Cause.FINAL)),
        (404, {"status": "error", "error": "not found"}, Gone("not found")),
        (404, {"error": "Request x not found"}, Gone("Request x not found")),
        (502, {"status": "PROCESSING"}, None),
        (422, {"error": "unprocessable"}, None),
        (200, [], None),
        (200, "QUEUED", None),
    ],
)
def test_the_body_is_read_before_the_code(status: int, data: object, expected: object) -> None:
    """FAILED comes as a 422, and one day as a 200; a gateway's error is no verdict on a job."""
    assert stated(answer(status, data)) == expected


def test_a_completed_job_gives_link_cost_and_metrics_exactly() -> None:
    """Money as it is written, not as a float sees it."""
    metrics = {"cost": 0.6251, "remaining_credits": "41.375", "inference_time": 212.24, "queue_time": 1.8}
    video = {"url": MP4, "file_size": "4718592"}
    body = {"status": "COMPLETED", "output": MP4, "video": video, "metrics": metrics}
    assert stated(answer(500, body)) == Completed(
        url=MP4, cost=625_100, file_size=4718592, queue_s=1.8, run_s=212.24, remaining_credits=41_375_000
    )


def test_a_size_stated_for_another_link_is_not_taken() -> None:
    """A poster's size would make the whole video look broken."""
    video = {"url": "https://h/poster.png", "file_size": 10}
    outcome = stated(answer(200, {"status": "COMPLETED", "output": MP4, "video": video}))
    assert outcome == Completed(url=MP4)


@pytest.mark.parametrize("output", [None, [], {}, "", "data:video/mp4;base64,AAAA", "ftp://h/x.mp4", 7])
def test_a_completed_job_without_a_link_keeps_the_body(output: object) -> None:
    """It is paid for: what came is all that is left to find it by."""
    outcome = stated(answer(200, {"status": "COMPLETED", "output": output, "note": "k3y"}))
    assert isinstance(outcome, Completed)
    assert outcome.url is None
    assert "COMPLETED" in outcome.body
    assert "k3y" not in outcome.body
    assert ("data: URL" in outcome.body) == (str(output).startswith("data:"))


PNG = "https://images.segmind.com/poster.png"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"output": MP4}, MP4),
        ({"output": f"  {MP4}\n"}, MP4),
        ({"output": [MP4]}, MP4),
        ({"output": [PNG, MP4]}, MP4),
        ({"output": ["", None, PNG]}, PNG),
        ({"output": {"url": MP4}}, MP4),
        ({"output": {"video_url": MP4}}, MP4),
        ({"output": {"uri": MP4}}, MP4),
        ({"output": {"data": {"video": {"url": MP4}}}}, MP4),
        ({"output": {"surprise": MP4, "thumb": PNG}}, MP4),
        ({"output": {"surprise": PNG}}, None),
        ({"video": MP4}, MP4),
        ({"video": {"url": MP4}}, MP4),
        ({"videos": [{"url": MP4}]}, MP4),
        ({"output": json.dumps([{"keyname": "v", "value": {"data": MP4, "type": "video"}}])}, MP4),
        ({"output": json.dumps(json.dumps({"url": MP4}))}, MP4),
        ({"output": "HTTPS://h/x.mp4?sig=a%20b"}, "HTTPS://h/x.mp4?sig=a%20b"),
        ({"input": {"video": MP4}}, None),
        ({"status_url": "https://api.segmind.com/v2/requests/x/status"}, None),
        ({"output": "https:///x.mp4"}, None),
        ({"output": "https://h:99999/x.mp4"}, None),
        ({"output": "https://[::1/x.mp4"}, None),
        ({"output": "file:///etc/passwd.mp4"}, None),
        ({"output": "https://h/a b.mp4"}, "https://h/a%20b.mp4"),
        ({"output": "https://h/my\tclip"}, "https://h/my%09clip"),
        ({"output": "https://h/ein Käfig.mp4?sig=a%20b"}, "https://h/ein%20Käfig.mp4?sig=a%20b"),
        ({"output": "//h.example/x.mp4"}, "https://h.example/x.mp4"),
        ({"output": {"result_file": "https://h/abc123"}}, "https://h/abc123"),
        ({"result_file": "https://h/abc123", "id": "x"}, "https://h/abc123"),
        ({"result_file": "https://h/abc123", "terms": "https://h/terms"}, None),
        ({"message": "https://h/abc123 is ready"}, None),
        ({"response_url": "https://h/v2/requests/x"}, None),
        ({"input": {"image": "https://h/abc"}, "output": {"x": {"y": "https://h/abc123"}}}, "https://h/abc123"),
    ],
)
def test_every_known_shape_of_output_gives_the_link(body: dict[str, Any], expected: str | None) -> None:
    """The service promises no fixed set of keys."""
    assert find_link(body) == expected


NAMELESS = "https://h/abc123"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"output": [PNG, NAMELESS]}, [NAMELESS]),
        ({"output": [{"type": "image", "url": PNG}, {"type": "video", "url": NAMELESS}]}, [NAMELESS]),
        ({"output": [{"content_type": "image/png", "url": "https://h/1"}, {"url": "https://h/2"}]}, ["https://h/2"]),
        ({"output": [{"content_type": "video/mp4", "url": "https://h/1"}, MP4]}, ["https://h/1", MP4]),
        ({"output": ["https://h/1", "https://h/2", MP4]}, [MP4, "https://h/1", "https://h/2"]),
        ({"output": MP4, "video": {"url": NAMELESS}}, [MP4, NAMELESS]),
        ({"output": MP4, "video": {"url": MP4}}, [MP4]),
        ({"output": ["https://h/a.png", "https://h/b.jpg"]}, ["https://h/a.png", "https://h/b.jpg"]),
        ({"output": {"thumbnail": "https://h/t", "video": NAMELESS}}, [NAMELESS]),
        ({"output": {"type": "image", "data": {"type": "video", "url": NAMELESS}}}, [NAMELESS]),
    ],
)  # fmt: skip
def test_of_several_links_the_likeliest_comes_first_and_any_may_be_tried(
    body: dict[str, Any], expected: list[str]
) -> None:
    """The bytes decide; a picture in front of the film must not be all that is tried."""
    assert find_links(body) == expected
    outcome = read_outcome("result", answer(200, {"status": "COMPLETED", **body}))
    assert isinstance(outcome, Completed)
    assert [outcome.url, *outcome.others] == expected


# --- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.625, 625_000),
        ("0.625", 625_000),
        (1, 1_000_000),
        (0, 0),
        (0.1 + 0.2, 300_000),
        (-0.1, None),
        (float("nan"), None),
        (float("inf"), None),
        ("1e999999999", None),
        (10**40, None),
        (True, None),
        (None, None),
        ("free", None),
        ([1], None),
    ],
)
def test_money_is_whole_micro_dollars_or_unknown(value: object, expected: int | None) -> None:
    """An unknown price is unknown, never 0."""
    assert to_micro(value) == expected


def test_times_are_read_in_every_usual_way() -> None:
    """The history names no format."""
    assert epoch("2026-11-22T07:31:00") == epoch("2026-11-22T07:31:00Z") == epoch("2026-11-22T08:31:00+01:00")
    assert epoch(NOW) == epoch(NOW * 1000) == epoch(str(int(NOW))) == NOW
    nonsense: list[object] = [None, True, "soon", 5, "nan", 10**400, {}]
    assert [epoch(value) for value in nonsense] == [None] * 7


def test_sizes_and_durations_refuse_nonsense() -> None:
    """A wrong size would make a sound file look broken."""
    assert [file_bytes(value) for value in ("4718592", 1, 0, -1, 1.5, "x", 2**60)] == [4718592, 1, *[None] * 5]
    assert [seconds(value) for value in ("1.5", -1, "x", 1e300)] == [1.5, None, None, None]


# --- anything at all -----------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([MP4, "COMPLETED", "FAILED"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["status", "output", "video", "url", "data", "error", "metrics", "cost", "request_id", "total"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
_BODY = st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode())


@given(st.integers(100, 599), _BODY, st.booleans())
def test_any_answer_is_a_value_or_a_call_error(status: int, body: bytes, whole: bool) -> None:
    """A surprise of theirs must not be a crash of ours."""
    got = Answer(status, body, whole=whole)
    outcome = stated(got)
    assert outcome is None or isinstance(outcome, Running | Completed | Refused | Gone)
    if isinstance(outcome, Completed) and outcome.url is not None:
        assert as_link(outcome.url) == outcome.url
    for error in (submit_error(got, NOW), upload_error(got, NOW), get_error("x", got, NOW)):
        assert isinstance(error, CallError)
        assert str(error).isprintable()
    request_id = request_id_in(got.data())
    assert request_id is None or 0 < len(request_id) <= 200
    try:
        row_of(got, "abc")
    except UnknownError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b"[" * 60 + b"]" * 60, b'{"a":' * 900 + b"1" + b"}" * 900, b"1" * 10_000, b"\xff", b""]
)
def test_hostile_bodies_are_unreadable_and_no_crash(raw: bytes) -> None:
    """Deep nesting and endless digits exhaust what is not bounded."""
    assert answer(200, raw=raw).data() is None
    assert stated(answer(200, raw=raw)) is None
    assert find_link({"output": raw.decode("latin-1")}) is None
