"""What a manifest would do: its clips, the ledger's states, prices and pace, joined to a `Plan`."""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batchgen.billing.budget import Budget, day_of
from batchgen.billing.prices import ENOUGH, MEMORY, ChargeHistory
from batchgen.billing.tariff import PriceBook
from batchgen.clip import ClipSummary, State
from batchgen.errors import BatchgenError, UsageError
from batchgen.ledger.reader import FILE, Reader
from batchgen.manifest import Manifest
from batchgen.money import price_class_of
from batchgen.planning import Choice, Given, Plan, make_plan
from batchgen.providers import models
from batchgen.ratelimit.memory import AccountMemory, Start, start_of
from batchgen.redact import account_of
from batchgen.settings import Settings, find_key

#: What the sandbox's batch belongs to, whatever its port.
SANDBOX_ORIGIN = "sandbox"
#: What is believed of a model that nobody has told anything of (seconds).
UNKNOWN_LATENCY_S = 120.0
#: What a ledger remembers the saved plan of its last run under.
PLAN = "plan"
#: How many of the latest run times a plan reads from the ledger.
RUN_TIMES = 2000


def latency_of(model: str, settings: Settings) -> float:
    """Say what to believe of a model's run time before anything was learned, in seconds."""
    if settings.expect_latency is not None:
        return settings.expect_latency
    if settings.sandbox:
        return settings.sandbox_latency
    known = models.find(model)
    return known.mean_latency_s if known else UNKNOWN_LATENCY_S


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """What a ledger knew at one moment, as far as a plan asks; of a batch that never ran: nothing."""

    known: Sequence[ClipSummary] = ()
    wall: Budget = field(default_factory=Budget)
    charges: Mapping[str, Sequence[int]] = field(default_factory=dict)  #: the latest per price class
    run_times: Mapping[str, Sequence[float]] = field(default_factory=dict)
    plan: str = ""  #: sha256 of the saved plan that the last run was held to
    account: str = ""  #: fingerprint of the key that it was made with


def snapshot(ledger: Reader) -> LedgerSnapshot:
    """Ask a ledger all that a plan needs."""
    times = ledger.run_times(RUN_TIMES)
    plan, account = ledger.meta(PLAN) or "", ledger.meta("account") or ""
    return LedgerSnapshot(list(ledger.known()), ledger.wall(), ledger.charges(MEMORY), times, plan, account)


def snapshot_in(folder: Path) -> LedgerSnapshot:
    """Ask the ledger in a batch folder, if there is one; writes nothing."""
    if not Reader.exists(folder):
        return LedgerSnapshot()
    reader = Reader(folder)
    try:
        return snapshot(reader)
    finally:
        reader.close()


def plan_folder(manifest: Manifest, settings: Settings, folder: Path, *, each_clip: bool = False) -> Plan:
    """Hold a manifest against the ledger in a batch folder, if there is one; writes nothing."""
    seen = snapshot_in(folder)
    start = start_in(manifest, settings, seen)
    return plan_of(manifest, settings, seen, folder=folder, each_clip=each_clip, start=start)


def start_in(manifest: Manifest, settings: Settings, seen: LedgerSnapshot) -> Start:
    """Say at which pace a run would start, by what this machine remembers of the account; writes nothing.

    The account is that of the key; where there is none, that of the ledger. Without both nothing is remembered.
    """
    now, account = time.time(), "" if settings.sandbox else seen.account
    if not settings.sandbox:
        with suppress(UsageError):  # a key that can't be read is a run's trouble
            account = account_of(key) if (key := find_key(manifest.path.parent)) else account
    lessons = AccountMemory.of(_origin(settings.base_url), account) if account else AccountMemory(None)
    return start_of(settings, lessons.known, now)


def _origin(base_url: str) -> str:
    """Give the origin of an address as a run writes it down; of one that is none, nothing."""
    from yarl import URL

    with suppress(ValueError):
        return str(URL(base_url).origin())
    return ""


def plan_of(
    manifest: Manifest,
    settings: Settings,
    seen: LedgerSnapshot,
    *,
    folder: Path | None = None,
    each_clip: bool = False,
    start: Start | None = None,
) -> Plan:
    """Hold a manifest against what a ledger knew; reads nothing but the free disk space and sibling ledgers.

    `start` is the pace to reckon with; None: as configured.
    """
    start = start or Start(settings.rpm, settings.in_flight)
    tariff = PriceBook(manifest.prices, ChargeHistory.of(seen.charges))
    latency_s, time_source = _latency(manifest, settings, seen)
    given = Given(
        name=manifest.name,
        rpm=start.rpm or None,
        in_flight=start.in_flight,
        rpm_note=start.rpm_note,
        in_flight_note=start.in_flight_note,
        latency_s=latency_s,
        time_source=time_source,
        wall=replace(seen.wall, caps=settings.caps),
        day=day_of(time.time()),
        free_bytes=_free_bytes(folder or manifest.path.parent),
        price_source=_price_source(manifest),
        warnings=_bought_already(manifest, seen, folder, sandbox=settings.sandbox),
    )
    choice = Choice(settings.only, settings.limit, settings.resubmit_unconfirmed, settings.resubmit_lost)
    return make_plan(manifest.wanted, seen.known, quote=tariff.quote, given=given, choice=choice, each_clip=each_clip)


def _price_source(manifest: Manifest) -> str:
    used = sorted({clip.model for clip in manifest.wanted})
    return "; ".join(model.price_note for model in map(models.find, used) if model)


def _latency(manifest: Manifest, settings: Settings, seen: LedgerSnapshot) -> tuple[float | None, str]:
    """Say how long one clip takes: as its model's last ones took, else as is believed of the model; and which."""
    used = {clip.model for clip in manifest.wanted}
    times = [
        s for price_class, seconds in seen.run_times.items() if price_class.split(" ", 1)[0] in used for s in seconds
    ]
    if len(times) >= ENOUGH:
        return statistics.median(times), f"learned from the last {len(times):,} clips: {_span(times)} each"
    believed = max((latency_of(name, settings) for name in used), default=None)
    if believed is None:
        return None, ""
    who = "as --expect-latency says" if settings.expect_latency is not None else "the model's published mean"
    if settings.sandbox and settings.expect_latency is None:
        who = "the sandbox's"
    elif settings.expect_latency is None and not all(map(models.find, used)):
        who = "a guess, as nothing is known of the model"
    return believed, f"at {believed:.0f} s a clip, {who}"


def _span(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.0f} s"


def kinds(manifest: Manifest) -> list[tuple[str, dict[str, Any], int]]:
    """Group a manifest's clips by price class: model and parameters of one of them, and how many there are."""
    found: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for clip in manifest.wanted:
        params = json.loads(clip.params)
        cell = (clip.model, price_class_of(clip.model, params))
        found.setdefault(cell, (clip.model, params))
        counts[cell] += 1
    return [(*found[cell], count) for cell, count in counts.items()]


def whole_estimate(of: Sequence[tuple[str, dict[str, Any], int]], prices: models.Prices) -> int | None:
    """What all clips of these kinds are likely to cost; None when one of them has no known price."""
    total = 0
    for model, params, count in of:
        price = models.estimate(model, params, prices)
        if price is None:
            return None
        total += price * count
    return total


def _bought_already(manifest: Manifest, seen: LedgerSnapshot, folder: Path | None, *, sandbox: bool) -> list[str]:
    """Warn of sibling batches that have done clips which this one would buy."""
    states = {clip.key: clip.state for clip in seen.known}
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
