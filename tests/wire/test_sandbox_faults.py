"""Each fault of the sandbox is seen on the wire, as often as it was asked for, and does what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from batchgen.sandbox import Faults, Sandbox

pytestmark = pytest.mark.real_time

ASK = {"prompt": "rain", "size": "480*832", "duration": 5, "seed": 7}
FILE_FAULTS = ("truncated", "garbage", "slow", "stall", "no_length", "no_range", "etag_changes", "redirect")
COVERED = {
    *("rate429", "rate429_after", "rate429_reset", "http500", "http502", "retired", "poll_trouble", "history_down"),
    *("lost", "hang", "gateway504", "cutjson", "failed", "failed_bad", "blocked", "no_output", "odd_state"),
    *("vanish", "broken_file", "expired_link", "overdue", "filtered", "redirected", "maintenance", "accepted500"),
    *(
        "failed_charged",
        "early_failed",
        "contradicts",
        "odd_link",
        "stray_bytes",
        "forbidden",
        "private",
        "mislabelled",
    ),
    *FILE_FAULTS,
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=5, sock_read=0.5)
    async with aiohttp.ClientSession(headers={"x-api-key": "k"}, timeout=timeout) as session:
        yield session


def box(folder: Path, **options: Any) -> Sandbox:
    return Sandbox(folder, **{"latency_s": 0.03, "render": False, **options})


async def post(http: aiohttp.ClientSession, url: str) -> tuple[int, str, str]:
    async with http.post(f"{url}/v2/wan-2.5-t2v", json=ASK) as answer:
        return answer.status, answer.content_type, await answer.text()


async def done(http: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    """Submit, wait, and give the result."""
    request_id = json.loads((await post(http, url))[2])["request_id"]
    async with asyncio.timeout(5):
        while True:
            async with http.get(f"{url}/v2/requests/{request_id}/status") as answer:
                if answer.status != 200 or (await answer.json())["status"] == "COMPLETED":
                    break
            await asyncio.sleep(0.01)
    async with http.get(f"{url}/v2/requests/{request_id}") as answer:
        return answer.status, await answer.json()


def test_every_fault_of_the_catalogue_is_tested_here() -> None:
    """A fault that nobody has seen on the wire is a promise without a proof."""
    assert set(Faults.catalogue()) == COVERED


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("rate429", 429, "application/json"),
        ("rate429_after", 429, "application/json"),
        ("rate429_reset", 429, "application/json"),
        ("http500", 500, "application/json"),
        ("http502", 502, "text/html"),
        ("retired", 410, "application/json"),
        ("overdue", 400, "application/json"),
        ("filtered", 403, "text/html"),
        ("maintenance", 503, "text/html"),
    ],
)
async def test_a_fault_before_acceptance_books_nothing(
    http: aiohttp.ClientSession, tmp_path: Path, fault: str, status: int, kind: str
) -> None:
    """And a count of one strikes once: the next try is accepted."""
    sandbox = box(tmp_path, faults=Faults(**{fault: 1}))
    async with sandbox as url:
        assert (await post(http, url))[:2] == (status, kind)
        assert sandbox.books == []
        assert (await post(http, url))[0] == 200


async def test_the_hints_of_429_are_sent_as_asked(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The service sends none, others send either."""
    async with box(tmp_path, faults=Faults(rate429=1, rate429_after=1, rate429_reset=1)) as url:
        hints = []
        for _ in range(3):
            async with http.get(f"{url}/v1/get-user-credits") as answer:
                hints.append({"Retry-After", "x-rate-limit-reset-at-utc"} & set(answer.headers))
    assert hints == [set(), {"Retry-After"}, {"x-rate-limit-reset-at-utc"}]


@pytest.mark.parametrize("fault", ["lost", "hang", "gateway504", "cutjson", "accepted500"])
async def test_a_fault_after_acceptance_books_the_job(http: aiohttp.ClientSession, tmp_path: Path, fault: str) -> None:
    """The answer is of no use, and the job is paid for all the same."""
    sandbox = box(tmp_path, faults=Faults(**{fault: 1}))
    async with sandbox as url:
        try:
            status, kind, text = await post(http, url)
        except (aiohttp.ServerDisconnectedError, TimeoutError) as trouble:
            assert (fault == "hang") == isinstance(trouble, TimeoutError)
        else:
            assert (fault, status, kind) in {
                ("gateway504", 504, "text/html"),
                ("cutjson", 200, "application/json"),
                ("accepted500", 500, "application/json"),
            }
            assert "request_id" not in text or fault == "cutjson"
        assert len(sandbox.books) == 1
        history = f"{url}/inference-request/request-history"
        async with http.get(history) as answer:
            rows = (await answer.json())["data"]
        assert json.loads(rows[0]["request_body"]) == ASK


