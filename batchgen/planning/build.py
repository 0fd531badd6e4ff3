"""The plan itself: clips sorted by what a run does with them, each action with its count, its cost and its reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from batchgen.billing.prices import Quote
from batchgen.clip import ClipSummary, State, Wanted
from batchgen.planning import cost
from batchgen.planning.classify import Sorted, sort_out
from batchgen.planning.diff import edits, grouped
from batchgen.planning.model import (
    Action,
    BudgetReach,
    Conditions,
    CostEstimate,
    DiskEstimate,
    Edit,
    Group,
    ModelCost,
    ModelFacts,
    Plan,
    PlannedClip,
    PlannedKeys,
    Reason,
    Step,
    sum_known,
)
from batchgen.planning.warnings import warnings
from batchgen.retry import MAX_ATTEMPTS
from batchgen.selection import Selection
from batchgen.wording import cause

_NAMED = 5
_OPEN = (Action.IN_FLIGHT, Action.UNCONFIRMED, Action.LOST)
_WITH_CAUSES = frozenset({Action.FAILED, Action.BLOCKED, Action.UNCONFIRMED, Action.LOST})


@dataclass(slots=True)
class _Counts:
    """What the clips of one action add up to."""

    count: int = 0
    estimates: list[int | None] = field(default_factory=list)
    spent: int = 0
    reserved: int = 0
    uncharged: int = 0
    causes: dict[tuple[bool, str], list[ClipSummary]] = field(default_factory=dict)


@dataclass(slots=True)
class _Priced:
    """What is to be submitted, priced, and the counts of each action."""

    pricer: cost.Pricer
    queue: list[tuple[str, Quote]] = field(default_factory=list)  #: price class and estimate, in the order of the run
    counts: dict[Action, _Counts] = field(default_factory=dict)
    edits: list[tuple[str, tuple[Edit, ...]]] = field(default_factory=list)  #: of changed clips, by name
    clips: list[PlannedClip] = field(default_factory=list)


def make_plan(
    wanted: Iterable[Wanted],
    known: Iterable[ClipSummary],
    *,
    quote: cost.Quoter,
    conditions: Conditions,
    selection: Selection | None = None,
    each_clip: bool = False,
) -> Plan:
    """Plan what a run does with the wanted clips (each once) and with all clips of the ledger.

    Args:
        wanted: what the manifest asks for; re-rolls are found in the ledger.
        known: the ledger's clips, in the order in which they came; those no longer wanted, too.
        quote: estimates one clip.
        conditions: money, pace, disk.
        selection: what of it the run is to do.
        each_clip: list every clip in `Plan.clips`, too.
    """
    found = sort_out(wanted, known, selection or Selection())
    priced = _price(found, quote, each_clip=each_clip)
    groups = priced.pricer.groups()
    plan = Plan(
        name=conditions.name,
        steps=[_step(action, priced.counts[action]) for action in Action if action in priced.counts],
        changes=grouped(priced.edits),
        keys=_keys(found),
        cost=CostEstimate(
            groups=groups, quotes=priced.pricer.quotes, source=conditions.price_source, more=priced.pricer.more
        ),
        models=[_model_cost(facts, groups) for facts in conditions.models],
        budget=_budget(conditions, priced.queue),
        pace=conditions.pace,
        seconds=conditions.pace.seconds_for_all(_by_model(found)),
        disk=DiskEstimate(needed=cost.disk(groups), free=conditions.free_bytes),
        moves=conditions.moves,
        queued=conditions.queued,
        live=conditions.live,
        window=conditions.window,
        collect_until=_collect_until(found, conditions.record_s),
        clips=[*priced.clips, *_others(found)] if each_clip else (),
    )
    return replace(plan, warnings=[*conditions.warnings, *warnings(plan)])


def _by_model(found: Sorted) -> Counter[str]:
    """Count the clips that a run makes or collects, by model."""
    flying = found.stand.get(Action.IN_FLIGHT, ())
    return Counter([*(clip.model for clip, _ in found.submit), *(clip.model for clip in flying)])


def _model_cost(facts: ModelFacts, groups: Sequence[Group]) -> ModelCost:
    own = [group for group in groups if group.model == facts.model]
    unpriced = sum(group.count for group in own if group.each is None)
    return ModelCost(facts, sum(group.count for group in own), sum_known([group.total for group in own]), unpriced)


def _price(found: Sorted, quote: cost.Quoter, *, each_clip: bool) -> _Priced:
    """Price what is to be submitted, in the order of the run, and count all that is not."""
    priced = _Priced(cost.Pricer(quote))
    for clip, action in found.submit:
        price_class, quoted, like = priced.pricer.price(clip.model, clip.params)
        priced.pricer.count(like, quoted)
        priced.queue.append((price_class, quoted))
        known = found.known.get(clip.key)
        _count(priced.counts.setdefault(action, _Counts()), known, quoted.each)
        why = _so_far(known)
        if (old := found.before.get(clip.key)) is not None:
            priced.edits.append((clip.name, edits(old, clip)))
            why = "; ".join(
                f"{edit.name} {edit.before or 'none'} -> {edit.after or 'none'}" for edit in priced.edits[-1][1]
            )
        if each_clip:
            spent = known.spent if known else 0
            priced.clips.append(PlannedClip(clip.name, action, *like, spent=spent, why=why))
    _count_others(priced.counts, found, priced.pricer)
    return priced


def _so_far(known: ClipSummary | None) -> str:
    """Say which attempt this is, of as many as a clip has unless the user allows more, and how the last one ended."""
    if known is None:
        return ""
    attempt = f"attempt {known.attempts + 1} of {MAX_ATTEMPTS}" if known.attempts else ""
    return "; ".join(part for part in (attempt, known.reason) if part)


def _keys(found: Sorted) -> PlannedKeys:
    return PlannedKeys(
        submit=[clip.key for clip, _ in found.submit],
        resubmit=[clip.key for clip in found.resubmit],
        open=[clip.key for action in _OPEN for clip in found.stand.get(action, ())],
    )


def _budget(conditions: Conditions, queue: Sequence[tuple[str, Quote]]) -> BudgetReach:
    budget, today = conditions.budget, conditions.budget.on(conditions.day)
    reach, barrier = cost.reach(queue, budget, conditions.day)
    return BudgetReach(
        spent=budget.spent,
        reserved=budget.reserved,
        today=today.spent + today.reserved,
        clips=budget.clips,
        caps=budget.caps,
        reach=reach,
        barrier=barrier,
    )


# --- each action ----------------------------------------------------------------------------------------


def _count(counted: _Counts, known: ClipSummary | None, estimate: int | None = None) -> None:
    counted.count += 1
    counted.estimates.append(estimate)
    if known is not None:
        counted.spent += known.spent
        counted.reserved += known.reserved
        counted.uncharged += known.uncharged


def _count_others(counts: dict[Action, _Counts], found: Sorted, pricer: cost.Pricer) -> None:
    """Count what this run does not submit, and what it may submit again."""
    for action, left_out in ((Action.LATER, found.later), (Action.SKIPPED, found.skipped)):
        for left in left_out:
            _count(counts.setdefault(action, _Counts()), found.known.get(left.key), 0)
    for clip in found.resubmit:
        _, quoted, _ = pricer.price(clip.model, clip.params)
        _count(counts.setdefault(Action.RESUBMIT, _Counts()), None, quoted.each)
    for action, clips in found.stand.items():
        counted = counts.setdefault(action, _Counts())
        for clip in clips:
            _count(counted, clip, 0)
            if action in _WITH_CAUSES:
                counted.causes.setdefault((clip.transient, cause(clip.reason)), []).append(clip)


def _step(action: Action, counted: _Counts) -> Step:
    causes = sorted(counted.causes.values(), key=len, reverse=True)
    return Step(
        action=action,
        count=counted.count,
        estimate=sum_known(counted.estimates),
        unpriced=counted.estimates.count(None),
        spent=counted.spent,
        reserved=counted.reserved,
        uncharged=counted.uncharged,
        causes=[_grouped_cause(clips) for clips in causes],
    )


def _grouped_cause(clips: Sequence[ClipSummary]) -> Reason:
    first = clips[0]
    names = [clip.name for clip in clips[:_NAMED]]
    return Reason(first.reason, len(clips), first.state is State.FAILED and first.transient, names)


def _collect_until(found: Sorted, record_s: float) -> float | None:
    """When the first record of what is being generated goes; a link that is known lives longer."""
    flying = found.stand.get(Action.IN_FLIGHT, ())
    times = [clip.at for clip in flying if clip.at is not None and clip.state is not State.DOWNLOADING]
    return min(times) + record_s if times else None


def _others(found: Sorted) -> Iterator[PlannedClip]:
    for action in Action:
        for clip in found.stand.get(action, ()):
            yield PlannedClip(clip.name, action, clip.model, "", None, None, clip.spent, clip.reason)
    for action, left_out in ((Action.LATER, found.later), (Action.SKIPPED, found.skipped)):
        for left in left_out:
            yield PlannedClip(left.name, action, left.model, "", None, None, 0)
