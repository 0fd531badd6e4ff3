"""Segmind's request history: its rows, and when it is whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchgen.errors import UnknownError
from batchgen.providers.base import Cause, Completed, HistoryRow, Refused, Running
from batchgen.providers.paced import read_whole
from batchgen.providers.segmind.history import SegmindHistory, one_per_request, read_row, row_of, rows_in, windows
from batchgen.providers.segmind.parse import Answer, epoch
from batchgen.redact import Redactor

MP4 = "https://images.segmind.com/generations/wan-2.5-t2v/0c1d.mp4"
NOW = 1_795_000_000.0


def answer(status: int, data: object = None, *, raw: bytes | None = None, **headers: str) -> Answer:
    body = raw if raw is not None else json.dumps(data).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, names, redact=Redactor(["k3y"]).redact)


PNG = "https://images.segmind.com/poster.png"


# --- history -------------------------------------------------------------------------------------------

ROW: dict[str, Any] = {
    "request_id": "abc",
    "model_name": "wan-2.5-t2v",
    "model_status": "COMPLETED",
    "credits_deduction": 0.625,
    "request_body": '{"seed": 42, "prompt": "café"}',
    "generation_url": MP4,
    "created_at": "2026-11-22T07:31:00Z",
}
READ = HistoryRow(
    "abc",
    "wan-2.5-t2v",
    Completed(MP4, 625_000),
    {"seed": 42, "prompt": "café"},
    epoch("2026-11-22T07:31:00Z"),
    625_000,
)
HIDDEN = Answer(200, redact=Redactor(["k3y"]).redact).say


def test_a_history_row_is_read_in_its_documented_shape() -> None:
    """The way back to a clip whose record is gone."""
    assert read_row(ROW, HIDDEN) == READ


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"model_status": "PENDING"}, "outcome", Running("PENDING", queued=True)),
        ({"model_status": "FAILED", "error": "blocked by moderation"}, "outcome", None),
        ({"model_status": "HUH"}, "outcome", Running("HUH", known=False)),
        ({"model_status": None}, "outcome", Completed(MP4, 625_000)),
        ({"generation_url": [PNG, MP4]}, "outcome", Completed(MP4, 625_000)),
        ({"request_body": {"seed": 42}}, "params", {"seed": 42}),
        ({"request_body": json.dumps(json.dumps({"seed": 42}))}, "params", {"seed": 42}),
        ({"request_body": "{cut"}, "params", None),
        ({"request_body": None}, "params", None),
        ({"created_at": 1_795_000_000_000}, "at", NOW),
        ({"created_at": None}, "at", None),
    ],
)
def test_a_history_row_is_read_in_other_shapes(change: dict[str, Any], field: str, expected: object) -> None:
    """Envelope and fields are known second hand only."""
    row = read_row(ROW | change, HIDDEN)
    assert row is not None
    expected = expected or (Refused("blocked by moderation", Cause.BLOCKED) if field == "outcome" else None)
    assert getattr(row, field) == expected


@pytest.mark.parametrize("data", [[ROW], ROW, {"data": ROW}, {"data": [ROW]}, {"data": {"items": [ROW]}}])
def test_rows_are_found_bare_or_enveloped(data: object) -> None:
    """The envelope is not documented."""
    assert rows_in(data) == [ROW]


@pytest.mark.parametrize("data", [None, 7, "x", {}, {"error": "x"}, {"data": None}])
def test_what_is_no_history_is_no_empty_history(data: object) -> None:
    """An absence that was never shown would be a licence to pay again."""
    assert rows_in(data) is None


def test_a_request_repeated_per_output_is_one_row_with_its_link() -> None:
    """Its cost must not be counted twice."""
    bare = read_row(ROW | {"generation_url": None}, HIDDEN)
    assert bare is not None
    assert one_per_request([bare, READ, bare]) == [READ]


def test_a_lookup_answers_only_for_the_id_that_was_asked() -> None:
    """Another request's link would be another clip's video."""
    assert row_of(answer(200, {"data": [ROW]}), "abc") == READ
    assert row_of(answer(404, {"error": "not found"}), "abc") is None
    assert row_of(answer(200, {"data": []}), "abc") is None
    for other in (answer(200, ROW | {"request_id": "zzz"}), answer(404, raw=b"<html>"), answer(401, {"error": "k3y"})):
        with pytest.raises(UnknownError):
            row_of(other, "abc")


def test_windows_cover_every_day_once_and_span_31_days_at_most() -> None:
    """A day that is missed is a request that seems never to have been."""
    found = list(windows(NOW, NOW + 70 * 86400))
    assert len(found) == 3
    assert found[0] == ("2026-11-17", "2026-12-17")
    assert found[1][0] == "2026-12-18"
    assert found[-1][1] == "2027-01-28"
    assert len(list(windows(NOW, NOW - 5))) == 1


class Pages:
    """A history that answers by a script, page by page."""

    def __init__(self, *pages: object) -> None:
        self.pages = pages
        self.asked: list[int] = []

    async def __call__(self, query: Any) -> Answer:
        number = int(query["page"])
        self.asked.append(number)
        page = self.pages[min(number, len(self.pages)) - 1]
        return page if isinstance(page, Answer) else answer(200, page, date="Sun, 22 Nov 2026 07:31:00 GMT")


def rows(count: int, prefix: str = "r") -> list[dict[str, Any]]:
    return [ROW | {"request_id": f"{prefix}{n}"} for n in range(count)]


@pytest.mark.parametrize(
    ("pages", "count", "whole"),
    [
        (([],), 0, True),
        ((rows(3), []), 3, True),
        ((rows(100), rows(50, "s"), []), 150, True),
        ((rows(100), rows(100, "s"), answer(404, {"error": "no such page"})), 200, True),
        ((rows(3),), 3, True),
        ((rows(100),), 100, False),
        (({"data": rows(20), "total": 30}, {"data": [], "total": 30}), 20, False),
        (({"data": [ROW, ROW], "total": 2}, []), 1, True),
        (([ROW, {"model_name": "x"}], []), 1, False),
        ((["junk"],), 0, False),
    ],
    ids=["empty", "short", "two", "404-ends", "unturned-short", "unturned", "total", "repeated", "unreadable", "junk"],
)
async def test_a_history_is_whole_only_when_all_of_it_was_seen(pages: Any, count: int, whole: bool) -> None:
    """Only a whole history may say that nothing was accepted."""
    page = await read_whole(SegmindHistory(Pages(*pages), "wan-2.5-t2v", NOW, NOW))
    assert len(page.rows) == count
    assert page.whole is whole


@pytest.mark.parametrize(
    ("pages", "count", "whole"),
    [
        ([["a", "b"], ["b", "c"], ["c", "d"]], 4, True),  # one that is new comes first: all is shown in the end
        ([["a", "b"], ["b", "c"], ["e"], ["a", "b"], ["d", "c"], ["e"]], 5, True),
        ([["a", "b"], ["b", "c"], ["c"], *[["a", "b"], ["b", "c"], ["c"]] * 3], 3, False),
        ([["a", "b"], ["c", "d"], ["d"], ["a", "b"], ["c", "d"], ["e"]], 5, True),
    ],
)
async def test_a_row_that_is_repeated_makes_up_for_none_that_is_missing(
    pages: list[list[str]], count: int, whole: bool
) -> None:
    """In an unstable order one request came twice and one never: "read whole", and it was paid for twice."""
    total = max(4, count)
    shown = iter([{"data": [ROW | {"request_id": one} for one in page], "total": total} for page in pages])

    async def ask(query: Any) -> Answer:
        assert query["per_page"] == "100"
        return answer(200, next(shown, {"data": [], "total": total}), date="Sun, 22 Nov 2026 07:31:00 GMT")

    page = await read_whole(SegmindHistory(ask, "m", NOW, NOW))
    assert (len(page.rows), page.whole) == (count, whole)


async def test_pages_that_are_too_large_are_asked_for_with_fewer_rows(caplog: pytest.LogCaptureFixture) -> None:
    """Long prompts, as JSON in ASCII, pass any bound: no doubt was ever settled."""
    sizes = []

    async def ask(query: Any) -> Answer:
        size, number = int(query["per_page"]), int(query["page"])
        sizes.append(size)
        if size > 4:
            return Answer(200, too_long=True, whole=False)
        return answer(200, {"data": rows(10)[(number - 1) * size : number * size], "total": 10})

    page = await read_whole(SegmindHistory(ask, "m", NOW, NOW))
    assert (len(page.rows), page.whole) == (10, True)
    assert sizes == [100, 20, 4, 4, 4, 4]
    assert "20 rows of the request history are too much for one answer: asking for 4" in caplog.text


async def test_a_row_that_is_too_large_by_itself_proves_nothing() -> None:
    """It is no empty page."""

    async def ask(_query: Any) -> Answer:
        return Answer(200, too_long=True, whole=False)

    with pytest.raises(UnknownError, match="too large"):
        await read_whole(SegmindHistory(ask, "m", NOW, NOW))


async def test_a_history_without_end_is_cut_and_not_whole() -> None:
    """A night must not hang on somebody's endless list."""

    class Endless(Pages):
        async def __call__(self, query: Any) -> Answer:
            self.asked.append(1)
            return answer(200, rows(1, f"p{query['page']}-"))

    endless = Endless()
    page = await read_whole(SegmindHistory(endless, "m", NOW, NOW + 90 * 86400))
    assert (len(endless.asked), page.whole) == (200, False)


@pytest.mark.parametrize("last", [answer(200, {}), answer(403, {"error": "x"}), answer(404, raw=b"<html>")])
async def test_a_history_that_breaks_off_tells_nothing(last: Answer) -> None:
    """Half a history is no history."""
    with pytest.raises(UnknownError):
        await read_whole(SegmindHistory(Pages(rows(100), last), "m", NOW, NOW))
