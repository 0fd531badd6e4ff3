"""Small files are finished together, and none is told to be there before its name is durable."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.errors import DiskFullError, DownloadError
from batchgen.finisher import Finisher
from batchgen.folders import Folders
from batchgen.media import Fetched


class Counted(Folders):
    """Counts syncs, notes what had its name at each, and fails where it is told to."""

    def __init__(self, full: str = "") -> None:
        super().__init__()
        self.seen: list[set[str]] = []
        self._full = full

    def sync(self, folder: Path) -> None:
        self.seen.append({file.name for file in folder.iterdir()})
        if folder.name == self._full:
            raise OSError(errno.ENOSPC, "No space left on device")


def placing(file: Path) -> Callable[[], Fetched]:
    """Give what places a file of one byte."""

    def place() -> Fetched:
        file.write_bytes(b"x")
        return Fetched(bytes=1, sha256=file.name)

    return place


async def all_of(finisher: Finisher, *files: Path) -> list[Fetched | BaseException]:
    """Finish files at once; gives what came of each."""
    tasks = [asyncio.ensure_future(finisher.finish(file.parent, placing(file), alone=False)) for file in files]
    await asyncio.wait(tasks)
    return [task.exception() or task.result() for task in tasks]


async def test_files_that_are_ready_together_share_one_sync_which_comes_after_all_of_their_names(
    tmp_path: Path,
) -> None:
    """A sync of the folder costs as much for twenty names as for one, and covers only those that are there."""
    folders = Counted()
    names = [f"{number}.mp4" for number in range(20)]
    told = await all_of(Finisher(folders), *(tmp_path / name for name in names))
    assert told == [Fetched(bytes=1, sha256=name) for name in names]
    assert folders.seen == [set(names)]


async def test_a_file_that_fails_is_its_own_trouble_and_the_others_are_finished(tmp_path: Path) -> None:
    """A bad download costs a download: this one, not those that happened to be ready with it."""
    finisher = Finisher(Counted())

    def broken() -> Fetched:
        raise DownloadError("no whole video", kind="broken")

    bad = asyncio.ensure_future(finisher.finish(tmp_path, broken, alone=False))
    told = await all_of(finisher, tmp_path / "a", tmp_path / "b")
    assert told == [Fetched(bytes=1, sha256="a"), Fetched(bytes=1, sha256="b")]
    with pytest.raises(DownloadError, match="no whole video"):
        await bad


async def test_no_file_is_told_to_be_there_whose_folder_could_not_be_synced(tmp_path: Path) -> None:
    """Its name would not outlive a power cut; another folder's files are there all the same."""
    full, sound = tmp_path / "full", tmp_path / "sound"
    full.mkdir()
    sound.mkdir()
    first, second, third = await all_of(Finisher(Counted("full")), full / "a", sound / "b", full / "c")
    assert isinstance(first, DiskFullError)
    assert isinstance(third, DiskFullError)
    assert isinstance(second, Fetched)


async def test_a_large_file_and_the_small_ones_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """The sync of a gigabyte takes seconds."""
    finisher, large = Finisher(Counted()), threading.Event()

    def slow_small() -> Fetched:
        assert large.wait(10)
        return placing(tmp_path / "small")()

    def slow_large() -> Fetched:
        large.set()
        return placing(tmp_path / "large")()

    waiting = asyncio.ensure_future(finisher.finish(tmp_path, slow_small, alone=False))
    await asyncio.sleep(0.01)
    assert (await finisher.finish(tmp_path, slow_large, alone=True)).sha256 == "large"
    assert (await waiting).sha256 == "small"


async def test_a_cancelled_file_is_waited_for_so_that_nothing_is_written_behind_the_back(tmp_path: Path) -> None:
    """After a hard stop the folder must not change any more."""
    go = threading.Event()

    def slow() -> Fetched:
        assert go.wait(10)
        return placing(tmp_path / "a.mp4")()

    task = asyncio.ensure_future(Finisher(Counted()).finish(tmp_path, slow, alone=False))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "a.mp4").exists()
