"""Where a plan's inputs come from: manifest, ledger, settings, disk, and what this machine learned of the account."""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchgen.billing.budget import Budget, day_of
from batchgen.billing.prices import ENOUGH, MEMORY, PriceBook
from batchgen.clip import ClipSummary, State, Wanted
from batchgen.errors import BatchgenError, LedgerError, UsageError
from batchgen.history import other_batches
from batchgen.ledger import SANDBOX_ORIGIN, Reader, integrity, schema
from batchgen.ledger.lock import holder
from batchgen.ledger.wanted import Holder, assign, with_known_ids, with_known_keys
from batchgen.locate import find_key
from batchgen.manifest import Manifest
from batchgen.money import price_class_of
from batchgen.planning import AssumedPace, Conditions, ModelFacts, Plan, make_plan
from batchgen.providers import models
from batchgen.ratelimit.memory import AccountMemory, Start, start_of
from batchgen.redact import account_of
from batchgen.selection import Selection
from batchgen.settings import Settings

#: The run time that is assumed of an unknown model (seconds).
UNKNOWN_LATENCY_S = 120.0
#: The ledger's fact of the saved plan that its last run was restricted to.
PLAN = "plan"
#: How many of the latest run times of the ledger a run and a plan learn from.
RUN_TIMES = 2000


def latency_of(model: str, settings: Settings, known_models: models.Catalogue = models.BUILT_IN) -> float:
    """Give the run time that is assumed of a model before any was seen, in seconds."""
    if settings.expect_latency is not None:
        return settings.expect_latency
    if settings.sandbox:
        return settings.sandbox_latency
    known = known_models.find(model)
    return (known and known.mean_latency_s) or UNKNOWN_LATENCY_S


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """What a ledger has for a plan at one moment; empty for a batch that never ran."""

    known: Sequence[ClipSummary] = ()
    wall: Budget = field(default_factory=Budget)
    charges: Mapping[str, Sequence[int]] = field(default_factory=dict)  #: the latest per price class
    run_times: Mapping[str, Sequence[float]] = field(default_factory=dict)
    plan: str = ""  #: sha256 of the saved plan that the last run was restricted to
    account: str = ""  #: fingerprint of the API key that it was started with
    skipped: frozenset[str] = frozenset()  #: keys of takes that are not to be made, since another one was picked
    queued: tuple[int, int] = (0, 0)  #: retries and re-rolls that no run has taken up yet
    live: bool = False  #: a run is at work


def snapshot(ledger: Reader) -> LedgerSnapshot:
    """Read from a ledger all that a plan needs."""
    times = ledger.run_times(RUN_TIMES)
    return LedgerSnapshot(
        list(ledger.known()),
        ledger.budget(),
        ledger.charges(MEMORY),
        times,
        plan=ledger.meta(PLAN) or "",
        account=ledger.meta("account") or "",
        skipped=frozenset(ledger.skipped()),
        queued=ledger.queued(),
        live=holder(ledger.folder) is not None,
    )


def snapshot_in(folder: Path, manifest: Manifest | None = None) -> LedgerSnapshot:
    """Read the ledger in a batch folder, if there is one; writes nothing.

    Args:
        folder: of the batch.
        manifest: with it the ledger is compared with what lies next to it, as a run does before it starts.

    Raises:
        LedgerError: the ledger is damaged, or is not the last one of its batch: a run would refuse it.
    """
    if not Reader.exists(folder):
        integrity.refuse_gone(folder)
        return LedgerSnapshot()
    reader = Reader(folder)
    try:
        if manifest and (fault := reader.contradiction(manifest.keys())):
            raise LedgerError(f"{reader.path} {fault}; a run would submit nothing. {schema.REMEDY}")
        return snapshot(reader)
    finally:
        reader.close()


