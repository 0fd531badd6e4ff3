"""What a manifest would do: its clips, the ledger's states, prices and pace, joined to a `Plan`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from batchgen.clip import State
from batchgen.manifest import Manifest
from batchgen.plan import Plan, make_plan
from batchgen.providers import models
from batchgen.settings import Settings

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
        price_source="; ".join(model.price_note for model in known),
    )


def _free_bytes(folder: Path) -> int | None:
    """Free disk space where the folder is, or will be."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return shutil.disk_usage(there).free if there else None
