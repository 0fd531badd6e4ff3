"""What every provider keeps, whoever speaks to whatever service: one suite, run on each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batchgen.providers.base import (
    Capabilities,
    Completed,
    Gone,
    HistoryAccess,
    HistoryPage,
    Idempotency,
    Outcome,
    Provider,
    Running,
)
from batchgen.providers.paced import PacedProvider, read_whole
from batchgen.providers.segmind.client import Segmind
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.redact import Secret
from batchgen.sandbox import Sandbox
from batchgen.testing import MODEL, FakeProvider, wall

pytestmark = pytest.mark.real_time

PARAMS = {"prompt": "a café in the rain, 雨", "size": "832*480", "duration": 5, "seed": 7}


@dataclass
class Service:
    """A provider whose service ends a job in about a fifth of a second, and the clock of that service."""

    provider: Provider
    now: Callable[[], float]

    async def submit(self, key: str = "key", **params: Any) -> str:
        """Accept one job; gives its id."""
        return (await self.provider.submit(MODEL, {**PARAMS, **params}, key)).request_id

    async def end(self, request_id: str) -> Outcome:
        """Poll until the job has ended."""
        async with asyncio.timeout(20):
            while isinstance(outcome := await self.provider.status(request_id), Running):
                await asyncio.sleep(0.02)
            return outcome

    async def history(self) -> HistoryPage:
        """Read the last hour's history whole."""
        return await read_whole(self.provider.history(MODEL, self.now() - 3600.0, self.now() + 3600.0))


@asynccontextmanager
async def segmind(folder: Path) -> AsyncIterator[Service]:
    async with (
        Sandbox(folder, latency_s=0.2, render=False) as url,
        Segmind(Secret("SG_0123456789abcdef"), base_url=url) as provider,
    ):
        yield Service(provider, time.time)


@asynccontextmanager
async def fake(_: Path) -> AsyncIterator[Service]:
    yield Service(FakeProvider(run_s=0.2, post_s=0.01, get_s=0.001), wall)


@asynccontextmanager
async def paced(_: Path) -> AsyncIterator[Service]:
    pacer = LocalPacer(0)
    async with asyncio.TaskGroup() as group:
        pacing = group.create_task(pacer.run())
        yield Service(PacedProvider(FakeProvider(run_s=0.2, post_s=0.01, get_s=0.001), pacer), wall)
        pacing.cancel()


@pytest.fixture(params=[segmind, fake, paced], ids=lambda each: each.__name__)
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    """One after the other."""
    async with request.param(tmp_path) as opened:
        yield opened


async def test_it_says_who_it_is_and_what_it_can_do(service: Service) -> None:
    """The core decides by this, and by nothing else that is true of one service only."""
    can = service.provider.capabilities
    assert service.provider.name
    assert service.provider.origin.startswith(("http://", "https://"))
    assert isinstance(can, Capabilities)
    assert 0 < can.record_s < can.file_s
    assert can.seeds[0] < can.seeds[1]


async def test_a_job_is_known_at_once_and_its_link_comes_with_the_result(service: Service) -> None:
    """A status has no link: it is to be had at the price of a second call, in every provider."""
    request_id = await service.submit()
    assert isinstance(await service.provider.status(request_id), Running)
    ended = await service.end(request_id)
    assert isinstance(ended, Completed)
    assert ended.url is None
    result = await service.provider.result(request_id)
    assert isinstance(result, Completed)
    assert result.url
    assert result.cost
    assert service.provider.video(result.url) is None


async def test_a_submission_makes_a_job_each_time_unless_keys_are_honoured(service: Service) -> None:
    """A provider that says NONE and replays would have clips share a video; the other way round it would pay twice."""
    first, other, again = await service.submit("a"), await service.submit("b"), await service.submit("a")
    assert first != other
    match service.provider.capabilities.idempotency:
        case Idempotency.NONE:
            assert len({first, other, again}) == 3
        case Idempotency.REPLAYS:
            assert again == first


@pytest.mark.parametrize("call", ["status", "result"])
async def test_a_request_that_nobody_knows_is_gone_and_no_error(service: Service, call: str) -> None:
    """Whether that is an end is for the core to say."""
    assert isinstance(await getattr(service.provider, call)("nobody-knows-it"), Gone)


async def test_a_request_is_found_in_the_history_by_its_id(service: Service) -> None:
    """The way to the file once the record is gone."""
    if service.provider.capabilities.history is HistoryAccess.NONE:
        return
    request_id = await service.submit()
    await service.end(request_id)
    row = await service.provider.lookup(request_id)
    assert row is not None
    assert (row.request_id, row.model) == (request_id, MODEL)
    assert isinstance(row.outcome, Completed)
    assert row.outcome.url
    assert await service.provider.lookup("nobody-knows-it") is None


async def test_the_history_is_read_call_by_call_and_whole_only_at_its_end(service: Service) -> None:
    """A window that was read in part proves no absence."""
    if service.provider.capabilities.history is not HistoryAccess.WITH_INPUTS:
        return
    made = {await service.submit(seed=n) for n in range(3)}
    reader = service.provider.history(MODEL, service.now() - 3600.0, service.now() + 3600.0)
    assert not reader.ended
    assert not reader.page().whole
    page = await service.history()
    assert page.whole
    assert page.server_time is not None
    assert {row.request_id for row in page.rows} == made
    assert {str((row.params or {})["seed"]) for row in page.rows} == {"0", "1", "2"}
    assert all((row.params or {})["prompt"] == PARAMS["prompt"] for row in page.rows)


async def test_credits_are_micro_dollars_and_an_upload_gives_an_address(service: Service, tmp_path: Path) -> None:
    """A balance in dollars would look like nothing at all."""
    assert await service.provider.balance() > 1_000_000
    (tmp_path / "hook.wav").write_bytes(b"RIFF----WAVE")
    assert (await service.provider.upload(tmp_path / "hook.wav")).startswith(("http://", "https://"))
