"""The cart priced, and written as a manifest with its saved plan, next to the batch's own manifest.

It needs no key and spends nothing: a person runs the plan. Nothing of the environment is read.
"""

from __future__ import annotations

import os
import secrets
import shlex
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from batchgen import manifest as manifests
from batchgen.billing.budget import day_of
from batchgen.billing.prices import MEMORY, PriceBook
from batchgen.errors import ManifestError, OutputError, UsageError
from batchgen.ledger import SANDBOX_ORIGIN
from batchgen.locate import batch_folder
from batchgen.manifest import Manifest
from batchgen.manifest.naming import safe_name
from batchgen.money import exact_usd
from batchgen.planning.inputs import LedgerSnapshot, plan_of
from batchgen.planning.saved_files import write_plan
from batchgen.review.earlier import earlier_follow_ups
from batchgen.review.followup import CartLine, FollowUp, area, followed_up, manifest_text, sizes_of
from batchgen.review.overview import amount
from batchgen.review.questions import PageReader
from batchgen.settings import Settings, merge

_SEEDS: Final = 2**31
#: So many names are tried before giving up.
_NAMES: Final = 1000


def follow_up(folder: Path, lines: Sequence[CartLine], *, name: str = "", write: bool = False) -> dict[str, Any]:
    """Price a cart, and write it when that is asked for and nothing is wrong with it.

    Args:
        folder: the batch folder that it follows up.
        lines: of the cart.
        name: of the new manifest, without `.yaml`; empty: the next free one, as `night-2`.
        write: write manifest and plan.

    Raises:
        UsageError: the batch's manifest is gone, or the name is no name.
        LedgerError, OutputError: the ledger can't be read, or the manifest can't be written.
    """
    with closing(PageReader(folder)) as ledger:
        source = Path(os.path.normpath(folder / (ledger.meta("manifest") or "")))
        batch = ledger.meta("name") or folder.name
        sandbox, origin = ledger.meta("origin") == SANDBOX_ORIGIN, ledger.meta("origin") or ""
        left, charges = _left(ledger), ledger.charges(MEMORY)
        clips = {clip.key: clip.wanted for clip in ledger.clips_of(ledger.rows_of(line.clip for line in lines))}
        models = ledger.models()
    manifest = _manifest(source)
    earlier = earlier_follow_ups(manifest.path, batch, sandbox=sandbox)
    left = None if left is None else max(0, left - sum(each.usd or 0 for each in earlier))
    prices = PriceBook(manifest.prices, charges)
    entries, faults = followed_up(lines, clips, lambda: secrets.randbelow(_SEEDS))
    usd = {id(entry.line): _price(prices, entry) for entry in entries}
    shown = [{**_as_json(line), "usd": amount(usd.get(id(line)))} for line in lines]
    total = None if faults or None in usd.values() else sum(each or 0 for each in usd.values())
    if total is not None and left is not None and total > left:
        faults.append(f"it costs about ${amount(total)}, and the budget has ${amount(left)} left")
    written = None
    if write and entries and not faults:
        text = manifest_text(entries, of=batch, kept=_kept(manifest), left=left)
        base_url = "" if sandbox or origin == Settings().base_url else origin
        try:
            written = _written(manifest.path, text, name, sandbox=sandbox, base_url=base_url)
        except ManifestError as error:
            faults += [fault.what for fault in error.faults]
    return {
        "lines": shown,
        "usd": amount(total),
        "left_usd": amount(left),
        "earlier": [{"name": each.name, "usd": amount(each.usd), "begun": each.begun} for each in earlier],
        "sizes": sorted({size for model in models for size in sizes_of(model)}, key=area),
        "faults": faults,
        "written": written,
    }


