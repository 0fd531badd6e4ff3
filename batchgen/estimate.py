"""What a manifest would do: its clips, the ledger's states, prices and pace, joined to a `Plan`."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from batchgen.clip import State
from batchgen.errors import BatchgenError
from batchgen.ledger.reader import FILE, Reader
from batchgen.manifest import Manifest
from batchgen.money import price_class
from batchgen.planning import Plan, make_plan
from batchgen.providers import models
from batchgen.settings import Settings

#: What the sandbox's batch belongs to, whatever its port.
SANDBOX_ORIGIN = "sandbox"
#: What is believed of a model that nobody has told anything of (seconds).
UNKNOWN_LATENCY_S = 120.0


def latency_of(model: str, settings: Settings) -> float:
    """Say what to believe of a model's run time before anything was learned, in seconds."""
    if settings.expect_latency is not None:
        return settings.expect_latency
    if settings.sandbox:
        return settings.sandbox_latency
    known = models.find(model)
    return known.mean_latency_s if known else UNKNOWN_LATENCY_S


def plan_folder(manifest: Manifest, settings: Settings, folder: Path) -> Plan:
    """Hold a manifest against the ledger in a batch folder, if there is one; writes nothing."""
    if not Reader.exists(folder):
        return plan_of(manifest, settings, {}, folder=folder)
    reader = Reader(folder)
    try:
        money = reader.wall()
        return plan_of(manifest, settings, reader.states(), spent=money.spent, reserved=money.reserved, folder=folder)
    finally:
        reader.close()


def plan_of(
    manifest: Manifest,
    settings: Settings,
    states: Mapping[str, State],
    *,
    spent: int = 0,
    reserved: int = 0,
    folder: Path | None = None,
) -> Plan:
    """Hold a manifest against what a ledger knows; reads nothing but the free disk space."""
    used = {clip.model for clip in manifest.wanted}
    known = [model for model in (models.find(name) for name in sorted(used)) if model]
    return make_plan(
        manifest.wanted,
        states,
        price=lambda clip: models.estimate(clip.model, json.loads(clip.params), manifest.prices),
        rpm=settings.rpm or None,
        in_flight=settings.in_flight,
        latency_s=max((latency_of(name, settings) for name in used), default=None),
        name=manifest.name,
        spent=spent,
        reserved=reserved,
        cap=settings.max_usd,
        free_bytes=_free_bytes(folder or manifest.path.parent),
        warnings=_bought_already(manifest, states, folder, sandbox=settings.sandbox),
        price_source="; ".join(model.price_note for model in known),
    )


def whole_estimate(manifest: Manifest) -> int | None:
    """What all clips of a manifest are likely to cost; None when one of them has no known price."""
    prices: dict[tuple[str, str], int | None] = {}
    total = 0
    for clip in manifest.wanted:
        params = json.loads(clip.params)
        cell = (clip.model, price_class(clip.model, params))
        if cell not in prices:
            prices[cell] = models.estimate(clip.model, params, manifest.prices)
        price = prices[cell]
        if price is None:
            return None
        total += price
    return total


def _bought_already(
    manifest: Manifest, states: Mapping[str, State], folder: Path | None, *, sandbox: bool
) -> list[str]:
    """Warn of sibling batches that have done clips which this one would buy."""
    new = {clip.key for clip in manifest.wanted if states.get(clip.key, State.PENDING) is State.PENDING}
    told = []
    for ledger in sorted(manifest.path.parent.glob(f"*/{FILE}")) if new and not sandbox else ():
        if ledger.parent == folder:
            continue
        with suppress(BatchgenError, sqlite3.Error, OSError):
            reader = Reader(ledger.parent)
            done = {key for key, state in reader.states().items() if state is State.DONE}
            if new & done and reader.meta("origin") != SANDBOX_ORIGIN:
                told.append(f"{len(new & done)} of the new clips are done already in {ledger.parent.name}/")
            reader.close()
    return told


def _free_bytes(folder: Path) -> int | None:
    """Free disk space where the folder is, or will be."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return shutil.disk_usage(there).free if there else None
