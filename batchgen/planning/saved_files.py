"""Saved plans on disk: write one, read it, and let a run do exactly what it says or refuse.

The format, and what counts as a change, are in `saved`, which is pure.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchgen.errors import UsageError
from batchgen.files.output_file import is_stream, written
from batchgen.manifest import Manifest
from batchgen.planning import Plan
from batchgen.planning.inputs import LedgerSnapshot, plan_of
from batchgen.planning.saved import FORMAT, Basis, Saved, differences, read, save, text_of
from batchgen.settings import Settings

#: The settings that decide what is spent, and where: a saved plan brings its own.
SPENDING = (
    "sandbox", "base_url", "only", "limit", "max_usd", "max_usd_per_day", "max_clips", "allow_unknown_price",
    "resubmit_unconfirmed", "resubmit_lost",
)  # fmt: skip


def write_plan(
    path: Path, plan: Plan, manifest: Manifest, settings: Settings, seen: LedgerSnapshot, folder: Path
) -> Saved:
    """Write a plan to a file, whole or not at all. An older plan is replaced; any other file is left as it is.

    Raises:
        OutputError: it can't be written there. UsageError: the file is something else than a plan.
    """
    if path.exists() and not (is_stream(path) or _is_plan(path)):
        raise UsageError(f"{path} exists and is not a saved plan: name another file with --out")
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    saved = save(plan, seen.known, _basis(manifest, settings, folder), roots=_roots(manifest), made_at=made_at)
    with written(path) as file:
        file.write(text_of(saved).encode())
    return saved


def _is_plan(path: Path) -> bool:
    """True for any release's saved plan, even one that was edited; a pipe or a device is never read."""
    if not path.is_file():
        return False
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT


def read_plan(path: Path) -> Saved:
    """Read a plan from its file.

    Raises:
        UsageError: there is none, or it is not as it was written.
    """
    try:
        return read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: the plan can't be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path}: this is not a saved plan") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def manifest_of(saved: Saved, path: Path) -> Path | None:
    """Find the manifest that a plan was made of, by its content: in jobs/, here, in examples/, next to the plan."""
    folders = (Path("jobs"), Path(), Path("examples"), path.parent)
    there = [found for folder in folders for found in sorted(folder.glob("*.y*ml"))]
    # Of two manifests with the same content it is the one that the batch folder has its name from.
    for found in sorted(there, key=lambda each: each.stem != saved.basis.folder.removesuffix(".sandbox")):
        with suppress(OSError):
            if hashlib.sha256(found.read_bytes()).hexdigest() == saved.basis.manifest:
                return found
    return None


def with_plan_settings(saved: Saved, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options of a run with the plan's own where the command line has none.

    Raises:
        UsageError: an option differs from the plan.
    """
    planned = saved.basis.settings
    for name in SPENDING:
        value = given.get(name)
        if value is not None and value != planned.get(name):
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} differs from the plan: leave it out, or make a new plan with it")
    return {**given, **{name: planned.get(name) for name in SPENDING}}


def restricted_to(saved: Saved, settings: Settings) -> Settings:
    """Give the settings of a run that submits the plan's clips and no others."""
    return replace(settings, only=None, limit=None, planned=saved.chosen, plan_sha256=saved.sha256)


def refuse_if_changed(saved: Saved, manifest: Manifest, settings: Settings, seen: LedgerSnapshot, folder: Path) -> None:
    """Compare a saved plan with one made now; `settings` as merged, before `restricted_to`.

    Raises:
        UsageError: something has changed; the message says what.
    """
    now = plan_of(manifest, settings, seen, folder=folder)
    basis = _basis(manifest, settings, folder)
    begun = bool(seen.plan) and seen.plan == saved.sha256
    changed = differences(saved, now, seen.known, basis, roots=_roots(manifest), begun=begun)
    if changed:
        points = "".join(f"\n  - {text}" for text in changed)
        fits = f"the plan of {saved.made_at} no longer fits, so nothing was submitted"
        raise UsageError(f"{fits}:{points}\nMake a new one.")


def _basis(manifest: Manifest, settings: Settings, folder: Path) -> Basis:
    return Basis(
        manifest=manifest.sha256,
        files=dict(sorted(manifest.files.items())),
        folder=os.path.relpath(folder, manifest.path.parent),
        settings={name: getattr(settings, name) for name in SPENDING},
    )


def _roots(manifest: Manifest) -> frozenset[str]:
    return frozenset(manifest.keys())
