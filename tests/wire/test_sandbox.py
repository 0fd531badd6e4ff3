"""The sandbox over the wire: it answers as the service does, and forgets nothing when it is killed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from batchgen.sandbox import Faults, Sandbox

pytestmark = pytest.mark.real_time

KEY = {"x-api-key": "SG_0123456789abcdef"}
ASK = {"prompt": "A café — “live”, 雨", "size": "832*480", "duration": "5", "seed": 7}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=KEY) as session:
        yield session


def sandbox(folder: Path, **options: Any) -> Sandbox:
    return Sandbox(folder, **{"latency_s": 0.05, "render": False, **options})


async def submit(http: aiohttp.ClientSession, url: str, **params: Any) -> str:
    async with http.post(f"{url}/v2/wan-2.5-t2v", json={**ASK, **params}) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["request_id"])


async def get(http: aiohttp.ClientSession, url: str, **params: Any) -> tuple[int, Any]:
    async with http.get(url, params=params) as answer:
        return answer.status, json.loads(await answer.text())


async def finish(http: aiohttp.ClientSession, url: str, request_id: str) -> tuple[int, Any]:
    async with asyncio.timeout(8):
        while True:
            code, body = await get(http, f"{url}/v2/requests/{request_id}/status")
            if body.get("status") in {"COMPLETED", "FAILED"}:
                return await get(http, f"{url}/v2/requests/{request_id}")
            assert code == 200
            await asyncio.sleep(0.02)


async def test_a_submission_is_answered_in_the_services_shape(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The provider is written against these very keys."""
    async with sandbox(tmp_path) as url, http.post(f"{url}/v2/wan-2.5-t2v", json=ASK) as answer:
        body = await answer.json()
    assert set(body) == {"request_id", "status", "poll_url", "status_url", "response_url"}
    assert body["status"] == "QUEUED"
    assert body["status_url"] == f"{url}/v2/requests/{body['request_id']}/status"