def _left(ledger: PageReader) -> int | None:
    """Give what the tightest cap in USD has left, in micro-dollars; None: there is none."""
    caps, budget = ledger.caps(), ledger.budget()
    today = budget.on(day_of(time.time()))
    rooms = [] if caps.usd is None else [caps.usd - budget.spent - budget.reserved]
    rooms += [] if caps.usd_per_day is None else [caps.usd_per_day - today.spent - today.reserved]
    return max(0, min(rooms)) if rooms else None


def _manifest(source: Path) -> Manifest:
    if not source.is_file():
        tip = "a follow-up is written next to the manifest: put it back"
        raise UsageError(f"the batch's manifest {source.name or ''} is gone", tip=tip)
    return manifests.load(source)


def _price(prices: PriceBook, entry: FollowUp) -> int | None:
    each = prices.estimate(entry.wanted)
    return None if each is None else each * entry.line.count


def _as_json(line: CartLine) -> dict[str, Any]:
    return {name: value for name, value in asdict(line).items() if value is not None}


def _kept(manifest: Manifest) -> dict[str, Any]:
    """Give what the new manifest takes over: prices and pace."""
    prices: dict[str, Any] = {}
    for model, price in manifest.prices.by_model.items():
        if isinstance(price, int):
            prices[model] = exact_usd(price)
        else:
            prices[model] = {cell: exact_usd(each) for cell, each in price.items()}
    limits = {name: value for name, value in asdict(manifest.limits).items() if value is not None}
    return {**({"prices": prices} if prices else {}), **({"limits": limits} if limits else {})}


def _written(parent: Path, text: str, name: str, *, sandbox: bool, base_url: str) -> dict[str, Any]:
    """Write manifest and plan; nothing stays when one of them fails."""
    path = _created(parent, text, name)
    plan_file = path.with_suffix(".plan.json")
    try:
        made = manifests.load(path)
        settings = merge({"sandbox": sandbox or None, "base_url": base_url or None}, made)
        folder, nothing = batch_folder(path, sandbox=sandbox).absolute(), LedgerSnapshot()
        plan = plan_of(made, settings, nothing, folder=folder)
        write_plan(plan_file, plan, made, settings, nothing, folder)
    except BaseException:
        for each in (path, plan_file):
            each.unlink(missing_ok=True)
        raise
    shown = [os.path.relpath(each) for each in (path, plan_file)]
    command = ["batchgen", "run", _arg(path), *(["--sandbox"] if sandbox else []), "--plan", shown[1]]
    return {
        "manifest": shown[0],
        "plan": shown[1],
        "command": shlex.join(command),
        "clips": len(plan.keys.submit),
        "usd": amount(plan.cost.total) if not plan.cost.unpriced else None,
        "expected_s": None if plan.seconds is None else round(plan.seconds),
    }


def _arg(path: Path) -> str:
    """Give what a command calls a manifest: its name where it is in `jobs/` of this folder, else its path."""
    return path.stem if path.parent == Path("jobs").absolute() else os.path.relpath(path)


def _created(parent: Path, text: str, name: str) -> Path:
    """Write a new file, under a name that no batch has; never over an old one."""
    for path in _free_names(parent, name):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError.of(path, error) from error
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise OutputError.of(path, error) from error
        return path
    what = f"{name}.yaml exists already" if name else f"no free name next to {parent.name}"
    raise UsageError(what, tip="choose another name")


def _free_names(parent: Path, name: str) -> list[Path]:
    """Give the names to try, in order: those of which nothing is there, no folder of a batch either."""
    if name and (safe_name(name) != name or name.startswith(".") or "/" in name):
        raise UsageError(f"{name[:80]!r} can't be the name of a manifest")
    stems = [name] if name else [f"{parent.stem}-{number}" for number in range(2, _NAMES)]
    endings = (".yaml", ".yml", "", ".sandbox", ".plan.json")
    return [
        parent.with_name(f"{stem}.yaml")
        for stem in stems
        if not any(os.path.lexists(parent.with_name(f"{stem}{ending}")) for ending in endings)
    ]
