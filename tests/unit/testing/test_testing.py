"""What is shipped for the tests of others: the example of its guide runs, and the loop's time is virtual."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import batchgen.testing
from batchgen.errors import DownloadError, RateLimited
from batchgen.files import mp4
from batchgen.providers.base import Completed, Gone, Provider, Running
from batchgen.runner.context import Downloads
from batchgen.testing import (
    MODEL,
    DeadlockError,
    FakeDownloads,
    FakeProvider,
    VirtualTimeLoop,
    always,
    content_of,
    first,
    wall,
)


@contextmanager
def virtual() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        yield runner


def test_the_example_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies it gets a night of 20 clips, each paid once."""
    monkeypatch.chdir(tmp_path)
    guide = batchgen.testing.__doc__ or ""
    code = textwrap.dedent(guide[guide.index("    import asyncio") :])
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert len(list((tmp_path / "night" / "clips").glob("*.mp4"))) == 20


def test_the_fakes_implement_the_protocols_of_the_core() -> None:
    """Checked by mypy; a missing method fails here, too."""
    provider: Provider = FakeProvider()
    downloads: Downloads = FakeDownloads()
    assert provider.name == "fake"
    assert callable(downloads.keep)


def test_a_job_ends_by_the_loops_clock_and_its_record_expires() -> None:
    """An hour of waiting takes no time."""
    provider = FakeProvider(run_s=60.0, spread=0.0)

    async def life() -> list[type]:
        job = (await provider.submit(MODEL, {"prompt": "a cat"})).request_id
        seen = [type(await provider.result(job))]
        await asyncio.sleep(60.0)
        seen.append(type(await provider.result(job)))
        await asyncio.sleep(3600.0)
        return [*seen, type(await provider.result(job))]

    with virtual() as runner:
        assert runner.run(life()) == [Running, Completed, Gone]
    assert provider.spent() == 625_000


def test_a_script_says_what_a_call_meets() -> None:
    """One refusal, then all is well; what is refused is not paid."""
    provider = FakeProvider(post=first("rate"))

    async def life() -> None:
        with pytest.raises(RateLimited):
            await provider.submit(MODEL, {"prompt": "a cat"})
        await provider.submit(MODEL, {"prompt": "a cat"})

    with virtual() as runner:
        runner.run(life())
    assert provider.paid().total() == 1


def test_a_download_is_a_whole_film_of_its_own_or_what_the_script_says(tmp_path: Path) -> None:
    """Checked by the same reader that checks paid clips."""

    async def life() -> None:
        await FakeDownloads().fetch("https://x.example/1.mp4", tmp_path / "1.mp4", mp4.Expect())
        with pytest.raises(DownloadError):
            await FakeDownloads(meets=always("dead")).fetch("https://x.example/2.mp4", tmp_path / "2.mp4", mp4.Expect())

    with virtual() as runner:
        runner.run(life())
    assert [path.name for path in tmp_path.iterdir()] == ["1.mp4"]
    assert mp4.inspect(tmp_path / "1.mp4", len(content_of("https://x.example/1.mp4")), None) == ""
    assert content_of("1") != content_of("2")


def test_virtual_time_jumps_and_a_deadlock_is_an_error() -> None:
    """A test that hangs says so at once."""

    async def wait() -> float:
        began = wall()
        await asyncio.sleep(10_000.0)
        return wall() - began

    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    with virtual() as runner:
        assert runner.run(wait()) == pytest.approx(10_000.0, abs=0.01)
    with pytest.raises(DeadlockError), virtual() as runner:
        runner.run(hang())
