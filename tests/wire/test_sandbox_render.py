"""The clips that the sandbox renders are real, of the asked size and duration, and each its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import aiohttp
import pytest

from batchgen.sandbox import Sandbox
from batchgen.sandbox.clips import StoppedError, copy
from batchgen.sandbox.protocol import Order
from batchgen.sandbox.render import render

av = pytest.importorskip("av")
pytest.importorskip("PIL")
pytestmark = pytest.mark.real_time

WORDS = "A very long line 雨 " * 90 + "x" * 400


def order(prompt: str = "rain", *, width: int = 480, height: int = 832, duration: int = 5, seed: int = 1) -> Order:
    return Order(prompt=prompt, width=width, height=height, duration=duration, seed=seed, price=0)


@pytest.mark.parametrize(
    "wanted",
    [order(), order(WORDS, width=832, height=480, duration=10), order("", width=1080, height=1920)],
    ids=["portrait", "long", "empty"],
)
def test_a_rendered_clip_is_h264_and_aac_as_asked(tmp_path: Path, wanted: Order) -> None:
    """Every frame decodes, and the picture moves."""
    path = tmp_path / "clip.mp4"
    render(wanted, "id", path, Event())
    with av.open(str(path)) as clip:
        video, audio = clip.streams.video[0], clip.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height) == (wanted.width, wanted.height)
        assert clip.duration / av.time_base == pytest.approx(wanted.duration, abs=0.05)
        frames = [bytes(frame.planes[0]) for frame in clip.decode(video) if frame.pts is not None]
    assert len(frames) == 24 * wanted.duration
    assert frames[0] != frames[48]


@pytest.mark.parametrize("make", [render, copy])
def test_a_clip_is_the_same_for_the_same_request_and_differs_for_another(tmp_path: Path, make: object) -> None:
    """So a file can be told from any other, even where the picture is the package's."""
    assert callable(make)
    contents = []
    for n, request_id in enumerate(("a", "a", "b")):
        path = tmp_path / str(n)
        make(order(), request_id, path, Event())
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_rendering_stops_when_it_is_told_to(tmp_path: Path) -> None:
    """Ctrl-C does not wait for a clip."""
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        render(order(), "id", tmp_path / "clip.mp4", stop)


async def test_a_sandbox_stopped_while_it_renders_makes_the_file_at_the_next_start(tmp_path: Path) -> None:
    """Stopping is quick, and the job is neither lost nor failed."""
    ask = {"prompt": "rain", "size": "1280*720", "duration": 5}
    async with aiohttp.ClientSession(headers={"x-api-key": "k"}) as http:
        async with Sandbox(tmp_path, latency_s=0, render=True) as url:
            async with http.post(f"{url}/v2/wan-2.5-t2v", json=ask) as answer:
                request_id = (await answer.json())["request_id"]
        assert not (tmp_path / "files" / f"{request_id}.mp4").exists()
        async with Sandbox(tmp_path, latency_s=0, render=True) as url, asyncio.timeout(8):
            while True:
                async with http.get(f"{url}/v2/requests/{request_id}") as answer:
                    body = await answer.json()
                if body["status"] == "COMPLETED":
                    break
                await asyncio.sleep(0.05)
            async with http.get(body["output"]) as file:
                assert request_id.encode() in await file.read()
