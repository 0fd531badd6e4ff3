"""Opening a batch for a run: the way to its service, and its ledger, locked and brought up to date with the manifest.

The only module that knows a concrete provider: another service is another package under `providers/`, and a line here.
The facts written here are for commands that read no manifest (`status`, `report`) and for the next run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batchgen import failpoints
from batchgen.billing.prices import DRIFTS, PriceBook
from batchgen.clip import State
from batchgen.errors import LedgerError, LedgerWriteError, UsageError
from batchgen.files import durable
from batchgen.history import other_batches
from batchgen.ledger import SANDBOX_ORIGIN, Home, integrity, schema
from batchgen.ledger.base import WINDOW
from batchgen.ledger.sqlite import SqliteLedger
from batchgen.locate import batch_folder
from batchgen.manifest import Manifest
from batchgen.manifest.naming import writable
from batchgen.money import decimal_usd
from batchgen.providers.segmind import catalogue
from batchgen.providers.segmind.client import Segmind
from batchgen.providers.segmind.http import address
from batchgen.proxy import SystemProxy, is_loopback
from batchgen.ratelimit.adaptive_rate import polls_per_s
from batchgen.redact import Secret, account_of
from batchgen.runner.assembly import CLIPS
from batchgen.sandbox.faults import Faults
from batchgen.settings import Settings

log = logging.getLogger("batchgen.runner.opening")

SANDBOX_KEY = "sandbox"
#: States whose clip may be, or become, a file.
_COLLECTED = (State.SUBMITTING, State.GENERATING, State.DOWNLOADING, State.UNCONFIRMED, State.LOST)
#: What a run needs at least: ledger, log and lock, the event loop, and a connection and a `.part` for a clip or two.
FILES = 20


class Access:
    """The way to the service of one batch; connecting is a step of its own (`connected`).

    Args:
        settings: the addresses, or that it is the sandbox and how the sandbox behaves.
        key: of the API; None only with the sandbox.
        folder: the batch folder; a sandbox keeps its jobs in it.

    Raises:
        ProxyError: the proxy that the environment names can't be used.
        UsageError: no key, an address that cannot be used, or an unknown fault of the sandbox.
    """

    def __init__(self, settings: Settings, key: Secret | None, folder: Path) -> None:
        if key is None and not settings.sandbox:
            tip = "set SEGMIND_API_KEY (or write it to .env next to the manifest); --sandbox needs none"
            raise UsageError("no API key", tip=tip)
        self._settings = settings
        self._key = key or Secret(SANDBOX_KEY)
        self._folder = folder
        self._faults = Faults.parse(settings.sandbox_faults) if settings.sandbox else None
        self.account = account_of(self._key)  #: a fingerprint of the key
        self.proxy = SystemProxy()
        self.origin = SANDBOX_ORIGIN if settings.sandbox else self._provider(settings.base_url).origin
        #: The service is on this machine, so that no money is at stake.
        self.loopback = settings.sandbox or is_loopback(address(self.origin, "the API").host or "")
        if not self.loopback:
            self.proxy = SystemProxy.read()

    def __repr__(self) -> str:
        """Say where it leads, for logs; the key is not in it."""
        return f"<Access to {self.origin}>"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Segmind]:
        """Give the provider, ready for calls until the block is left; a sandbox runs as long."""
        if not self._settings.sandbox:
            async with self._provider(self._settings.base_url) as provider:
                yield provider
            return
        from batchgen.sandbox.server import Sandbox  # a server of its own is no part of a paid run

        sandbox = Sandbox(
            self._folder / "service",
            latency_s=self._settings.sandbox_latency,
            faults=self._faults,
            credits=decimal_usd(self._settings.sandbox_credits),
        )
        async with sandbox as base_url, self._provider(base_url) as provider:
            log.info("the sandbox answers at %s; nothing is paid for", base_url)
            yield provider

    def _provider(self, base_url: str) -> Segmind:
        history_url, upload_url = self._settings.history_url, self._settings.upload_url
        if self._settings.sandbox:
            history_url = upload_url = None
        return Segmind(self._key, base_url=base_url, history_url=history_url, upload_url=upload_url, proxy=self.proxy)


async def read_catalogue(url: str | None = None) -> object:
    """Give the answer of the service's public catalogue of models, as JSON; `url` None: at its own address.

    Raises:
        UsageError: it can't be read.
        ProxyError: the proxy that the environment names can't be used.
    """
    return await catalogue.read_catalogue(url or catalogue.CATALOGUE)


def open_ledger(manifest: Manifest, folder: Path, settings: Settings, access: Access) -> SqliteLedger:
    """Lock a batch and give its ledger, with the manifest's clips in it and the caps set; the caller closes it.

    Raises:
        LockedError, LedgerError, LedgerWriteError: another run holds it, it belongs to another batch, it is damaged,
            or it cannot be written. Nothing stays locked.
    """
    failpoints.permit(loopback=access.loopback)
    _refuse_without_files()
    if not integrity.exists(folder):
        _refuse_second(manifest.path, folder, settings)
    ledger = SqliteLedger(folder)
    try:
        known = ledger.meta("manifest")  # kept as it is written while it leads to the same file
        same = known and (folder / known).resolve() == manifest.path.resolve()
        path = known if known and same else os.path.relpath(manifest.path, folder)
        ledger.bind(Home(path, access.origin, access.account), moved=settings.moved)
        _refuse_older(ledger, manifest)
        if not settings.sandbox:
            ledger.keep_memory()
        ledger.sync(manifest.wanted)
        _refuse_unwritable(ledger, folder)
        _remember_settings(ledger, manifest, settings)
        with schema.plain_errors(folder / CLIPS):
            durable.make(folder / CLIPS)
        ledger.set_limits(settings.caps)
    except BaseException:
        ledger.close()
        raise
    return ledger


def _refuse_unwritable(ledger: SqliteLedger, folder: Path) -> None:
    """Refuse to start where a clip's file could not be written: it may have been named under another locale.

    Raises:
        UsageError: the locale's encoding of file names lacks a character.
    """
    paid = ledger.clips(*_COLLECTED)  # what has to be submitted yet has its fault in the manifest
    bad = next((clip.wanted.name for clip in paid if not writable(clip.wanted.name)), None)
    if bad is not None:
        what = f"{folder}: this machine can't write the file name {bad} in its locale"
        raise UsageError(what, tip="set LC_ALL=C.UTF-8, then run again")


def _refuse_second(manifest: Path, folder: Path, settings: Settings) -> None:
    """Refuse to begin a batch where one was, or by its name when it has one elsewhere: all would be paid for again.

    Raises:
        LedgerError: the message says where it was, or is.
    """
    if settings.sandbox:
        return
    by_name = folder.resolve() == batch_folder(manifest).resolve()
    if by_name and (other := other_batches.of_manifest(manifest, folder, {folder.parent, manifest.parent})):
        raise LedgerError(
            f"{folder} has no ledger, and a batch of {manifest} is in {other}; nothing was submitted. If it was moved, "
            f"move it back, or run it there: --dir {other}. For a second batch, which is paid for again, name another "
            "folder with --dir"
        )
    integrity.refuse_gone(folder)


def _refuse_older(ledger: SqliteLedger, manifest: Manifest) -> None:
    """Refuse a ledger that is not the last one of its batch, as a backup may have brought it back."""
    if fault := ledger.contradiction(manifest.keys()):
        raise LedgerError(f"{ledger.path} {fault}; nothing was submitted. {schema.REMEDY}")


def _refuse_without_files() -> None:
    """Refuse to pay where the system lets this process open too few files to send a request and keep what comes of it.

    Raises:
        UsageError: `ulimit -n` is too low.
    """
    handles: list[int] = []
    try:
        handles.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(FILES))
    except OSError as error:
        what = f"this process can't open enough files ({error.strerror}); nothing was submitted"
        raise UsageError(what, tip="raise the limit: `ulimit -n 1024`") from error
    finally:
        for handle in handles:
            os.close(handle)


def remember_drifts(ledger: SqliteLedger, prices: PriceBook, kinds: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Note which charges differ from the listed prices, for one clip (model, parameters) of each price class."""
    quotes = prices.drifts(kinds).items()
    note = json.dumps(
        [[price_class, quote.each, quote.listed, quote.listed_by, quote.charges] for price_class, quote in quotes]
    )
    if note != (ledger.meta(DRIFTS) or "[]"):
        with suppress(LedgerWriteError):  # no more than a note
            ledger.remember(DRIFTS, note)


def _remember_settings(ledger: SqliteLedger, manifest: Manifest, settings: Settings) -> None:
    ledger.remember("name", manifest.name)
    ledger.remember("manifest_sha256", manifest.sha256)
    caps = settings.caps
    for name, cap in (("cap", caps.usd), ("cap_by_day", caps.usd_per_day), ("cap_clips", caps.clips)):
        ledger.remember(name, "" if cap is None else str(cap))
    polls = polls_per_s(settings.rpm, count_polls=settings.count_polls)
    ledger.remember("looks_per_s", repr(polls))
    ledger.remember("rpm", repr(settings.rpm))
    ledger.remember(WINDOW, json.dumps(asdict(settings.window)) if settings.window else "")
    ledger.remember("files", json.dumps(manifest.files, sort_keys=True))