def plan_folder(manifest: Manifest, settings: Settings, folder: Path, *, each_clip: bool = False) -> Plan:
    """Plan what a run of a manifest would do in a batch folder; writes nothing."""
    seen = snapshot_in(folder, manifest)
    start = start_in(manifest, settings, seen)
    return plan_of(manifest, settings, seen, folder=folder, each_clip=each_clip, start=start)


def start_in(manifest: Manifest, settings: Settings, seen: LedgerSnapshot) -> Start:
    """Give the pace at which a run would start, by what this machine learned of the account; writes nothing.

    The account is that of the key; where there is none, that of the ledger. Without both, nothing was learned.
    """
    now, account = time.time(), "" if settings.sandbox else seen.account
    if not settings.sandbox:
        with suppress(UsageError):  # only a run needs a key that can be read
            account = account_of(key) if (key := find_key(manifest.path.parent)) else account
    learned = AccountMemory.of(_origin(settings.base_url), account) if account else AccountMemory(None)
    return start_of(settings, learned.known, now)


def _origin(base_url: str) -> str:
    """Give the origin of an address as a run stores it; empty where it has none."""
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
    """Plan what a run would do, by a snapshot of the ledger; reads only the free disk space and the other ledgers.

    `start` is the pace to assume; None: as configured.
    """
    start = start or Start(settings.rpm, settings.in_flight)
    book = PriceBook(manifest.prices, seen.charges)
    facts = _facts(manifest, settings, seen)
    latency_s, latency_note = _latency(manifest, settings, seen, facts)
    pace = AssumedPace(
        rpm=start.rpm or None,
        in_flight=start.in_flight,
        latency_s=latency_s,
        rpm_note=start.rpm_note,
        in_flight_note=start.in_flight_note,
        latency_note=latency_note,
        by_model={each.model: each.run_s for each in facts if each.run_s is not None},
    )
    conditions = Conditions(
        name=manifest.name,
        pace=pace,
        budget=replace(seen.wall, caps=settings.caps),
        day=day_of(time.time()),
        free_bytes=_free_bytes(folder or manifest.path.parent),
        price_source=_price_source(manifest),
        models=facts,
        warnings=_bought_already(manifest, seen, folder, sandbox=settings.sandbox),
        moves=_moves(wanted_in(manifest, seen), seen),
        queued=seen.queued,
        live=seen.live,
        window=settings.window,
    )
    return make_plan(
        wanted_in(manifest, seen),
        seen.known,
        quote=book.quote,
        conditions=conditions,
        selection=_selection(settings, seen.skipped),
        each_clip=each_clip,
    )


def wanted_in(manifest: Manifest, seen: LedgerSnapshot) -> list[Wanted]:
    """Give what a manifest asks for under the keys and ids that its batch has for it."""
    sent = {clip.key: clip.label for clip in seen.known if not clip.dropped}
    return with_known_ids(with_known_keys(manifest.wanted, sent), {clip.key: clip.prompt_id for clip in seen.known})


def _selection(settings: Settings, skipped: frozenset[str]) -> Selection:
    return Selection(
        skipped=skipped,
        limit=settings.limit,
        only=settings.only,
        resubmit_unconfirmed=settings.resubmit_unconfirmed,
        resubmit_lost=settings.resubmit_lost,
    )


def _price_source(manifest: Manifest) -> str:
    used = sorted({clip.model for clip in manifest.wanted})
    return "; ".join(model.price_note for model in map(manifest.prices.models.find, used) if model and model.price_note)


