"""A plan as a file that a run is held to: canonical, under a hash; and what has moved since it was made. Pure.

Held fast: the manifest and its files, the settings that spend, the prices, the very clips to be submitted, and where
every clip of the ledger stands. What becomes of the plan's own clips once a run has begun on it is no surprise, nor is
the end of what was in flight or in doubt; whatever else has changed is told, and such a plan is not run.
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
from batchgen.money import usd
from batchgen.planning.model import Plan

FORMAT = "batchgen plan"
VERSION = 1
_PAID = frozenset({State.GENERATING, State.DOWNLOADING, State.DONE})
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a plan rests on besides the ledger."""

    manifest: str  #: sha256 of its bytes
    files: Mapping[str, str]  #: of what it names: path from its folder → sha256
    folder: str  #: the batch folder, from the manifest's
    settings: Mapping[str, Any]  #: those that decide what is spent, and where


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A plan that was written down."""

    name: str
    made_at: str  #: ISO-8601, UTC
    basis: Basis
    submit: Sequence[str]  #: keys, in the order of the run
    resubmit: Sequence[str]
    open: Sequence[str]  #: keys of what was in flight or in doubt
    prices: Mapping[
        str, Sequence[int | None]
    ]  #: by class: the estimate, and what manifest or table says; micro-dollars
    estimate: int | None  #: of what is submitted, where the price is known
    unpriced: int
    ledger: str  #: where every clip of the ledger stood, as a hash
    rest: str  #: the same without the clips above
    counts: Mapping[str, int]  #: how many clips stood where
    rest_counts: Mapping[str, int]
    sha256: str = field(default="")  #: of all this

    @property
    def chosen(self) -> frozenset[str]:
        """Keys of all that a run of it may submit."""
        return frozenset([*self.submit, *self.resubmit])


def save(plan: Plan, known: Iterable[ClipSummary], basis: Basis, *, roots: Collection[str], made_at: str) -> Saved:
    """Write a plan down. `known` is the ledger that it was made of, `roots` the keys of the manifest's clips."""
    stands = _standings(known, roots)
    rest = _without(stands, plan.keys.submit, plan.keys.resubmit, plan.keys.open)
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
        ledger=_hash(stands),
        rest=_hash(rest),
        counts=_counts(stands),
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
        raise UsageError("this is no saved plan; `batchgen plan MANIFEST --out FILE` writes one")
    version = value.pop("version", None)
    if version != VERSION:
        raise UsageError(f"this plan has version {version}, and {VERSION} is known: make it again with this batchgen")
    try:
        saved = Saved(**{**value, "basis": Basis(**value.get("basis", {}))})
    except TypeError:
        saved = None
    if saved is None or saved.sha256 != _hash(_plain(saved)):
        raise UsageError("this plan is not as it was written (its hash differs): make a new one, don't edit it")
    return saved


def moved(
    saved: Saved, plan: Plan, known: Iterable[ClipSummary], basis: Basis, *, roots: Collection[str], begun: bool
) -> list[str]:
    """Say what is no longer as it was when the plan was made; empty: it may be run.

    Args:
        saved: the plan.
        plan: the plan as it would be made now, with the same options.
        known: the ledger now.
        basis: the rest of the world now.
        roots: keys of the manifest's clips.
        begun: the last run was one of this very plan, so its own clips may stand anywhere.
    """
    told = _basis_moved(saved.basis, basis)
    stands = _standings(known, roots)
    told += _prices_moved(saved, plan, begun=begun)
    if begun:
        rest = _without(stands, saved.submit, saved.resubmit, saved.open)
        if _hash(rest) != saved.rest:
            told.append(f"clips that are not in the plan have changed ({_difference(saved.rest_counts, rest)})")
    elif _hash(stands) != saved.ledger:
        told.append(f"the ledger has changed ({_difference(saved.counts, stands)})")
    if not told and not begun and list(plan.keys.submit) != list(saved.submit):
        told.append(
            f"other clips would be submitted now: {len(plan.keys.submit):,}, planned were {len(saved.submit):,}"
        )
    return told


# --- what is held fast ----------------------------------------------------------------------------------


def _standings(known: Iterable[ClipSummary], roots: Collection[str]) -> dict[str, list[Any]]:
    """Say where each clip stands that a run of before, or the user, has touched; what is paid for is all the same."""
    return {
        clip.key: ["paid" if clip.state in _PAID else str(clip.state), clip.requests]
        for clip in known
        if not clip.dropped or clip.reroll_of in roots
    }


def _without(stands: Mapping[str, list[Any]], *own: Iterable[str]) -> dict[str, list[Any]]:
    left_out = {key for keys in own for key in keys}
    return {key: stand for key, stand in stands.items() if key not in left_out}


def _counts(stands: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    return dict(sorted(Counter(str(stand[0]) for stand in stands.values()).items()))


def _prices(plan: Plan) -> dict[str, list[int | None]]:
    return {price_class: [quote.each, quote.told] for price_class, quote in sorted(plan.cost.quotes.items())}


def _plain(saved: Saved) -> dict[str, Any]:
    value = asdict(saved)
    del value["sha256"]
    return value


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


# --- what has moved -------------------------------------------------------------------------------------


def _basis_moved(then: Basis, now: Basis) -> list[str]:
    told = []
    if then.manifest != now.manifest:
        told.append("the manifest was edited")
    files = sorted({*then.files, *now.files})
    edited = [name for name in files if then.files.get(name) != now.files.get(name)]
    if edited:
        more = f" and {len(edited) - _NAMED:,} more" if len(edited) > _NAMED else ""
        told.append(f"files of the manifest were edited: {', '.join(edited[:_NAMED])}{more}")
    if then.folder != now.folder:
        told.append(f"the batch folder is {now.folder}, planned was {then.folder}")
    for name in sorted({*then.settings, *now.settings}):
        before, after = then.settings.get(name), now.settings.get(name)
        if before != after:
            told.append(f"{name} is {_shown(name, after)}, planned was {_shown(name, before)}")
    return told


def _shown(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and "usd" in name:
        return usd(value)
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)


def _prices_moved(saved: Saved, plan: Plan, *, begun: bool) -> list[str]:
    """Once begun, what the plan's own clips were charged moves the estimates, and only what was told counts."""
    index = 1 if begun else 0
    now = _prices(plan)
    told = []
    for price_class, then in saved.prices.items():
        if price_class in now and now[price_class][index] != then[index]:
            told.append(
                f"{price_class} is estimated at {usd(now[price_class][index])} a clip, planned was {usd(then[index])}"
            )
    return told


def _difference(counts: Mapping[str, int], stands: Mapping[str, Sequence[Any]]) -> str:
    now = _counts(stands)
    words = [
        f"{name} {counts.get(name, 0):,} → {now.get(name, 0):,}"
        for name in sorted({*counts, *now})
        if counts.get(name, 0) != now.get(name, 0)
    ]
    return ", ".join(words) or "as many clips, but others"
