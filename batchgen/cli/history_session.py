"""Read access to the account's request history for `report --audit`: no lock, no write, within the rate limit.

Here and not in the command, because it joins a provider and a rate limiter.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from batchgen.billing.audit import Read
from batchgen.errors import BatchgenError, CallError, UsageError
from batchgen.ledger import SANDBOX_ORIGIN, Reader
from batchgen.ledger.lock import holder
from batchgen.locate import find_key
from batchgen.providers.base import HistoryPage
from batchgen.providers.paced import PacedProvider, whole_history
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.ratelimit.setup import PaceSetup
from batchgen.redact import Secret, account_of
from batchgen.runner.opening import Access
from batchgen.settings import Settings, merge, read_config


def read_history(reader: Reader, models: Iterable[str], span: tuple[float, float], given: Mapping[str, Any]) -> Read:
    """Read the history of a batch's models over a period; a failure is reported in the result, not raised.

    Args:
        reader: of the batch; its origin and account are asked, and no others.
        models: whose requests.
        span: from when to when, epoch seconds; read in windows of at most 31 days.
        given: `base_url` and `history_url`, None where not given.
    """
    try:
        return asyncio.run(_read(reader, sorted(set(models)), span, given))
    except (BatchgenError, OSError) as error:
        return Read(why=f"the request history could not be read: {error}")


async def _read(reader: Reader, models: list[str], span: tuple[float, float], given: Mapping[str, Any]) -> Read:
    settings = _settings(reader, given)
    access = Access(settings, None if settings.sandbox else _key(reader), reader.folder)
    pages: list[HistoryPage] = []
    why = ""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(access.connected())
        pacer = _pacer(stack, reader, settings, access.account)
        async with asyncio.TaskGroup() as group:
            pacing = group.create_task(pacer.run())
            try:
                for model in models:
                    pages.append(await whole_history(PacedProvider(provider, pacer), model, *span))  # noqa: PERF401 - kept if one fails
            except CallError as error:
                why = f"the request history could not be read: {error}"
            finally:
                pacing.cancel()
    rows = [row for page in pages for row in page.rows]
    if why or all(page.whole for page in pages):
        return Read(rows, not why, why)
    return Read(rows, why="the request history could not be read completely")


def _pacer(stack: AsyncExitStack, reader: Reader, settings: Settings, account: str) -> LocalPacer:
    """Make the pacer of the account, at the rate of the batch's last run, or a small part of it during a run."""
    if settings.sandbox:
        return LocalPacer(settings.rpm)
    settings = replace(settings, rpm=float(reader.meta("rpm") or settings.rpm))
    who = f"process {os.getpid()}, report of {reader.folder}"
    pace = PaceSetup.shared(settings, reader.meta("origin") or "", account, who)
    stack.callback(pace.close)
    if pace.others:
        pace.step_back()
    return pace.pacer()


def _key(reader: Reader) -> Secret:
    manifest = reader.folder / (reader.meta("manifest") or "x")
    key = find_key(manifest.parent)
    if key is None:
        raise UsageError("no API key", tip="set SEGMIND_API_KEY")
    if account_of(key) != reader.meta("account"):
        raise UsageError(
            "the batch was made with a different API key, and the history shows only the requests of this one"
        )
    return key


def _settings(reader: Reader, given: Mapping[str, Any]) -> Settings:
    """Give the settings that lead to the service of the batch, or to its sandbox.

    Raises:
        UsageError: a run is using the sandbox, which serves one batch at a time.
    """
    if reader.meta("origin") == SANDBOX_ORIGIN:
        if holder(reader.folder):
            raise UsageError("a run is using the sandbox: try again after it")
        return merge({"sandbox": True}, None, read_config())
    base_url = given["base_url"] or reader.meta("origin")
    return merge({"base_url": base_url, "history_url": given["history_url"]}, None, read_config())