async def test_a_completed_job_gives_link_size_cost_and_seed(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Types count: the service sends seed and file_size as text."""
    async with sandbox(tmp_path) as url:
        request_id = await submit(http, url)
        code, body = await finish(http, url, request_id)
        async with http.get(body["output"]) as file:
            content = await file.read()
    assert code == 200
    assert body["output"] == body["video"]["url"] == f"{url}/files/{request_id}.mp4"
    assert body["video"]["file_size"] == str(len(content))
    assert body["seed"] == "7"
    assert body["metrics"]["cost"] == 0.3125
    assert body["metrics"]["remaining_credits"] == 99.6875
    assert content[4:8] == b"ftyp"
    assert request_id.encode() in content


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"size": "999*999"}, 406, "size"),
        ({"duration": 7}, 406, "duration"),
        ({"duration": True}, 406, "duration"),
    ],
)
async def test_values_outside_the_fixed_sets_are_refused_at_submission(
    http: aiohttp.ClientSession, tmp_path: Path, params: dict[str, Any], code: int, words: str
) -> None:
    """406 with the value named, and nothing booked."""
    box = sandbox(tmp_path)
    async with box as url, http.post(f"{url}/v2/wan-2.5-t2v", json={**ASK, **params}) as answer:
        assert (answer.status, words in (await answer.json())["error"]) == (code, True)
        assert box.books == []


async def test_each_refusal_has_its_own_code(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Branching is on status and text, so both are the service's."""
    async with sandbox(tmp_path) as url:
        post = f"{url}/v2/wan-2.5-t2v"
        async with http.post(post, json={"size": "832*480"}) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, "Bad request: 'prompt' is required")
        async with http.post(post, data=b"{", headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 400
        async with http.post(post, data=b"prompt=x", headers={"Content-Type": "text/plain"}) as answer:
            assert (answer.status, (await answer.json())["error"]) == (406, "Invalid content type")
        async with http.post(f"{url}/v2/veo-9", json=ASK) as answer:
            assert (answer.status, (await answer.json())["error"]) == (404, "Model not found")
        async with http.get(f"{url}/v2/wan-2.5-t2v") as answer:
            assert (answer.status, answer.content_type) == (405, "text/html")


async def test_bad_values_outside_the_sets_fail_in_the_model_with_422(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A FAILED job is 422 on status and on result, and is free."""
    box = sandbox(tmp_path)
    async with box as url:
        request_id = await submit(http, url, prompt=5)
        code, body = await finish(http, url, request_id)
        assert (code, body["status"]) == (422, "FAILED")
        assert body["error"] == "Prompt is Mandatory and must be string"
        assert "cost" not in body["metrics"]
        assert box.books[0].charged == 0


async def test_a_missing_or_wrong_key_is_401_with_two_texts(tmp_path: Path) -> None:
    """Files need no key: a client must not send one."""
    async with sandbox(tmp_path, key="SG_right") as url, aiohttp.ClientSession() as plain:
        async with plain.get(f"{url}/v1/get-user-credits") as answer:
            assert (answer.status, "Missing" in await answer.text()) == (401, True)
        async with plain.get(f"{url}/v1/get-user-credits", headers={"x-api-key": "SG_wrong"}) as answer:
            assert (answer.status, "Unauthorized" in await answer.text()) == (401, True)
        async with plain.get(f"{url}/sandbox/books") as answer:
            assert answer.status == 200


async def test_reserved_credits_refuse_a_job_but_cannot_be_seen(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The pitfall of the real account: 406 comes although the balance looks enough."""
    async with sandbox(tmp_path, credits=Decimal("0.5"), latency_s=0.4) as url:
        first = await submit(http, url)
        async with http.post(f"{url}/v2/wan-2.5-t2v", json=ASK) as answer:
            assert (answer.status, "Insufficient credits" in await answer.text()) == (406, True)
        assert (await get(http, f"{url}/v1/get-user-credits"))[1]["credits"] == 0.5
        await finish(http, url, first)
        assert (await get(http, f"{url}/v1/get-user-credits"))[1]["credits"] == 0.1875


async def test_a_failed_job_gives_its_reserved_credits_back(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Only success is charged."""
    async with sandbox(tmp_path, credits=Decimal("0.5"), faults=Faults(failed=1)) as url:
        await finish(http, url, await submit(http, url))
        await finish(http, url, await submit(http, url))
        assert (await get(http, f"{url}/v1/get-user-credits"))[1]["credits"] == 0.1875


async def test_jobs_beyond_the_slots_queue(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """queue_time grows by the run time of those ahead."""
    async with sandbox(tmp_path, slots=1, latency_s=0.2, jitter=0) as url:
        ids = [await submit(http, url) for _ in range(3)]
        words = [(await get(http, f"{url}/v2/requests/{n}/status"))[1]["status"] for n in ids]
        bodies = [(await finish(http, url, n))[1] for n in ids]
    assert words == ["PROCESSING", "QUEUED", "QUEUED"]
    queued = [body["metrics"]["queue_time"] for body in bodies]
    assert queued == sorted(queued)
    assert queued[2] > 0.25


async def test_the_record_goes_after_its_ttl_while_history_and_file_live(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """The way back after an hour is the history, never a new job."""
    now = Clock()
    async with sandbox(tmp_path, latency_s=0, clock=now, file_ttl_s=9000) as url:
        request_id = await submit(http, url)
        await finish(http, url, request_id)
        now.skip(3601)
        for path in ("", "/status"):
            code, body = await get(http, f"{url}/v2/requests/{request_id}{path}")
            assert (code, body) == (404, {"error": f"Request {request_id} not found"})
        code, row = await get(http, f"{url}/inference-request/request-history/{request_id}")
        assert (code, row["model_status"], row["credits_deduction"]) == (200, "COMPLETED", 0.3125)
        async with http.get(row["generation_url"]) as file:
            assert file.status == 200
        now.skip(9000)
        async with http.get(row["generation_url"]) as file:
            assert file.status == 404


async def test_history_lists_failed_and_pending_with_their_body_as_text(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """What was sent is how a lost answer is recognised."""
    async with sandbox(tmp_path, faults=Faults(failed=1), latency_s=0.05, slots=9) as url:
        history = f"{url}/inference-request/request-history"
        failed = await submit(http, url)
        await finish(http, url, failed)
        done = await submit(http, url, seed=8)
        await finish(http, url, done)
        rows = (await get(http, history, sort_order="asc"))[1]["data"]
        assert [(row["request_id"], row["model_status"]) for row in rows] == [(failed, "FAILED"), (done, "COMPLETED")]
        assert json.loads(rows[1]["request_body"]) == {**ASK, "seed": 8}
        assert "Internal error" in rows[0]["error"]
        only = (await get(http, history, status="COMPLETED", model_name="wan-2.5-t2v"))[1]["data"]
        assert [row["request_id"] for row in only] == [done]
        assert (await get(http, history, per_page=1, page=2))[1]["data"][0]["request_id"] == failed
        assert (await get(http, history, model_name="wan-2.6-t2v"))[1]["data"] == []
        assert (await get(http, history, from_date="2020-01-01", to_date="2020-01-02"))[1]["data"] == []
        for bad in ({"per_page": 101}, {"from_date": "2026-01-01", "to_date": "2026-03-01"}, {"to_date": "soon"}):
            assert (await get(http, history, **bad))[0] == 400


async def test_history_lags_when_asked_to(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A row that is not there yet proves nothing."""
    now = Clock()
    async with sandbox(tmp_path, clock=now, history_lag_s=60) as url:
        request_id = await submit(http, url)
        history = f"{url}/inference-request/request-history"
        assert (await get(http, history))[1]["data"] == []
        assert (await get(http, f"{history}/{request_id}"))[0] == 404
        now.skip(61)
        assert (await get(http, f"{history}/{request_id}"))[0] == 200


async def test_a_restart_on_another_port_goes_on_with_the_same_ids(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A run that was killed finds what it paid for, at the new address."""
    async with sandbox(tmp_path, latency_s=0.3) as url:
        done = await submit(http, url)
        first = (await finish(http, url, done))[1]
        pending = [await submit(http, url, seed=n) for n in range(5)]
    next(tmp_path.rglob("port")).write_text("0")  # as if it were taken
    async with sandbox(tmp_path, latency_s=0.3) as other:
        assert other != url
        again = (await finish(http, other, done))[1]
        assert again["output"] == first["output"].replace(url, other)
        assert again["metrics"]["cost"] == first["metrics"]["cost"]
        for request_id in pending:
            code, body = await finish(http, other, request_id)
            assert code == 200
            async with http.get(body["output"]) as file:
                assert str(len(await file.read())) == body["video"]["file_size"]
        assert (await get(http, f"{other}/sandbox/books"))[1]["charged"] == 6 * 0.3125


async def test_fifty_submissions_at_once_are_all_booked(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """No id is given twice, none is lost."""
    box = sandbox(tmp_path, slots=50)
    async with box as url:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(submit(http, url, seed=n)) for n in range(50)]
        ids = {task.result() for task in tasks}
        assert len(ids) == 50
        assert {line.request_id for line in box.books} == ids
        assert {line.params["seed"] for line in box.books} == set(range(50))


async def test_range_and_if_range_are_honoured(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Resume works, and a file that changed is sent whole."""
    async with sandbox(tmp_path) as url:
        link = (await finish(http, url, await submit(http, url)))[1]["output"]
        async with http.get(link) as file:
            whole, tag = await file.read(), file.headers["ETag"]
        for if_range, status, body in ((tag, 206, whole[100:]), ('"other"', 200, whole)):
            async with http.get(link, headers={"Range": "bytes=100-", "If-Range": if_range}) as file:
                assert (file.status, await file.read() == body) == (status, True)
        async with http.get(link, headers={"Range": f"bytes={len(whole)}-"}) as file:
            assert file.status == 416


async def test_more_calls_than_rpm_in_sixty_seconds_are_429(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A sliding window over all calls, polls included; downloads and books don't count."""
    now = Clock()
    async with sandbox(tmp_path, rpm=3, clock=now) as url:
        codes = [(await get(http, f"{url}/v1/get-user-credits"))[0] for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        assert (await get(http, f"{url}/sandbox/books"))[0] == 200
        now.skip(60.1)
        assert (await get(http, f"{url}/v1/get-user-credits"))[0] == 200


async def test_an_upload_is_kept_by_its_content(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The same audio twice is one asset."""
    data = "data:audio/mpeg;base64," + base64.b64encode(b"ID3 sound").decode()
    async with sandbox(tmp_path) as url:
        async with http.post(f"{url}/upload-asset", json={"data_urls": [data, data]}) as answer:
            urls = (await answer.json())["file_urls"]
        async with http.get(urls[0]) as file:
            assert await file.read() == b"ID3 sound"
        async with http.post(f"{url}/upload-asset", json={"data_urls": ["nonsense"]}) as answer:
            assert answer.status == 400
    assert urls[0] == urls[1]


async def test_a_clip_that_cannot_be_written_fails_its_job(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Never a hang."""
    async with sandbox(tmp_path) as url:
        (tmp_path / "files").rmdir()
        code, body = await finish(http, url, await submit(http, url))
    assert (code, body["status"]) == (422, "FAILED")
    assert "could not render" in body["error"]


class Clock:
    """Wall time that can be moved on."""

    def __init__(self) -> None:
        self._at = 1_800_000_000.0

    def __call__(self) -> float:
        self._at += 0.001
        return self._at

    def skip(self, seconds: float) -> None:
        self._at += seconds


async def test_links_of_before_a_restart_lead_somewhere(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A run that resumes would else wait a quarter of an hour for a port on which nobody listens any more."""
    async with Sandbox(tmp_path) as first:
        pass
    async with Sandbox(tmp_path) as second:
        assert second == first
        async with Sandbox(tmp_path / "other") as other:
            assert other != second
    (tmp_path / "other" / "port").write_text((tmp_path / "port").read_text())
    async with Sandbox(tmp_path) as second, Sandbox(tmp_path / "other") as other:
        assert second == first
        assert other != second  # its port of last time is taken
    for nonsense in ("", "x", "99999", "-1"):
        (tmp_path / "port").write_text(nonsense)
        async with Sandbox(tmp_path) as anew, http.get(anew) as answer:
            assert answer.status == 200
