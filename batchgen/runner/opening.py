"""Opening a batch for a run: its ledger is locked, and made to hold what the manifest and the settings say.

The facts written here are for commands that read no manifest (`status`, `report`) and for the next run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchgen import failpoints
from batchgen.billing.prices import DRIFTS, PriceBook
from batchgen.clip import State
from batchgen.errors import LedgerWriteError, UsageError
from batchgen.files import durable
from batchgen.ledger import Home, SqliteLedger
from batchgen.manifest import Manifest
from batchgen.manifest.naming import writable
from batchgen.planning.inputs import PLAN
from batchgen.ratelimit.adaptive_rate import polls_per_s
from batchgen.runner.assembly import CLIPS
from batchgen.runner.connect import Access
from batchgen.settings import Settings

#: States whose clip may be, or become, a file.
_COLLECTED = (State.SUBMITTING, State.GENERATING, State.DOWNLOADING, State.UNCONFIRMED, State.LOST)


def open_ledger(manifest: Manifest, folder: Path, settings: Settings, access: Access) -> SqliteLedger:
    """Lock a batch and give its ledger, with the manifest's clips in it and the caps set; the caller closes it.

    Raises:
        LockedError, LedgerError, LedgerWriteError: another run holds it, it belongs to another batch, it is damaged,
            or it cannot be written. Nothing stays locked.
    """
    failpoints.permit(loopback=access.loopback)
    ledger = SqliteLedger(folder)
    try:
        home = Home(os.path.relpath(manifest.path, folder), access.origin, access.account)
        ledger.bind(home, moved=settings.moved)
        ledger.sync(manifest.wanted)
        _refuse_unwritable(ledger, folder)
        _remember_settings(ledger, manifest, settings)
        _make(folder / CLIPS)
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


def remember_plan(ledger: SqliteLedger, settings: Settings) -> None:
    """Note which saved plan the run is held to: its progress is its own, what another run does is not."""
    if not settings.collect_only and (ledger.meta(PLAN) or "") != settings.plan_sha256:
        ledger.remember(PLAN, settings.plan_sha256)


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
    ledger.remember("files", json.dumps(manifest.files, sort_keys=True))


def _make(folder: Path) -> None:
    try:
        durable.make(folder)
    except OSError as error:
        raise LedgerWriteError(f"{folder}: can't be made ({error.strerror})") from error
