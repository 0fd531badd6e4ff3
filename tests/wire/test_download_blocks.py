# ruff: noqa: F811
"""A block is written while the next one comes: what that must not lose, mix up, or leave behind."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from filehost import ETAG, LARGE, Host, check, cut, downloader, host, quick, served  # noqa: F401
from mp4 import video

from batchgen.download import Downloader
from batchgen.download import part as part_module
from batchgen.download.body import BLOCK, BlockWriter
from batchgen.download.part import Part, PartWriter
from batchgen.errors import DiskFullError
from batchgen.files.durable import Folders
from batchgen.files.mp4 import Expect

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

pytestmark = pytest.mark.real_time

#: More blocks than can be in memory.
LONG = video(random.Random(1).randbytes(10 * BLOCK + 12_345))


class Disk:
    """Stands before the real writes: holds each until it is let go, and counts; fails where it is told to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.began = asyncio.Event()
        self.story: list[str] = []
        self.at_once = self.most = 0
        self.failing: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._number = 0

    def before(self) -> None:
        """Begin a write, in its thread; it is let go after five seconds in any case, so that a fault ends the test."""
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self._number += 1
        self._loop.call_soon_threadsafe(self.began.set)
        self.open.wait(5)
        if self._number in self.failing:
            number = self.failing.pop(self._number)
            self.after("failed")
            raise OSError(number, os.strerror(number))

    def after(self, what: str = "written") -> None:
        self.at_once -= 1
        self.story.append(what)


@pytest.fixture
async def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, writelines = Disk(), PartWriter.writelines

    def held(self: PartWriter, block: Iterable[ReadableBuffer]) -> None:
        disk.before()
        writelines(self, block)
        disk.after()

    monkeypatch.setattr(PartWriter, "writelines", held)
    return disk


@pytest.fixture
def part(tmp_path: Path) -> Part:
    part = Part(tmp_path / "a.mp4", "", Folders())
    part.begin(ETAG, None)
    return part


@pytest.fixture
async def blocks(part: Part) -> AsyncIterator[BlockWriter]:
    async with asyncio.TaskGroup() as group:
        yield BlockWriter(part, group)
    part.close()


async def test_the_next_block_fills_while_one_is_written(disk: Disk, part: Part, blocks: BlockWriter) -> None:
    """The network does not wait for the disk, nor the disk for the network."""
    disk.open.clear()
    await blocks.add(bytes(BLOCK))
    await blocks.add(b"abc")
    disk.story.append("filled")
    assert part.size == 0
    disk.open.set()
    assert await blocks.rest() == b"abc"
    assert (disk.story, part.size) == (["filled", "written"], BLOCK)


async def test_no_more_than_two_blocks_are_in_memory(disk: Disk, part: Part, blocks: BlockWriter) -> None:
    """A disk that is slower than the network slows the network down; the blocks keep their order."""
    disk.open.clear()
    await blocks.add(b"a" * BLOCK)
    async with asyncio.TaskGroup() as group:
        second = group.create_task(blocks.add(b"b" * BLOCK))
        await disk.began.wait()
        await asyncio.sleep(0.02)
        assert not second.done()
        disk.open.set()
    assert await blocks.rest() == b""
    part.close()
    assert part.path.read_bytes() == b"a" * BLOCK + b"b" * BLOCK
    assert disk.most == 1


