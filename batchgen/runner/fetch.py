"""From a link to a checked file. A bad download costs a download, never a generation.

What can't be had now is tried again: further and further apart within the run, and by every later run, for as long as
the service keeps the file. Whether a link or its host is to blame is judged in `file_hosts`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from batchgen.breaker import DOWNLOAD, CircuitBreaker
from batchgen.clip import Clip, State
from batchgen.errors import BrokenFile, DeadLink, DownloadError, NameTaken, ServerError, TransferFailed, TryAgain
from batchgen.events import Downloaded, Lost
from batchgen.files import mp4, sidecar
from batchgen.files.mp4 import Expect, Fetched
from batchgen.ledger import Ledger
from batchgen.ledger.wanted import other_name
from batchgen.providers.base import Completed, Provider
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.context import Downloads, RunContext
from batchgen.runner.cross_check import HistoryLookup
from batchgen.runner.file_hosts import FileHosts
from batchgen.runner.outcomes import NoAnswer, again, generated, links_of

log = logging.getLogger("batchgen.runner.fetch")

#: So often in a row a link that does not work is asked for again, ...
RENEWALS = 4
#: ... and from then on after so long (seconds).
RENEW_EVERY_S = 600.0
#: How long one file's trouble is waited out while others fare well (seconds); the next run tries again.
ONE_FILE_S = 900.0


@dataclass(slots=True)
class _Job:
    """One clip's file, while it is being fetched."""

    clip: Clip
    target: Path
    others: list[Path]  #: what to call it where a stranger's file has the name
    links: list[str]  #: of the latest answer; the first one is tried next, and goes to the end when it is bad
    patience: CircuitBreaker
    renewed_at: float  #: when the links were asked for last, by the loop's clock
    untried: int = 0  #: how many of the links were not tried since they were given
    renewals: int = 0
    over: bool = False  #: the service keeps the file no longer, by what it says of itself


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches files, for as long as the service keeps them; a bad download is never a reason to pay again."""

    _context: RunContext
    _lookup: HistoryLookup
    _hosts: FileHosts

    async def download(self, clip: Clip) -> Clip:
        """Fetch the file: on return it is there, or lost since the service keeps it no longer.

        Raises:
            SubmissionStoppedError: it can't be had now; the clip stays as it is for the next run.
        """
        context = self._context
        name, other = clip.wanted.name, other_name(clip.wanted.name, clip.key)  # taken where a stranger's file has it
        names = (name, other, *(f"{other}-{n}" for n in range(2, 10)))
        target, *others = (context.clips_dir / f"{each}.mp4" for each in names)
        made_at = _made_at(clip)
        # An earlier run may have been killed in its download.
        if made_at < context.started_at and (kept := await asyncio.to_thread(_kept, context, clip, target)) is not None:
            return await context.ledger.record(clip, kept)
        links = links_of(clip) or [""]
        patience, now = CircuitBreaker(DOWNLOAD, context.dice), asyncio.get_running_loop().time()
        job = _Job(clip, target, others, links, patience, now, untried=len(links))
        job.over = context.ledger.now() >= made_at + context.provider.capabilities.file_s
        try:
            while True:
                host = host_of(job.links[0])
                try:
                    async with self._hosts.turn(host, clip.row, counts=not job.over):
                        done = await bring(context, job.clip, job.links[0], job.target)
                    break
                except DownloadError as error:
                    log.warning("%s: %s", clip.wanted.name, error)
                    if await self._gone(job, error):
                        return await context.ledger.record(job.clip, Lost(f"the file can't be fetched: {error}"))
        finally:
            self._hosts.leave(clip.row)
        if [job.links[0]] != links_of(job.clip)[:1]:  # another link than the first one led to the film
            job.clip = await context.ledger.record(job.clip, again(job.clip, context.ledger.now(), job.links))
        return await context.ledger.record(job.clip, done)

    async def _gone(self, job: _Job, error: DownloadError) -> bool:
        """Prepare the next try, and wait until it is time for it; True: there is none, the service has no file."""
        if isinstance(error, NameTaken) and job.others:
            job.target = job.others.pop(0)  # a stranger's file is never overwritten
            return False
        job.untried -= 1
        job.links.append(job.links.pop(0))
        if isinstance(error, DeadLink | BrokenFile) and job.untried > 0:
            return False  # the answer named several, and not all of them need be films
        if self._is_due(job, error) and await self._is_lost(job):
            return True
        await self._wait(job, error)
        return False

    async def _is_lost(self, job: _Job) -> bool:
        """Ask for the links again; True when there is no new one, and the old ones need not be tried again."""
        try:
            renewed = await self._renewed(job.clip)
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

    def _is_due(self, job: _Job, error: DownloadError) -> bool:
        """Return whether to ask for the links again: less often where a server in trouble says nothing of them."""
        now = asyncio.get_running_loop().time()
        if now - job.renewed_at < RENEW_EVERY_S and (isinstance(error, TransferFailed) or job.renewals >= RENEWALS):
            return False
        job.renewals, job.renewed_at = job.renewals + 1, now
        return True

    async def _renewed(self, clip: Clip) -> Completed | None:
        """Ask for the links, the result first, then the history; None: both have answered, and neither has one.

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


