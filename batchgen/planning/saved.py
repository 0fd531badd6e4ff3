"""A plan as a file that a run is checked by: canonical JSON with its hash, and what has changed since. Pure.

Recorded are the manifest and its files, the settings that spend, the prices, the keys of the clips to be submitted, and
the state of every clip of the ledger. Two things may differ when the plan is run: the state of its own clips once a run
of it has begun, and how clips in flight or in doubt ended. Any other difference is named, and the plan is not run. The
module `saved_files` reads and writes the file.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from batchgen.clip import ClipSummary, State
from batchgen.errors import UsageError
from batchgen.money import exact
from batchgen.planning.model import Plan

FORMAT = "batchgen plan"
VERSION = 1
_PAID = frozenset({State.GENERATING, State.DOWNLOADING, State.DONE})
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a plan rests on besides the ledger; the names of the fields are those of the file."""

    manifest: str  #: sha256 of its bytes
    files: Mapping[str, str]  #: of what it names: path from its folder → sha256
    folder: str  #: the batch folder, from the manifest's
    settings: Mapping[str, Any]  #: those that decide what is spent, and where


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A plan as its file has it; the names of the fields are those of the file."""

    name: str
    made_at: str  #: ISO-8601, UTC
    basis: Basis
    submit: Sequence[str]  #: keys, in the order of the run
    resubmit: Sequence[str]
    open: Sequence[str]  #: keys of clips in flight or in doubt
    prices: Mapping[str, Sequence[int | None]]  #: by price class: the estimate, and the listed price; micro-dollars
    estimate: int | None  #: of what is submitted, where the price is known
    unpriced: int
    ledger: str  #: hash of the state of every clip of the ledger
    rest: str  #: the same without the clips above
    counts: Mapping[str, int]  #: clips by state
    rest_counts: Mapping[str, int]
    sha256: str = field(default="")  #: of all this

    @property
    def chosen(self) -> frozenset[str]:
        """Keys of all that a run of it may submit."""
        return frozenset([*self.submit, *self.resubmit])


def save(plan: Plan, known: Iterable[ClipSummary], basis: Basis, *, roots: Collection[str], made_at: str) -> Saved:
    """Make a plan ready for its file.

    Args:
        plan: what is to be saved.
        known: the ledger that it was made of.
        basis: what else it rests on.
        roots: keys of the manifest's clips.
        made_at: ISO-8601, UTC.
    """
    states = _states(known, roots)
    rest = _without(states, plan.keys.submit, plan.keys.resubmit, plan.keys.open)
    saved = Saved(
        name=plan.name,
        made_at=made_at,
        basis=basis,
        submit=list(plan.keys.submit),
        resubmit=list(plan.keys.resubmit),
        open=list(plan.keys.open),
        prices=_prices(plan),
        estimate=plan.cost.total,
        unpriced=plan.cost.unpriced,
        ledger=_hash(states),
        rest=_hash(rest),
        counts=_counts(states),
        rest_counts=_counts(rest),
    )
    return replace(saved, sha256=_hash(_plain(saved)))


def text_of(saved: Saved) -> str:
    """Give the file's text: one line of canonical JSON."""
    return _canonical({"format": FORMAT, "version": VERSION, **_plain(saved), "sha256": saved.sha256}) + "\n"


