# ruff: noqa: F811
from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from filehost import ETAG, LARGE, SMALL, Host, check, cut, downloader, host, quick, served  # noqa: F401

from batchgen.download.downloader import Downloader, Expect, Fetched
from batchgen.download.part import disk
from batchgen.errors import DiskFullError, DownloadError, NameTaken, PathTrouble

pytestmark = pytest.mark.real_time


async def interrupted(host: Host, target: Path, at: int = 1_300_000) -> None:
    """Cancel a download in mid-body, as a kill would."""
    host.script = [cut(LARGE, at, hold=30)]
    async with quick() as downloader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await downloader.fetch(host.url, target)
    assert not target.exists()
    host.seen.clear()


async def test_a_killed_download_is_resumed_by_the_next_run(host: Host, tmp_path: Path) -> None:
    """Validator and length survive in the note; the bytes are hashed again before more are added."""
    target = tmp_path / "a.mp4"
    await interrupted(host, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4.part", "a.mp4.part.json"]
    assert "sesame" not in (tmp_path / "a.mp4.part.json").read_text()
    had = (tmp_path / "a.mp4.part").stat().st_size
    host.script = [served(LARGE)]
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert host.ranges() == [(f"bytes={had}-", ETAG)]
    assert had >= 1_000_000


async def test_a_file_that_was_all_there_at_the_kill_needs_no_request(host: Host, tmp_path: Path) -> None:
    """Killed between the last byte and the rename: it is checked and named."""
    target = tmp_path / "a.mp4"
    await interrupted(host, target)
    (tmp_path / "a.mp4.part").write_bytes(LARGE)
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert not host.seen


@pytest.mark.parametrize("what", ["boot", "source", "torn", "shape", "no part", "too long", "hurt"])
async def test_a_part_that_can_not_be_trusted_is_begun_again(host: Host, tmp_path: Path, what: str) -> None:
    """After a power cut written bytes may be zeros; a note may be of another link or half written."""
    target, part, note = tmp_path / "a.mp4", tmp_path / "a.mp4.part", tmp_path / "a.mp4.part.json"
    await interrupted(host, target)
    told = json.loads(note.read_text())
    if what in {"boot", "source"}:
        note.write_text(json.dumps({**told, what: told[what] * 2}))
    elif what in {"torn", "shape"}:
        note.write_text(note.read_text()[:-9] if what == "torn" else "[]")
    elif what == "no part":
        part.unlink()
    else:
        part.write_bytes(LARGE + b"x" if what == "too long" else bytes(len(LARGE)))
    host.script = [served(LARGE)]
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert host.ranges() == [(None, None)]


async def test_a_cancelled_download_leaves_no_open_file(host: Host, tmp_path: Path) -> None:
    """An open handle would keep the disk full, and on some systems the file undeletable."""
    await interrupted(host, tmp_path / "a.mp4")
    gc.collect()
    held = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    assert not [name for name in held if "a.mp4" in name]


async def test_a_cancelled_check_ends_before_the_cancellation_does(host: Host, tmp_path: Path) -> None:
    """File work behind the back of the next try could rename what that one is writing."""
    host.script = [served(SMALL)]
    began, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def slow(_target: Path, _fetched: Fetched) -> None:
        loop.call_soon_threadsafe(began.set)
        asyncio.run(asyncio.sleep(0.1))
        ended.append(True)

    async with asyncio.timeout(5), quick() as downloader, asyncio.TaskGroup() as group:
        task = group.create_task(downloader.fetch(host.url, tmp_path / "a.mp4", finish=slow))
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        assert ended and task.cancelled()
        assert (tmp_path / "a.mp4").read_bytes() == SMALL


async def test_the_sidecar_is_there_when_the_final_name_is(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """A video without its sidecar would look like a stranger's."""
    host.script = [served(SMALL)]
    facts: list[tuple[Path, bool, int]] = []

    def finish(target: Path, fetched: Fetched) -> None:
        facts.append((target, target.exists(), fetched.bytes))

    await downloader.fetch(host.url, tmp_path / "a.mp4", finish=finish)
    assert facts == [(tmp_path / "a.mp4", False, len(SMALL))]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_bytes_are_durable_before_the_name_and_the_name_before_the_end(
    host: Host, downloader: Downloader, tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a name without its bytes would count as a whole video."""
    host.script, steps, target = [served(data)], [], tmp_path / "a.mp4"
    fsync, replace = os.fsync, os.replace

    def syncing(fd: int) -> None:
        steps.append("sync folder" if os.fstat(fd).st_ino == tmp_path.stat().st_ino else "sync file")
        fsync(fd)

    def renaming(old: Path, new: Path) -> None:
        assert Path(old).read_bytes() == data
        steps.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", renaming)
    await downloader.fetch(host.url, target, finish=lambda *_: steps.append("sidecar"))
    assert steps == ["sync file", "sidecar", "rename", "sync folder"]


async def test_another_file_is_never_overwritten(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """What lies under the final name may be the user's own."""
    target = tmp_path / "a.mp4"
    target.write_bytes(b"mine")
    host.script = [served(SMALL)]
    with pytest.raises(DownloadError, match="another file") as caught:
        await downloader.fetch(host.url, target)
    assert (type(caught.value), target.read_bytes()) == (NameTaken, b"mine")
    (tmp_path / "a.mp4.part").unlink()
    target.write_bytes(SMALL)
    check(await downloader.fetch(host.url, target), target, SMALL)


async def test_slots_bound_the_downloads(host: Host, tmp_path: Path) -> None:
    """Forty finished clips at once must not be forty connections."""
    now, most = 0, 0

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return await served(SMALL)(request)

    host.script = [counted]
    async with Downloader(slots=3, loopback=True) as downloader, asyncio.TaskGroup() as group:
        for n in range(12):
            group.create_task(downloader.fetch(host.url, tmp_path / f"{n}.mp4"))
    assert most == 3
    assert len(list(tmp_path.iterdir())) == 12


async def test_of_the_files_that_wait_the_oldest_is_fetched_first(host: Host, tmp_path: Path) -> None:
    """The service deletes them in this order."""
    host.script = [served(SMALL)]
    order: list[str] = []
    async with Downloader(slots=1, loopback=True) as downloader, asyncio.TaskGroup() as group:

        async def fetch(made_at: float) -> None:
            await downloader.fetch(host.url, tmp_path / f"{made_at:g}.mp4", Expect(made_at=made_at))
            order.append(f"{made_at:g}")

        for made_at in (5.0, 4.0, 9.0, 1.0, 3.0):
            group.create_task(fetch(made_at))
    assert order == ["5", "1", "3", "4", "9"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_full_disk_stops_the_run_in_plain_words(
    host: Host, downloader: Downloader, tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half file under the final name, and the message says what to do."""
    host.script = [served(data)]
    with monkeypatch.context() as full, pytest.raises(DiskFullError) as caught:
        full.setattr(os, "fsync", _full)
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert re.search(r"the disk is full .*: [\d.,]+ MB free in .* Nothing is lost", str(caught.value))
    assert not (tmp_path / "a.mp4").exists()
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", data)


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_symlink_in_the_folder_is_replaced_and_never_followed(
    host: Host, downloader: Downloader, tmp_path: Path, data: bytes
) -> None:
    """It overwrote the file that it led to, and the final name became the symlink."""
    mine, clips = tmp_path / "thesis.txt", tmp_path / "clips"
    clips.mkdir()
    mine.write_text("mine")
    for ending in (".part", ".part.json", ".bad"):
        (clips / f"a.mp4{ending}").symlink_to(mine)
    host.script = [served(data[:-1]), served(data[:-1]), served(data)]
    check_kept = await downloader.fetch(host.url, clips / "a.mp4")
    assert mine.read_text() == "mine"
    assert not any(path.is_symlink() for path in clips.iterdir())
    check(check_kept, clips / "a.mp4", data)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EDQUOT, DiskFullError), (errno.EROFS, DiskFullError), (errno.EACCES, DiskFullError),
     (errno.EIO, DiskFullError),
     (errno.ENAMETOOLONG, DownloadError), (errno.EFBIG, DownloadError)],
)  # fmt: skip
def test_trouble_with_the_disk_is_of_all_clips_or_of_one(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    """A disk that takes nothing stops the run; one bad name never stops the night."""
    with pytest.raises(kind, match=r"a\.part|free in"), disk(tmp_path / "a.part"):
        raise OSError(number, os.strerror(number))


async def test_a_missing_folder_and_an_endless_name_are_told(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """The path is in the message."""
    host.script = [served(SMALL)]
    with pytest.raises(DiskFullError, match="gone"):
        await downloader.fetch(host.url, tmp_path / "gone" / "a.mp4")
    with pytest.raises(DownloadError, match="nnnn") as caught:
        await downloader.fetch(host.url, tmp_path / ("n" * 300))
    assert type(caught.value) is PathTrouble


LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from batchgen.download import Downloader
async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    async with Downloader(loopback=True) as downloader:
        await downloader.fetch(sys.argv[1], Path(sys.argv[2]))
asyncio.run(main())
"""


async def test_what_fitted_before_the_disk_refused_is_resumed(host: Host, tmp_path: Path) -> None:
    """The kernel itself refuses, half-way through a block, in a process of its own."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    target = tmp_path / "a.mp4"
    host.script = [served(LARGE)]
    run = [sys.executable, "-c", LIMITED, host.url, str(target)]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, timeout=20)
    assert "can't write" in done.stderr and "File too large" in done.stderr
    assert not target.exists() and (tmp_path / "a.mp4.part").stat().st_size == 1_000_000
    async with quick() as downloader:
        check(await downloader.fetch(host.url, target), target, LARGE)
    assert host.ranges()[-1] == ("bytes=1000000-", ETAG)
