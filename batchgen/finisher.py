"""Small files get their final names together: one trip to a thread and one sync of the folder for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from batchgen import failpoints
from batchgen.folders import Folders
from batchgen.media import Fetched
from batchgen.part import disk

_T = TypeVar("_T")
_Ended: TypeAlias = Fetched | Exception


@dataclass(frozen=True, slots=True)
class _Work:
    folder: Path
    place: Callable[[], Fetched]
    ended: asyncio.Future[Fetched]


class Finisher:
    """Places files under their final names in worker threads, and makes the names durable.

    While one batch is at work, files that are ready gather for the next.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._gathered: list[_Work] = []
        self._at_work = False

    def __repr__(self) -> str:
        """Say how many wait, for logs and tests."""
        return f"<Finisher: {len(self._gathered)} waiting>"

    async def finish(self, folder: Path, place: Callable[[], Fetched], *, alone: bool) -> Fetched:
        """Run `place` in a thread, then sync the folder; on return the file's name is durable.

        Args:
            folder: where `place` puts the file.
            place: gives the file its name; its errors pass, and are no other file's.
            alone: in a thread of its own: a large file must not hold the small ones up.

        Raises:
            DiskFullError: the folder can't be synced.
        """
        loop = asyncio.get_running_loop()
        work = _Work(folder, place, loop.create_future())
        if alone:
            job = loop.run_in_executor(None, self._run, [work])
            job.add_done_callback(partial(_tell, [work]))
        else:
            self._gathered.append(work)
            if not self._at_work:
                self._at_work = True
                loop.call_soon(self._start)  # whoever is ready in this turn of the loop comes along
        return await to_the_end(work.ended)

    def _start(self) -> None:
        batch, self._gathered = self._gathered, []
        job = asyncio.get_running_loop().run_in_executor(None, self._run, batch)
        job.add_done_callback(partial(self._done, batch))

    def _done(self, batch: list[_Work], job: asyncio.Future[list[_Ended]]) -> None:
        self._at_work = bool(self._gathered)
        if self._gathered:
            self._start()
        _tell(batch, job)

    def _run(self, batch: Sequence[_Work]) -> list[_Ended]:
        placed: list[_Ended] = [_caught(work.place) for work in batch]
        unsynced: dict[Path, Exception] = {}
        named = {work.folder for work, file in zip(batch, placed, strict=True) if isinstance(file, Fetched)}
        for folder in named:
            try:
                self._sync(folder)
            except Exception as error:  # noqa: BLE001 - told to everyone whose name it is
                unsynced[folder] = error
        return [
            unsynced.get(work.folder, file) if isinstance(file, Fetched) else file
            for work, file in zip(batch, placed, strict=True)
        ]

    def _sync(self, folder: Path) -> None:
        with disk(folder):
            failpoints.reach("folder.before")
            self._folders.sync(folder)
            failpoints.reach("folder.after")


def _caught(place: Callable[[], Fetched]) -> _Ended:
    try:
        return place()
    except Exception as error:  # noqa: BLE001 - this file's own, raised where it is waited for
        return error


def _tell(batch: list[_Work], job: asyncio.Future[list[_Ended]]) -> None:
    error = job.exception()
    ended: list[Fetched | BaseException] = [error] * len(batch) if error else [*job.result()]
    for work, file in zip(batch, ended, strict=True):
        if work.ended.done():
            continue
        if isinstance(file, Fetched):
            work.ended.set_result(file)
        else:
            work.ended.set_exception(file)


async def to_the_end(job: asyncio.Future[_T]) -> _T:
    """Wait for a job in a thread; when cancelled, wait for its end, so that no file work goes on behind our back."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job])
        job.exception()  # looked at, so that it is not reported as forgotten
        raise