def read(text: str) -> Saved:
    """Read a file's text.

    Raises:
        UsageError: it is no plan, of a newer release, or not as it was written.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
        raise UsageError("this is not a saved plan; `batchgen plan MANIFEST --out FILE` writes one")
    version = value.pop("version", None)
    if version != VERSION:
        raise UsageError(f"this plan has version {version}, and this batchgen reads version {VERSION}: make a new one")
    try:
        saved = Saved(**{**value, "basis": Basis(**value.get("basis", {}))})
    except TypeError:
        saved = None
    if saved is None or saved.sha256 != _hash(_plain(saved)):
        raise UsageError("this plan was edited or damaged (its hash differs): make a new one")
    return saved


def differences(
    saved: Saved, plan: Plan, known: Iterable[ClipSummary], basis: Basis, *, roots: Collection[str], begun: bool
) -> list[str]:
    """Say what differs from what was planned; empty: the plan may be run.

    Args:
        saved: the plan.
        plan: the plan as it would be made now, with the same options.
        known: the ledger now.
        basis: what a plan made now would rest on besides.
        roots: keys of the manifest's clips.
        begun: the last run was one of this very plan, so its own clips may have any state.
    """
    found = _of_basis(saved.basis, basis) + _of_prices(saved, plan, begun=begun)
    states = _states(known, roots)
    if begun:
        rest = _without(states, saved.submit, saved.resubmit, saved.open)
        if _hash(rest) != saved.rest:
            found.append(f"clips that are not in the plan have changed ({_difference(saved.rest_counts, rest)})")
    elif _hash(states) != saved.ledger:
        found.append(f"the ledger has changed ({_difference(saved.counts, states)})")
    if not found and not begun and list(plan.keys.submit) != list(saved.submit):
        now, then = len(plan.keys.submit), len(saved.submit)
        found.append(f"other clips would be submitted now: {now:,}, the plan has {then:,}")
    return found


# --- what is recorded ----------------------------------------------------------------------------------


def _states(known: Iterable[ClipSummary], roots: Collection[str]) -> dict[str, list[Any]]:
    """Give the state of each clip that a run or the user has touched; all that are paid for count as one."""
    return {
        clip.key: ["paid" if clip.state in _PAID else str(clip.state), clip.requests]
        for clip in known
        if not clip.dropped or clip.reroll_of in roots
    }


def _without(states: Mapping[str, list[Any]], *own: Iterable[str]) -> dict[str, list[Any]]:
    left_out = {key for keys in own for key in keys}
    return {key: state for key, state in states.items() if key not in left_out}


def _counts(states: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    return dict(sorted(Counter(str(state[0]) for state in states.values()).items()))


def _prices(plan: Plan) -> dict[str, list[int | None]]:
    return {price_class: [quote.each, quote.listed] for price_class, quote in sorted(plan.cost.quotes.items())}


def _plain(saved: Saved) -> dict[str, Any]:
    value = asdict(saved)
    del value["sha256"]
    return value


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


# --- what differs -------------------------------------------------------------------------------------


def _of_basis(then: Basis, now: Basis) -> list[str]:
    found = []
    if then.manifest != now.manifest:
        found.append("the manifest was edited")
    files = sorted({*then.files, *now.files})
    edited = [name for name in files if then.files.get(name) != now.files.get(name)]
    if edited:
        more = f" and {len(edited) - _NAMED:,} more" if len(edited) > _NAMED else ""
        found.append(f"files of the manifest were edited: {', '.join(edited[:_NAMED])}{more}")
    if then.folder != now.folder:
        found.append(f"the batch folder is {now.folder}, the plan has {then.folder}")
    for name in sorted({*then.settings, *now.settings}):
        before, after = then.settings.get(name), now.settings.get(name)
        if before != after:
            found.append(f"{name} is {_shown(name, after)}, the plan has {_shown(name, before)}")
    return found


def _shown(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and "usd" in name:
        return exact(value)
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)


def _of_prices(saved: Saved, plan: Plan, *, begun: bool) -> list[str]:
    """Once begun, the plan's own charges change the estimates, so only the listed prices are compared."""
    index = 1 if begun else 0
    now = _prices(plan)
    found = []
    for price_class, then in saved.prices.items():
        if price_class in now and now[price_class][index] != then[index]:
            estimate = exact(now[price_class][index])
            found.append(f"{price_class} is estimated at {estimate} a clip, the plan has {exact(then[index])}")
    return found


def _difference(counts: Mapping[str, int], states: Mapping[str, Sequence[Any]]) -> str:
    now = _counts(states)
    words = [
        f"{name} {counts.get(name, 0):,} → {now.get(name, 0):,}"
        for name in sorted({*counts, *now})
        if counts.get(name, 0) != now.get(name, 0)
    ]
    return ", ".join(words) or "the same number, but other clips"