def _latency(
    manifest: Manifest, settings: Settings, seen: LedgerSnapshot, facts: Sequence[ModelFacts]
) -> tuple[float | None, str]:
    """Give the seconds that one clip takes, as its model's last ones took or else as assumed; and which, in words.

    Of several models it is the longest.
    """
    runs = {each.run_s for each in facts if each.run_s is not None}
    if len(runs) > 1:
        return max(runs), f"each clip at its model's own run time, at most {max(runs):.0f} s"
    used = {clip.model for clip in manifest.wanted}
    times = _times(seen, used)
    if len(times) >= ENOUGH:
        return statistics.median(times), f"learned from the last {len(times):,} clips: {_span(times)} each"
    assumed = max((latency_of(name, settings, manifest.prices.models) for name in used), default=None)
    if assumed is None:
        return None, ""
    who = "as --expect-latency says" if settings.expect_latency is not None else "the model's published mean"
    if settings.sandbox and settings.expect_latency is None:
        who = "the sandbox's"
    elif settings.expect_latency is None and not all(_has_mean(name, manifest.prices.models) for name in used):
        who = "a guess, since the model is unknown"
    return assumed, f"at {assumed:.0f} s a clip, {who}"


def _facts(manifest: Manifest, settings: Settings, seen: LedgerSnapshot) -> list[ModelFacts]:
    """Give how long each model takes, and how old its facts are."""
    known, today, found = manifest.prices.models, datetime.now(UTC).date(), []
    for name in sorted({clip.model for clip in manifest.wanted}):
        times = _times(seen, {name})
        run_s = statistics.median(times) if len(times) >= ENOUGH else latency_of(name, settings, known)
        model = known.find(name)
        as_of, age = (model.as_of, (today - model.as_of).days) if model else (None, 0)
        origin = f"{models.FOLDER}/{name}.json" if known.is_own(name) else ""
        found.append(ModelFacts(name, run_s, as_of, age, origin))
    return found


def _times(seen: LedgerSnapshot, used: Collection[str]) -> list[float]:
    return [s for price_class, times in seen.run_times.items() if price_class.split(" ", 1)[0] in used for s in times]


def _has_mean(name: str, known_models: models.Catalogue) -> bool:
    known = known_models.find(name)
    return known is not None and known.mean_latency_s is not None


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
    """Estimate what all clips of these kinds cost; None when one of them has no known price."""
    total = 0
    for model, params, count in of:
        price = models.estimate(model, params, prices)
        if price is None:
            return None
        total += price * count
    return total


def _moves(wanted: Sequence[Wanted], seen: LedgerSnapshot) -> list[tuple[str, str]]:
    """Give the files that a run moves, since the names of their clips change: old name, new name, under `clips/`."""
    asked = {clip.key: clip.name for clip in wanted}
    if asked.items() >= {(clip.key, clip.name) for clip in seen.known}:
        return []
    held = [
        Holder(clip.key, clip.name, clip.reroll_of in asked)
        for clip in seen.known
        if clip.key in asked or clip.reroll_of in asked or not clip.dropped
    ]
    named = assign(asked, held)
    done = (clip for clip in seen.known if clip.state is State.DONE)
    return [(clip.name, named[clip.key]) for clip in done if named[clip.key] != clip.name]


def _bought_already(manifest: Manifest, seen: LedgerSnapshot, folder: Path | None, *, sandbox: bool) -> list[str]:
    """Warn of other batches of the folder that have finished clips which this one would pay for."""
    states = {clip.key: clip.state for clip in seen.known}
    new = [clip for clip in wanted_in(manifest, seen) if states.get(clip.key, State.PENDING) is State.PENDING]
    found = []
    jobs = manifest.path.parent
    for other in other_batches.batches(folder or jobs, [jobs]) if new and not sandbox else ():
        with suppress(BatchgenError, sqlite3.Error, OSError):
            reader = Reader(other)
            done = {key for key, state in reader.states().items() if state is State.DONE}
            both = sum(clip.key in done or (clip.older is not None and clip.older.key in done) for clip in new)
            if both and reader.meta("origin") != SANDBOX_ORIGIN:
                found.append(_done_elsewhere(both, other.name))
            reader.close()
    return found


def _done_elsewhere(count: int, folder: str) -> str:
    clips = "1 new clip is" if count == 1 else f"{count:,} new clips are"
    return f"{clips} already done in {folder}/"


def _free_bytes(folder: Path) -> int | None:
    """Free disk space where the folder is, or will be."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return shutil.disk_usage(there).free if there else None