async def test_whatever_the_pieces_are_the_file_and_its_hash_are_of_the_whole(part: Part, blocks: BlockWriter) -> None:
    """A piece may be a byte, or more than a block."""
    dice, at = random.Random(7), 0
    while at < len(LONG):
        size = dice.choice([1, 1_000, 262_144, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
        await blocks.add(LONG[at : at + size])
        at += size
    fetched = part.commit(await blocks.rest(), Expect(), None)
    check(fetched, part.target, LONG)


async def test_a_block_counts_once_it_is_hashed_as_well(
    part: Part, blocks: BlockWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash has to meet the bytes in their order, however long the disk took before."""
    gate, hash_ = threading.Event(), Part.hash

    def held(self: Part, block: Iterable[bytes]) -> None:
        gate.wait(5)
        hash_(self, block)

    monkeypatch.setattr(Part, "hash", held)
    await blocks.add(LONG[:BLOCK])
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        rest = group.create_task(blocks.rest())
        while not part.path.exists() or part.path.stat().st_size < BLOCK:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert (rest.done(), part.size) == (False, 0)
        gate.set()
    assert part.size == BLOCK


async def test_a_write_that_fails_in_flight_is_told_by_the_next_call(
    disk: Disk, part: Part, blocks: BlockWriter
) -> None:
    """`size` is what is surely there; nothing is added behind a hole."""
    disk.failing = {2: errno.ENOSPC}
    await blocks.add(LONG[:BLOCK])
    await blocks.add(LONG[BLOCK : 2 * BLOCK])
    with pytest.raises(DiskFullError, match="the disk is full"):
        await blocks.add(LONG[2 * BLOCK : 3 * BLOCK])
    await blocks.settle()
    part.close()
    assert (part.size, disk.story) == (BLOCK, ["written", "failed"])
    assert part.path.read_bytes() == LONG[:BLOCK]


@pytest.mark.parametrize("number", [1, 3, 6])
async def test_a_download_goes_on_behind_what_the_disk_took_before_it_failed(
    host: Host, disk: Disk, tmp_path: Path, number: int
) -> None:
    """Whichever block it was: the error is told, no name is given, and the next run resumes."""
    host.script, disk.failing = [served(LONG)], {number: errno.EIO}
    async with quick() as downloader:
        with pytest.raises(DiskFullError, match="Nothing is lost"):
            await downloader.fetch(host.url, tmp_path / "a.mp4")
        assert not (tmp_path / "a.mp4").exists()
        had = (tmp_path / "a.mp4.part").stat().st_size
        assert (number - 1) * BLOCK <= had < len(LONG)
        check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LONG)
    assert [asked for asked, _ in host.ranges()] == [None, f"bytes={had}-" if had else None]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no such advice")
async def test_the_disk_is_set_to_work_while_a_long_file_comes(
    host: Host, downloader: Downloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte is told once, from where a resumed file goes on; advice that is refused is no trouble."""
    told: list[tuple[int, int]] = []

    def refused(_fd: int, offset: int, length: int, _advice: int) -> None:
        told.append((offset, length))
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "posix_fadvise", refused)
    monkeypatch.setattr(part_module, "AHEAD", 2 * BLOCK)
    host.script = [cut(LONG, 1_000_000), served(LONG)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LONG)
    ends = [offset + length for offset, length in told]
    assert [offset for offset, _ in told] == [0, *ends[:-1]]
    assert len(told) >= 2 and ends[-1] >= len(LONG) - 3 * BLOCK
    assert min(length for _, length in told) >= 2 * BLOCK


async def test_a_cancelled_download_waits_for_its_write(host: Host, disk: Disk, tmp_path: Path) -> None:
    """A file closed under a writing thread, or written behind the back of the next try, would be a torn one."""
    host.script = [cut(LARGE, BLOCK + 300_000, hold=30), served(LARGE)]
    disk.open.clear()
    async with asyncio.timeout(10), quick() as downloader, asyncio.TaskGroup() as group:
        task = group.create_task(downloader.fetch(host.url, tmp_path / "a.mp4"))
        await disk.began.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.01)
        disk.story.append("cancelled" if task.done() else "waiting")
        disk.open.set()
        await asyncio.wait([task])
        assert (task.cancelled(), disk.story) == (True, ["waiting", "written"])
        had = (tmp_path / "a.mp4.part").stat().st_size
        assert had >= BLOCK
        check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges() == [(None, None), (f"bytes={had}-", ETAG)]


async def test_a_body_that_breaks_under_a_write_is_resumed_at_its_end(
    host: Host, disk: Disk, downloader: Downloader, tmp_path: Path
) -> None:
    """The block in flight counts, and what came behind it is kept, too."""

    async def breaking(request: web.Request) -> web.StreamResponse:
        answer = await cut(LARGE, BLOCK + 300_000, hold=0.2)(request)
        disk.story.append("broken off")
        asyncio.get_running_loop().call_later(0.1, disk.open.set)
        return answer

    host.script = [breaking, served(LARGE)]
    disk.open.clear()
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges() == [(None, None), (f"bytes={BLOCK + 300_000}-", ETAG)]
    assert disk.story[:2] == ["broken off", "written"]


async def test_a_body_that_ends_in_order_but_early_is_resumed(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """A chunked answer has an end of its own; the length is known from the answer before."""

    async def early(request: web.Request) -> web.StreamResponse:
        span = f"bytes 700000-{len(LARGE) - 1}/{len(LARGE)}"
        answer = web.StreamResponse(status=206, headers={"ETag": ETAG, "Content-Range": span})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(LARGE[700_000:1_900_000])
        return answer

    host.script = [cut(LARGE, 700_000), early, served(LARGE)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", LARGE)
    assert host.ranges()[2] == ("bytes=1900000-", ETAG)
