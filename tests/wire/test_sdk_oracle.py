"""The vendor's own SDK, unmodified, runs against the sandbox: the oracle of its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from batchgen.sandbox import Faults, Sandbox

segmind = pytest.importorskip("segmind")
pytestmark = pytest.mark.real_time

T = TypeVar("T")
ASK = {"prompt": "rain", "size": "832*480", "duration": "5", "seed": 7}


async def with_client(url: str, call: Callable[[Any], T]) -> T:
    """Run a blocking call of the SDK in a thread."""

    def run() -> T:
        client = segmind.SegmindClient(api_key="SG_0123456789abcdef", base_url=f"{url}/v1")
        try:
            return call(client)
        finally:
            client._client.close()

    return await asyncio.to_thread(run)


def job(client: Any) -> dict[str, Any]:
    body: dict[str, Any] = client.submit_async("wan-2.5-t2v", **ASK).wait(timeout=8, interval=0.02)
    return body


async def test_the_sdk_submits_waits_and_gets_the_result(tmp_path: Path) -> None:
    """submit → wait → result, with nothing of the SDK changed."""
    async with Sandbox(tmp_path, latency_s=0.1, render=False) as url:
        body = await with_client(url, job)
    assert body["status"] == "COMPLETED"
    assert body["output"].startswith(f"{url}/files/")
    assert body["metrics"]["cost"] == 0.3125


async def test_the_sdk_reads_a_failed_job_from_its_422(tmp_path: Path) -> None:
    """FAILED comes as 422 with a body that names the cause."""
    async with Sandbox(tmp_path, latency_s=0.05, render=False, faults=Faults(blocked=1)) as url:
        with pytest.raises(segmind.v2.InferenceFailed) as failed:
            await with_client(url, job)
    assert "content moderation" in failed.value.detail
    assert failed.value.status_body["metrics"]["total_time"] >= 0


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"key": "SG_other"}, 401, "Unauthorized"),
        ({"credits": 0}, 406, "Insufficient credits"),
        ({"faults": Faults(rate429=1)}, 429, "rate_limit_exceeded"),
        ({"faults": Faults(http500=1)}, 500, "Internal server error"),
        ({"faults": Faults(retired=1)}, 410, "retired"),
    ],
)
async def test_the_sdk_reads_every_refusal(tmp_path: Path, options: dict[str, Any], status: int, words: str) -> None:
    """Status and detail arrive where the SDK looks for them."""
    async with Sandbox(tmp_path, render=False, **options) as url:
        with pytest.raises(segmind.SegmindError) as refused:
            await with_client(url, job)
    assert refused.value.status == status
    assert words in refused.value.detail


async def test_the_sdk_takes_up_its_job_after_the_sandbox_was_restarted(tmp_path: Path) -> None:
    """A handle that outlives the server is what a resumed run has."""
    async with Sandbox(tmp_path, latency_s=0.2, render=False) as url:
        port = int(url.rpartition(":")[2])
        handle = await with_client(url, lambda client: client.submit_async("wan-2.5-t2v", **ASK))
    async with Sandbox(tmp_path, latency_s=0.2, render=False, port=port) as url:
        body = await with_client(url, lambda client: _again(client, handle))
    assert body["request_id"] == handle.request_id


def _again(client: Any, handle: Any) -> dict[str, Any]:
    handle._client = client
    body: dict[str, Any] = handle.wait(timeout=8, interval=0.02)
    return body