class Tools(Protocol):
    """What it takes to fetch a file: the tools of a run, or those of `reconcile`."""

    ledger: Ledger
    provider: Provider
    downloads: Downloads
    clips_dir: Path


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
                done = await bring(self, clip, links[0], target)
            except DownloadError as error:
                log.warning("%s: %s", clip.wanted.name, error)
                links.append(links.pop(0))
                continue
            clip = await self.ledger.record(clip, again(clip, self.ledger.now(), links))
            return (await self.ledger.record(clip, done)).state
        return clip.state


async def bring(tools: Tools, clip: Clip, link: str, target: Path) -> Downloaded:
    """Fetch the file behind a link, or the service's own answer where that is the video. Raises DownloadError."""

    def finish(path: Path, fetched: Fetched) -> None:
        """Write the sidecar in the same thread as the rename, so that no clip is without one."""
        sidecar.write(sidecar.path_for(path), sidecar.describe(clip, fetched, at=tools.ledger.now()))

    expect, own = _expect(clip), tools.provider.video(link)
    try:
        if own is None:
            fetched = await tools.downloads.fetch(link, target, expect, finish)
        else:
            fetched = await tools.downloads.keep(own, target, expect, finish)
    except TryAgain as error:
        raise TransferFailed(str(error)) from None
    file = target.relative_to(tools.clips_dir).as_posix()
    return Downloaded(file, fetched.bytes, fetched.sha256, fetched.flags, fetched.seconds)


def host_of(link: str) -> str:
    """Name the host of a link; "" for none."""
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""


def _kept(tools: Tools, clip: Clip, target: Path) -> Downloaded | None:
    """Find the file that a run gave its name and was killed before it could say so."""
    if not os.path.exists(target):  # noqa: PTH110 - quick, for every clip
        return None
    record = sidecar.read(sidecar.path_for(target))
    if not record or record.get("request_id") != clip.request_id or not clip.request_id:
        return None
    size, sha256 = record.get("bytes"), record.get("sha256")
    if not isinstance(size, int) or not isinstance(sha256, str) or mp4.inspect(target, size, sha256):
        return None
    file = target.relative_to(tools.clips_dir).as_posix()
    return Downloaded(file, size, sha256, " ".join(record.get("flags") or ()), record.get("seconds"))


def _made_at(clip: Clip) -> float:
    """Give when the file was made, or at the earliest: the service deletes files in this order."""
    request = clip.request
    return (request.completed_at or request.requested_at) if request else 0.0


def _expect(clip: Clip) -> Expect:
    params = clip.wanted.values
    size, seconds = None, None
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        width, height = params["size"].split("*")
        size = (int(width), int(height))
    with suppress(ValueError, TypeError, KeyError):
        seconds = float(params["duration"])
    stated = clip.request.file_size if clip.request else None
    return Expect(bytes=stated, size=size, seconds=seconds, made_at=_made_at(clip))
