"""From a link to a checked file. A bad download costs a download, never a generation."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batchgen.breaker import DOWNLOAD, CircuitBreaker
from batchgen.clip import Clip
from batchgen.errors import DownloadError, NameTaken, ServerError, TransferFailed, TryAgain
from batchgen.events import Downloaded, Generated, Lost
from batchgen.files import mp4, sidecar
from batchgen.files.mp4 import Expect, Fetched
from batchgen.ledger.names import other_name
from batchgen.providers.base import Completed
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.retry import delay
from batchgen.runner.context import RunContext
from batchgen.runner.history_lookup import HistoryLookup
from batchgen.runner.outcomes import NoAnswer, generated

log = logging.getLogger("batchgen.runner.fetch")

#: How often a dead link is renewed for one clip.
RENEWALS = 4
#: How long one file's trouble is waited out while others fare well (seconds); the next run tries again.
ONE_FILE_S = 900.0


class _Patience:
    """Waits while servers are in trouble, further and further apart, and in the end stops the run."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._breaker = CircuitBreaker(DOWNLOAD, context.dice)
        self._fetched = context.fetched

    async def wait(self, error: Exception) -> None:
        """Wait before another try.

        Raises:
            SubmissionStoppedError: it has lasted too long; the clip stays as it is for the next run.
        """
        now = asyncio.get_running_loop().time()
        self._breaker.failed(now)
        # While other files come, or nothing else is to be done, it is this file's trouble and not the network's.
        alone = self._context.fetched > self._fetched or not self._context.in_flight
        if self._breaker.lasted_s(now) >= min(
            self._context.give_up_s, ONE_FILE_S if alone else self._context.give_up_s
        ):
            log.warning("left for the next run: %s", error)
            raise SubmissionStoppedError from error
        await self._context.pause(self._breaker.until - now)


class Fetcher:
    """Fetches files, and renews their links where they are dead."""

    def __init__(self, context: RunContext, lookup: HistoryLookup) -> None:
        self._context = context
        self._lookup = lookup

    async def download(self, clip: Clip) -> Clip:
        """Fetch the file; a dead link is asked for again, and is never a reason to pay again."""
        target, *others = self._names(clip)
        if self._from_before(clip):
            kept = await asyncio.to_thread(_kept, clip, target, self._file(target))
            if kept is not None:
                return await self._context.ledger.record(clip, kept)
        patience = _Patience(self._context)
        renewals = 0
        while True:
            try:
                fetched = await self._bring(clip, target)
                break
            except DownloadError as error:
                log.warning("%s: %s", clip.wanted.name, error)
                if isinstance(error, NameTaken) and others:
                    # A stranger's file has the name: it is never overwritten, and the clip gets another one.
                    target = others.pop(0)
                elif isinstance(error, TransferFailed):
                    await patience.wait(error)
                elif renewals >= RENEWALS:
                    return await self._lost(clip, error)
                else:
                    renewals += 1
                    await self._context.pause(delay(renewals, dice=self._context.dice(), base=2.0))
                    try:
                        renewed = await self._renewed(clip)
                    except TryAgain as silence:
                        renewals -= 1
                        await patience.wait(silence)
                        continue
                    if renewed is None:
                        return await self._lost(clip, error)
                    clip = await self._context.ledger.record(clip, renewed)
        self._context.fetched += 1
        done = Downloaded(self._file(target), fetched.bytes, fetched.sha256, fetched.flags, fetched.seconds)
        return await self._context.ledger.record(clip, done)

    async def _bring(self, clip: Clip, target: Path) -> Fetched:
        """Fetch the file behind the link, or the service's own answer where that is the video."""
        expect, finish = _expect(clip), _sidecar(clip, self._context.ledger.now)
        own = self._context.provider.video(_url(clip))
        if own is None:
            return await self._context.downloads.fetch(_url(clip), target, expect, finish)
        try:
            return await self._context.downloads.keep(own, target, expect, finish)
        except TryAgain as error:
            raise TransferFailed(str(error)) from None

    def _from_before(self, clip: Clip) -> bool:
        """Return whether an earlier run knew the link: it may have been killed in its download."""
        at = clip.request.completed_at if clip.request else None
        return at is None or at < self._context.started_at

    def _names(self, clip: Clip) -> list[Path]:
        """Give the file of a clip's name, and those to take where a stranger's file has that."""
        own, other = clip.wanted.name, other_name(clip.wanted.name, clip.key)
        return [
            self._context.clips_dir / f"{name}.mp4" for name in (own, other, *(f"{other}-{n}" for n in range(2, 10)))
        ]

    def _file(self, target: Path) -> str:
        return target.relative_to(self._context.clips_dir).as_posix()

    async def _lost(self, clip: Clip, error: DownloadError) -> Clip:
        return await self._context.ledger.record(clip, Lost(f"the file can't be fetched: {error}"))

    async def _renewed(self, clip: Clip) -> Generated | None:
        """Ask for the link again: the result first, then the history; None when both say that there is none.

        Raises:
            TryAgain: one of them gave no answer, so nothing may be concluded.
        """
        if clip.request_id is None:
            return None
        completed = await self._result(clip.request_id)
        if completed is None or self._context.provider.video(completed.url or "") is not None:
            completed = await self._history(clip) or completed
        return generated(completed, self._context.ledger.now()) if completed else None

    async def _result(self, request_id: str) -> Completed | None:
        outcome = await self._context.provider.result(request_id)
        return outcome if isinstance(outcome, Completed) and outcome.url else None

    async def _history(self, clip: Clip) -> Completed | None:
        row = await self._lookup.row(clip, patient=False)
        if isinstance(row, NoAnswer):
            raise ServerError(row.why)
        return row.outcome if row and isinstance(row.outcome, Completed) and row.outcome.url else None


def _kept(clip: Clip, target: Path, file: str) -> Downloaded | None:
    """Find the file that a run gave its name and was killed before it could say so; `file`: its name under `clips/`."""
    if not os.path.exists(target):  # noqa: PTH110 - quick, for every clip
        return None
    record = sidecar.read(sidecar.path_for(target))
    if not record or record.get("request_id") != clip.request_id or not clip.request_id:
        return None
    size, sha256 = record.get("bytes"), record.get("sha256")
    if not isinstance(size, int) or not isinstance(sha256, str) or mp4.inspect(target, size, sha256):
        return None
    return Downloaded(file, size, sha256, " ".join(record.get("flags") or ()), record.get("seconds"))


def _sidecar(clip: Clip, now: Callable[[], float]) -> Callable[[Path, Fetched], None]:
    """Write the sidecar in the same thread as the rename, so that no clip is without one."""

    def finish(target: Path, fetched: Fetched) -> None:
        sidecar.write(sidecar.path_for(target), sidecar.describe(clip, fetched, at=now()))

    return finish


def _url(clip: Clip) -> str:
    return (clip.request.url if clip.request else None) or ""


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