async def test_polls_meet_trouble_in_turn(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """503, HTML 502, a closed connection; then all is well."""
    async with box(tmp_path, faults=Faults(poll_trouble=3)) as url:
        request_id = json.loads((await post(http, url))[2])["request_id"]
        seen: list[int | str] = []
        for _ in range(4):
            try:
                async with http.get(f"{url}/v2/requests/{request_id}") as answer:
                    seen.append(answer.status)
            except aiohttp.ServerDisconnectedError:
                seen.append("closed")
    # aiohttp's client asks once more by itself when a kept-alive connection closes under a GET.
    assert seen[:2] == [503, 502]
    assert seen[-1] == 200


async def test_the_history_can_be_down(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """What can't be asked proves nothing."""
    async with box(tmp_path, faults=Faults(history_down=1.0)) as url:
        async with http.get(f"{url}/inference-request/request-history") as answer:
            assert answer.status == 503


@pytest.mark.parametrize(
    ("fault", "words"), [("failed", "Internal error"), ("failed_bad", "InvalidParameter"), ("blocked", "moderation")]
)
async def test_a_job_that_failed_is_422_and_free(
    http: aiohttp.ClientSession, tmp_path: Path, fault: str, words: str
) -> None:
    """Three causes, three texts."""
    sandbox = box(tmp_path, faults=Faults(**{fault: 1}))
    async with sandbox as url:
        status, body = await done(http, url)
        assert (status, words in body["error"]) == (422, True)
        assert [line.charged for line in sandbox.books] == [0]


async def test_no_output_is_completed_and_charged_without_a_url(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The money is gone."""
    sandbox = box(tmp_path, faults=Faults(no_output=1))
    async with sandbox as url:
        status, body = await done(http, url)
        assert (status, body["status"], "output" in body, "video" in body) == (200, "COMPLETED", False, False)
        assert sandbox.books[0].charged > 0


async def test_an_odd_state_word_is_shown_while_it_runs(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A new word is no end."""
    async with box(tmp_path, faults=Faults(odd_state=1), latency_s=0.5) as url:
        request_id = json.loads((await post(http, url))[2])["request_id"]
        async with http.get(f"{url}/v2/requests/{request_id}/status") as answer:
            assert (await answer.json())["status"] == "RETRYING"


async def test_a_vanished_record_is_known_to_history_alone(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """404 is no reason to pay again."""
    async with box(tmp_path, faults=Faults(vanish=1)) as url:
        status, body = await done(http, url)
        assert (status, "not found" in body["error"]) == (404, True)
        request_id = body["error"].split()[1]
        async with http.get(f"{url}/inference-request/request-history/{request_id}") as answer:
            row = await answer.json()
        async with http.get(row["generation_url"]) as file:
            assert file.status == 200


async def test_a_broken_file_is_cut_for_good(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Its length is consistent; only its structure tells."""
    async with box(tmp_path, faults=Faults(broken_file=1)) as url:
        _, body = await done(http, url)
        for _ in range(2):
            async with http.get(body["output"]) as file:
                content = await file.read()
            assert str(len(content)) == body["video"]["file_size"]
            assert b"moov" not in content


async def test_an_expired_link_is_dead_until_the_result_is_asked_again(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """403 for the first link, 200 for the second."""
    async with box(tmp_path, faults=Faults(expired_link=1)) as url:
        _, body = await done(http, url)
        async with http.get(body["output"]) as file:
            assert file.status == 403
        async with http.get(f"{url}/v2/requests/{body['request_id']}") as answer:
            again = (await answer.json())["output"]
        async with http.get(again) as file:
            assert file.status == 200


async def test_a_truncated_body_ends_before_its_length(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """And the rest can be had by Range."""
    async with box(tmp_path, faults=Faults(truncated=2)) as url:
        _, body = await done(http, url)
        size = int(body["video"]["file_size"])
        got = await _until_trouble(http, body["output"], aiohttp.ClientPayloadError)
        assert got == size // 2
        more = await _until_trouble(http, body["output"], aiohttp.ClientPayloadError, {"Range": f"bytes={got}-"})
        assert more == (size - got) // 2
        async with http.get(body["output"], headers={"Range": f"bytes={got + more}-"}) as file:
            assert (file.status, len(await file.read())) == (206, size - got - more)


async def test_a_stalled_body_stops_half_way(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The connection stays open, so only the client's patience ends it."""
    async with box(tmp_path, faults=Faults(stall=1)) as url:
        _, body = await done(http, url)
        got = await _until_trouble(http, body["output"], TimeoutError)
    assert got == int(body["video"]["file_size"]) // 2


async def _until_trouble(
    http: aiohttp.ClientSession, link: str, trouble: type[Exception], headers: dict[str, str] | None = None
) -> int:
    got = 0
    async with http.get(link, headers=headers) as file:
        with pytest.raises(trouble):
            async for chunk in file.content.iter_any():
                got += len(chunk)
    return got


async def test_garbage_is_html_with_200(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A page of the host in place of the video."""
    async with box(tmp_path, faults=Faults(garbage=1)) as url:
        _, body = await done(http, url)
        async with http.get(body["output"]) as file:
            assert (file.status, (await file.read())[:6]) == (200, b"<html>")


async def test_a_slow_body_arrives_whole_in_many_pieces(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Slow is not broken."""
    async with box(tmp_path, faults=Faults(slow=1)) as url:
        _, body = await done(http, url)
        async with http.get(body["output"]) as file:
            pieces = [chunk async for chunk in file.content.iter_any()]
    assert len(pieces) > 5
    assert str(sum(map(len, pieces))) == body["video"]["file_size"]


async def test_headers_of_the_file_host_can_be_missing_or_useless(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """No length, no Range, another tag each time, a redirect: and the bytes are right every time."""
    async with box(tmp_path, faults=Faults(no_length=1, no_range=1, etag_changes=1, redirect=1)) as url:
        _, body = await done(http, url)
        link, size = body["output"], int(body["video"]["file_size"])
        async with http.get(link) as file:
            assert ("Content-Length" in file.headers, len(await file.read())) == (False, size)
        async with http.get(link, headers={"Range": "bytes=9-"}) as file:
            assert (file.status, len(await file.read())) == (200, size)
            tag = file.headers["ETag"]
        async with http.get(link, headers={"Range": "bytes=9-", "If-Range": tag}) as file:
            assert (file.status, len(await file.read()), file.headers["ETag"] == tag) == (200, size, False)
        async with http.get(link, headers={"Range": "bytes=9-"}) as file:
            assert (file.status, len(await file.read()), len(file.history)) == (206, size - 9, 1)


async def test_a_count_is_not_begun_anew_by_a_restart(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A run that is killed and resumed meets the first n faults once."""
    for expected in (500, 200):
        async with box(tmp_path, faults=Faults(http500=1)) as url:
            assert (await post(http, url))[0] == expected


async def test_a_post_can_be_sent_elsewhere(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """With a body that nobody has taken."""
    sandbox = box(tmp_path, faults=Faults(redirected=1))
    async with sandbox as url, http.post(f"{url}/v2/wan-2.5-t2v", json=ASK, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "https://elsewhere.example/v2/job")
        assert sandbox.books == []


async def test_a_failure_can_be_charged(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """And the history shows the charge."""
    sandbox = box(tmp_path, faults=Faults(failed_charged=1))
    async with sandbox as url:
        assert (await done(http, url))[0] == 422
        assert sandbox.books[0].charged > 0
        async with http.get(f"{url}/inference-request/request-history") as answer:
            row = (await answer.json())["data"][0]
    assert (row["model_status"], row["credits_deduction"] > 0) == ("FAILED", True)


async def test_a_job_that_failed_early_completes(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Its history never says FAILED."""
    sandbox = box(tmp_path, faults=Faults(early_failed=1), latency_s=0.3)
    async with sandbox as url:
        request_id = json.loads((await post(http, url))[2])["request_id"]
        async with http.get(f"{url}/v2/requests/{request_id}/status") as answer:
            assert (answer.status, (await answer.json())["status"]) == (422, "FAILED")
        async with http.get(f"{url}/inference-request/request-history/{request_id}") as answer:
            assert (await answer.json())["model_status"] == "PENDING"
        await asyncio.sleep(0.5)
        async with http.get(f"{url}/v2/requests/{request_id}/status") as answer:
            assert (await answer.json())["status"] == "COMPLETED"
        assert sandbox.books[0].charged > 0


async def test_results_can_contradict_the_status(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Twice FAILED, then the truth."""
    async with box(tmp_path, faults=Faults(contradicts=1)) as url:
        first, body = await done(http, url)
        request_id = body["request_id"]
        seen = [first]
        for _ in range(2):
            async with http.get(f"{url}/v2/requests/{request_id}") as answer:
                seen.append(answer.status)
    assert seen == [422, 422, 200]


async def test_a_film_can_stand_behind_a_picture_and_end_in_stray_bytes(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """The link has a space and no ending."""
    async with box(tmp_path, faults=Faults(odd_link=1, stray_bytes=1)) as url:
        _, body = await done(http, url)
        picture, film = body["output"]
        assert (picture["type"], film["type"]) == ("image", "video")
        assert film["url"].endswith("/my film")
        async with http.get(picture["url"]) as answer:
            assert (answer.content_type, (await answer.read())[:4]) == ("image/png", b"\x89PNG")
        async with http.get(film["url"]) as answer:
            content = await answer.read()
    assert content[4:8] == b"ftyp"
    assert content.endswith(b"\r\n")


@pytest.mark.parametrize(("fault", "status"), [("forbidden", 403), ("private", 302), ("mislabelled", 200)])
async def test_a_file_host_can_be_in_trouble(
    http: aiohttp.ClientSession, tmp_path: Path, fault: str, status: int
) -> None:
    """And the same link is good afterwards."""
    async with box(tmp_path, faults=Faults(**{fault: 1})) as url:
        _, body = await done(http, url)
        async with http.get(body["output"], allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer:
            assert answer.status == status
            assert answer.headers.get("Content-Encoding") == ("gzip" if fault == "mislabelled" else None)
            assert answer.headers.get("Location") == ("http://192.168.1.1/login" if fault == "private" else None)
            answer.close()
        async with http.get(body["output"]) as answer:
            assert (await answer.read())[4:8] == b"ftyp"
