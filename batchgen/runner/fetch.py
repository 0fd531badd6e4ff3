"""From a link to a checked file. A bad download costs a download, never a generation.

What can't be had now is tried again: further and further apart within the run, and by every later run, for as long as
the service keeps the file. Whether a link or its host is to blame is judged in `file_hosts`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from batchgen.breaker import DOWNLOAD, CircuitBreaker
from batchgen.clip import Clip, State, other_name
from batchgen.errors import BrokenFile, DeadLink, DownloadError, NameTaken, ServerError, TransferFailed, TryAgain
from batchgen.events import Downloaded, Lost
from batchgen.files import mp4, sidecar
from batchgen.files.mp4 import Expect, Fetched
from batchgen.ledger import Ledger
from batchgen.providers.base import Completed, Provider
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import Downloads, RunContext
from batchgen.runner.file_hosts import FileHosts
from batchgen.runner.history_lookup import HistoryLookup
from batchgen.runner.outcomes import NoAnswer, again, generated, links_of

log = logging.getLogger("batchgen.runner.fetch")

#: So often in a row a link that does not work is asked for again, ...
RENEWALS = 4
#: ... and from then on after so long (seconds).
RENEW_EVERY_S = 600.0
#: How long one file's trouble is waited out while others fare well (seconds); the next run tries again.
ONE_FILE_S = 900.0


class Renewals:
    """Asks for a clip's links again: the result first, then the history, neither too often."""

    def __init__(self, context: RunContext, lookup: HistoryLookup) -> None:
        self._context = context
        self._lookup = lookup
        self._count = 0
        self._at = asyncio.get_running_loop().time()

    def due(self, error: Exception) -> bool:
        """Return whether to ask now: a server in trouble says nothing of the link, so that comes less often."""
        now = asyncio.get_running_loop().time()
        if now - self._at < RENEW_EVERY_S and (isinstance(error, TransferFailed) or self._count >= RENEWALS):
            return False
        self._count, self._at = self._count + 1, now
        return True

    async def ask(self, clip: Clip) -> Completed | None:
        """Give what the service says now; None: both have answered, and neither has a link.

        Raises:
            TryAgain: one of them gave no answer, so nothing may be concluded.
        """
        if clip.request_id is None:
            return None
        outcome = await self._context.provider.result(clip.request_id)
        completed = outcome if isinstance(outcome, Completed) and outcome.url else None
        if completed is None or self._context.provider.video(completed.url or "") is not None:
            row = await self._lookup.row(clip, patient=False)
            if isinstance(row, NoAnswer):
                raise ServerError(row.why)
            if row and isinstance(row.outcome, Completed) and row.outcome.url:
                return row.outcome
        return completed


@dataclass(slots=True)
class _Job:
    """One clip's file, while it is being fetched."""

    clip: Clip
    target: Path
    links: list[str]  #: of the latest answer; the first one is tried next, and goes to the end when it is bad
    renewals: Renewals
    patience: CircuitBreaker
    untried: int = 0  #: how many of the links were not tried since they were given
    over: bool = False  #: the service keeps the file no longer, by what it says of itself


class Fetcher:
    """Fetches files, for as long as the service keeps them; a bad download is never a reason to pay again."""

    def __init__(self, context: RunContext, lookup: HistoryLookup, hosts: FileHosts) -> None:
        self._context = context
        self._lookup = lookup
        self._hosts = hosts

    async def download(self, clip: Clip) -> Clip:
        """Fetch the file: on return it is there, or lost since the service keeps it no longer.

        Raises:
            SubmissionStoppedError: it can't be had now; the clip stays as it is for the next run.
        """
        target = self._context.clips_dir / f"{clip.wanted.name}.mp4"
        if self._from_before(clip) and (kept := await asyncio.to_thread(_kept, clip, target)) is not None:
            return await self._context.ledger.record(clip, kept)
        links = links_of(clip) or [""]
        patience = CircuitBreaker(DOWNLOAD, self._context.dice)
        job = _Job(clip, target, links, Renewals(self._context, self._lookup), patience, len(links))
        job.over = self._context.ledger.now() >= self._file_until(clip)
        try:
            while True:
                host = host_of(job.links[0])
                try:
                    async with self._hosts.turn(host, clip.row, counts=not job.over):
                        fetched = await bring(self._context, job.clip, job.links[0], job.target)
                    break
                except DownloadError as error:
                    log.warning("%s: %s", clip.wanted.name, error)
                    if await self._gone(job, error):
                        return await self._context.ledger.record(job.clip, Lost(f"the file can't be fetched: {error}"))
        finally:
            self._hosts.leave(clip.row)
        self._context.left.pop(clip.row, None)
        if [job.links[0]] != links_of(job.clip)[:1]:  # another link than the first one led to the film
            renamed = again(job.clip, self._context.ledger.now(), job.links)
            job.clip = await self._context.ledger.record(job.clip, renamed)
        return await self._context.ledger.record(job.clip, _downloaded(job.target, fetched))

    async def _gone(self, job: _Job, error: DownloadError) -> bool:
        """Prepare the next try, and wait until it is time for it; True: there is none, the service has no file."""
        if isinstance(error, NameTaken) and not job.target.stem.endswith(other_name(job.clip.wanted)):
            # A stranger's file has the name: it is never overwritten, and the clip gets another one.
            job.target = job.target.with_name(f"{other_name(job.clip.wanted)}.mp4")
            return False
        job.untried -= 1
        job.links.append(job.links.pop(0))
        if isinstance(error, DeadLink | BrokenFile) and job.untried > 0:
            return False  # the answer named several, and not all of them need be films
        if job.renewals.due(error) and await self._is_lost(job):
            return True
        await self._wait(job, error)
        return False

    async def _is_lost(self, job: _Job) -> bool:
        """Ask for the links again; True when there is no new one, and the old ones need not be tried again."""
        try:
            renewed = await job.renewals.ask(job.clip)
        except TryAgain as silence:
            log.warning("%s: no new link: %s", job.clip.wanted.name, silence)
            return False
        if renewed is None:  # what is the service's own answer lives as long as its record
            return job.over or self._context.provider.video(job.links[0]) is not None
        links = [renewed.url or "", *renewed.others]
        if set(links) <= set(job.links):
            return job.over
        job.clip = await self._context.ledger.record(job.clip, generated(renewed, self._context.ledger.now()))
        job.links, job.untried = links, len(links)
        return False

    async def _wait(self, job: _Job, error: DownloadError) -> None:
        """Wait before another try: as long as its host says, or further and further apart where it fares well."""
        host, now = host_of(job.links[0]), asyncio.get_running_loop().time()
        if self._hosts.in_trouble(host):
            job.patience.succeeded()
            return
        job.patience.failed(now)
        alone = self._hosts.only_this(host, job.clip.row) or not self._context.in_flight
        most = min(self._context.give_up_s, ONE_FILE_S if alone else self._context.give_up_s)
        if job.patience.lasted_s(now) >= most:
            log.warning("%s is left for the next run: %s", job.clip.wanted.name, error)
            self._context.left[job.clip.row] = str(error)
            raise SubmissionStoppedError from error
        await self._context.pause(job.patience.until - now)

    def _file_until(self, clip: Clip) -> float:
        request = clip.request
        made_at = (request.completed_at or request.submitted_at or request.intent_at) if request else 0.0
        return made_at + self._context.provider.capabilities.file_s

    def _from_before(self, clip: Clip) -> bool:
        """Return whether an earlier run knew the link: it may have been killed in its download."""
        at = clip.request.completed_at if clip.request else None
        return at is None or at < self._context.started_at


