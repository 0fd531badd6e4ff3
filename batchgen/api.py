"""The public Python API: load a manifest, plan it, run it with an async stream of events.

manifest = batchgen.load("jobs/night.yaml")
print(batchgen.plan(manifest).new, "new clips")
async with batchgen.run(manifest, sandbox=True) as run:
    async for happened in run:
        print(happened.clip.wanted.name, happened.clip.state)
print(run.outcome.exit_code)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from batchgen import manifest as manifests
from batchgen.clip import Clip
from batchgen.errors import BatchgenError, Exit
from batchgen.events import Event
from batchgen.locate import batch_folder, find_key, find_manifest
from batchgen.manifest import Manifest
from batchgen.planning import Plan
from batchgen.planning.inputs import plan_folder
from batchgen.redact import Secret
from batchgen.runner.session import Outcome, Session
from batchgen.settings import merge


@dataclass(frozen=True, slots=True)
class Happened:
    """An event that is on disk, and the clip as it is after it."""

    clip: Clip
    event: Event


def load(path: str | Path) -> Manifest:
    """Read, check and expand a manifest (a path, or a batch's name).

    Raises:
        ManifestError: with all faults. UsageError: there is no such manifest.
    """
    return manifests.load(find_manifest(str(path)))


def plan(manifest: Manifest, *, folder: Path | None = None, sandbox: bool = False, **settings: Any) -> Plan:  # noqa: ANN401 - names of `Settings`
    """Hold a manifest against its batch's ledger; writes nothing. `settings` as in `run`."""
    merged = merge({**settings, "sandbox": sandbox or None}, manifest)
    return plan_folder(manifest, merged, folder or batch_folder(manifest.path, sandbox=sandbox))


def run(
    manifest: Manifest,
    *,
    folder: Path | None = None,
    sandbox: bool = False,
    key: str | None = None,
    **settings: Any,  # noqa: ANN401 - names of `Settings`
) -> Run:
    """Prepare a run; enter it to begin. It asks nobody: calling it is the word to spend.

    Args:
        manifest: from `load`.
        folder: the batch folder; beside the manifest by default.
        sandbox: use a local stand-in for the service: no key, no money.
        key: of the API; by default from the environment or `.env`, as the command finds it.
        settings: any of `batchgen.settings.Settings`, as in `max_usd=25_000_000` (micro-dollars), `rpm=50`.

    Raises:
        UsageError, LockedError, LedgerError: on entering. The first one also when another run of this machine has the
            key, and no `rpm` says how much of the account's rate is this one's.
    """
    merged = merge({**settings, "sandbox": sandbox or None}, manifest)
    secret = Secret(key) if key else None if sandbox else find_key(manifest.path.parent)
    return Run(manifest, (folder or batch_folder(manifest.path, sandbox=sandbox)).absolute(), merged, secret)


class Run:
    """A run in progress: an async context manager, and an async iterator of `Happened`.

    Leaving it early stops submitting, waits for answers on the way, and leaves all resumable.
    """

    def __init__(self, manifest: Manifest, folder: Path, settings: Any, key: Secret | None) -> None:  # noqa: ANN401 - see `merge`
        self._given = (manifest, folder, settings, key)
        self._news: asyncio.Queue[Happened | None] = asyncio.Queue()
        self._group = asyncio.TaskGroup()
        self._failed: BaseException | None = None
        self._outcome: Outcome | None = None
        self._session: Session | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended.

        Raises:
            BatchgenError: it has not ended yet.
        """
        if self._outcome is None:
            raise BatchgenError("the run has not ended yet")
        return self._outcome

    async def __aenter__(self) -> Run:
        session = Session.open(*self._given)
        try:
            session.share_pace()
        except BaseException:
            session.close()
            raise
        self._session = session
        session.ledger.observers.append(lambda clip, event: self._news.put_nowait(Happened(clip, event)))
        await self._group.__aenter__()
        self._group.create_task(self._work(session))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        if session is None:
            return
        if self._outcome is None and self._failed is None:
            session.shutdown.request("left early", Exit.STOPPED, grace_s=0.0)
        try:
            # Told of no error, the group waits for the run: answers of POSTs on the way are worth it.
            await self._group.__aexit__(None, None, None)
        finally:
            session.close()
        if self._failed is not None and error is None:
            raise self._failed

    async def _work(self, session: Session) -> None:
        try:
            self._outcome = await session.run()
        except BaseExceptionGroup as group:
            self._failed = only_one(group)
        except BatchgenError as error:
            self._failed = error
        finally:
            self._news.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Happened]:
        while (happened := await self._news.get()) is not None:
            yield happened


def only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the one error that a nest of task groups holds, or the group when there are several."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner
