"""From a link to a checked file. A bad download costs a download, never a generation."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batchgen import sidecar
from batchgen.clip import Clip, Downloaded, Generated, Lost
from batchgen.errors import DownloadError, Exit, NowError
from batchgen.flow.collect import Collector
from batchgen.flow.tools import Tools, generated
from batchgen.media import Expect, Fetched
from batchgen.pacer import Call, SubmissionStoppedError
from batchgen.providers.base import Completed
from batchgen.retry import delay

log = logging.getLogger("batchgen.fetch")

#: How often a dead link is renewed for one clip.
RENEWALS = 4


class Fetcher:
    """Fetches files, and renews their links where they are dead."""

    def __init__(self, tools: Tools, collector: Collector) -> None:
        self._tools = tools
        self._collector = collector

    async def download(self, clip: Clip) -> Clip:
        """Fetch the file; a dead link is asked for again, and is never a reason to pay again."""
        name = f"{clip.wanted.name}.mp4"
        target = self._tools.clips_dir / name
        trouble_since, tries, renewals = None, 0, 0
        while True:
            try:
                fetched = await self._tools.downloads.fetch(
                    _url(clip), target, _expect(clip), _sidecar(clip, self._tools.ledger.now)
                )
            except DownloadError as error:
                log.warning("%s: %s", clip.wanted.name, error)
                if error.kind == "refused" and target.name == name and target.exists():
                    # A stranger's file has the name: it is never overwritten, and the clip gets another one.
                    target = target.with_name(f"{clip.wanted.name}~{clip.key[-8:]}.mp4")
                    continue
                now = asyncio.get_running_loop().time()
                if error.kind == "trouble":
                    trouble_since = now if trouble_since is None else trouble_since
                    tries += 1
                    if now - trouble_since >= self._tools.give_up_s:
                        self._tools.brake.pull(f"outage: {error}", Exit.STOPPED, grace_s=0.0)
                        raise SubmissionStoppedError from error
                    await self._tools.pause(delay(tries, dice=0.5 + self._tools.dice() / 2))
                    continue
                renewals += 1
                await self._tools.pause(delay(renewals, dice=self._tools.dice(), base=2.0))
                renewed = await self._renewed(clip) if renewals <= RENEWALS else None
                if renewed is None:
                    return await self._tools.ledger.record(clip, Lost(f"the file can't be fetched: {error}"))
                clip = await self._tools.ledger.record(clip, renewed)
            else:
                done = Downloaded(target.name, fetched.bytes, fetched.sha256, fetched.flags, fetched.seconds)
                return await self._tools.ledger.record(clip, done)

    async def _renewed(self, clip: Clip) -> Generated | None:
        """Ask for the link again: the result first, then the history; None when both have none."""
        if clip.request_id is None:
            return None
        completed: Completed | None = None
        with suppress(NowError):
            await self._tools.pacer.grant(Call.COLLECT)
            outcome = await self._tools.provider.result(clip.request_id)
            completed = outcome if isinstance(outcome, Completed) and outcome.url else None
        if completed is None:
            row = await self._collector.in_history(clip)
            completed = row.outcome if row and isinstance(row.outcome, Completed) and row.outcome.url else None
        return generated(completed, self._tools.ledger.now()) if completed else None


def _sidecar(clip: Clip, now: Callable[[], float]) -> Callable[[Path, Fetched], None]:
    """Write the sidecar in the same thread as the rename, so that no clip is without one."""

    def finish(target: Path, fetched: Fetched) -> None:
        sidecar.write(sidecar.beside(target), sidecar.describe(clip, fetched, at=now()))

    return finish


def _url(clip: Clip) -> str:
    return (clip.request.url if clip.request else None) or ""


def _expect(clip: Clip) -> Expect:
    params = json.loads(clip.wanted.params)
    size, seconds = None, None
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        width, height = params["size"].split("*")
        size = (int(width), int(height))
    with suppress(ValueError, TypeError, KeyError):
        seconds = float(params["duration"])
    return Expect(bytes=clip.request.file_size if clip.request else None, size=size, seconds=seconds)