class Tools(Protocol):
    """What it takes to fetch a file: the tools of a run, or those of `reconcile`."""

    ledger: Ledger
    provider: Provider
    downloads: Downloads


@dataclass(slots=True)
class Once:
    """Fetches files of lost clips, each link once."""

    ledger: Ledger
    provider: Provider
    downloads: Downloads
    clips_dir: Path

    async def fetch(self, clip: Clip) -> State:
        """Try a lost clip's links; gives its state, on disk when this returns."""
        target = self.clips_dir / f"{clip.wanted.name}.mp4"
        links = links_of(clip)
        for _ in links:
            try:
                fetched = await bring(self, clip, links[0], target)
            except DownloadError as error:
                log.warning("%s: %s", clip.wanted.name, error)
                links.append(links.pop(0))
                continue
            clip = await self.ledger.record(clip, again(clip, self.ledger.now(), links))
            return (await self.ledger.record(clip, _downloaded(target, fetched))).state
        return clip.state


async def bring(tools: Tools, clip: Clip, link: str, target: Path) -> Fetched:
    """Fetch the file behind a link, or the service's own answer where that is the video. Raises DownloadError."""
    expect, finish = _expect(clip), _sidecar(clip, tools.ledger.now)
    own = tools.provider.video(link)
    if own is None:
        return await tools.downloads.fetch(link, target, expect, finish)
    try:
        return await tools.downloads.keep(own, target, expect, finish)
    except TryAgain as error:
        raise TransferFailed(str(error)) from None


def host_of(link: str) -> str:
    """Name the host of a link; "" for none."""
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""


def _kept(clip: Clip, target: Path) -> Downloaded | None:
    """Find the file that a run gave its name and was killed before it could say so."""
    if not os.path.exists(target):  # noqa: PTH110 - quick, for every clip
        return None
    record = sidecar.read(sidecar.path_for(target))
    if not record or record.get("request_id") != clip.request_id or not clip.request_id:
        return None
    size, sha256 = record.get("bytes"), record.get("sha256")
    if not isinstance(size, int) or not isinstance(sha256, str) or mp4.inspect(target, size, sha256):
        return None
    return Downloaded(target.name, size, sha256, " ".join(record.get("flags") or ()), record.get("seconds"))


def _downloaded(target: Path, fetched: Fetched) -> Downloaded:
    return Downloaded(target.name, fetched.bytes, fetched.sha256, fetched.flags, fetched.seconds)


def _sidecar(clip: Clip, now: Callable[[], float]) -> Callable[[Path, Fetched], None]:
    """Write the sidecar in the same thread as the rename, so that no clip is without one."""

    def finish(target: Path, fetched: Fetched) -> None:
        sidecar.write(sidecar.path_for(target), sidecar.describe(clip, fetched, at=now()))

    return finish


def _expect(clip: Clip) -> Expect:
    params = clip.wanted.values
    size, seconds = None, None
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        width, height = params["size"].split("*")
        size = (int(width), int(height))
    with suppress(ValueError, TypeError, KeyError):
        seconds = float(params["duration"])
    request = clip.request
    if request is None:
        return Expect(size=size, seconds=seconds)
    made_at = request.completed_at or request.submitted_at or request.intent_at
    return Expect(bytes=request.file_size, size=size, seconds=seconds, made_at=made_at)
