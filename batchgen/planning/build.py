"""The plan itself: clips sorted by what a run does with them, each kind with its count, its cost and its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batchgen.billing.prices import Quote
from batchgen.clip import ClipSummary, State, Wanted
from batchgen.planning import cost
from batchgen.planning.classify import Sorted, sort_out
from batchgen.planning.diff import edits, grouped
from batchgen.planning.model import Action, Edit, Given, Group, Plan, PlannedClip, Reason, Step
from batchgen.retry import MAX_ATTEMPTS
from batchgen.selection import Selection
from batchgen.wording import cause

_NAMED = 5
_COUNTED = (
    Action.IN_FLIGHT, Action.UNCONFIRMED, Action.LOST, Action.FAILED, Action.BLOCKED, Action.DONE, Action.UNWANTED
)  # fmt: skip
_OPEN = (Action.IN_FLIGHT, Action.UNCONFIRMED, Action.LOST)
_WITH_CAUSES = frozenset({Action.FAILED, Action.BLOCKED, Action.UNCONFIRMED, Action.LOST})


@dataclass(slots=True)
class _Counts:
    """What one kind of clips adds up to."""

    count: int = 0
    estimates: list[int | None] = field(default_factory=list)
    spent: int = 0
    reserved: int = 0
    uncharged: int = 0
    causes: dict[tuple[bool, str], list[ClipSummary]] = field(default_factory=dict)


@dataclass(slots=True)
class _Priced:
    """What is to be submitted, priced, and the tally of each kind."""

    till: cost.Pricer
    queue: list[tuple[str, Quote]] = field(default_factory=list)  #: price class and estimate, in the order of the run
    tallies: dict[Action, _Counts] = field(default_factory=dict)
    edits: list[tuple[str, tuple[Edit, ...]]] = field(default_factory=list)  #: of changed clips, by name
    clips: list[PlannedClip] = field(default_factory=list)


def make_plan(
    wanted: Iterable[Wanted],
    known: Iterable[ClipSummary],
    *,
    quote: cost.Quoter,
    given: Given,
    selection: Selection | None = None,
    each_clip: bool = False,
) -> Plan:
    """Hold wanted clips (each once) against all clips of the ledger, those no longer wanted too.

    Args:
        wanted: what the manifest asks for; re-rolls are found in the ledger.
        known: the ledger's clips, in the order in which they came.
        quote: estimates one clip.
        given: money, pace, disk.
        selection: what of it the run is to do.
        each_clip: name every clip in `Plan.clips`, too.
    """
    found = sort_out(wanted, known, selection or Selection())
    priced = _price(found, quote, each_clip=each_clip)
    steps = [_step(action, priced.tallies[action]) for action in Action if action in priced.tallies]
    sizes = {step.action: step.count for step in steps}
    plan = Plan(
        name=given.name,
        wanted=found.wanted,
        new=len(found.submit) + len(found.later),
        **_counts(sizes),
        **_costs(priced.till.groups()),
        seconds=_seconds(len(found.submit) + sizes.get(Action.IN_FLIGHT, 0), given),
        **_money(given, priced),
        warnings=(),
        price_source=given.price_source,
        steps=steps,
        changes=grouped(priced.edits),
        time_source=given.time_source,
        **_pace(given),
        free_bytes=given.free_bytes,
        collect_until=_collect_until(found, given.record_s),
        submit=[clip.key for clip, _ in found.submit],
        resubmit=[clip.key for clip in found.resubmit],
        open=[clip.key for action in _OPEN for clip in found.stand.get(action, ())],
        quotes=priced.till.quotes,
        clips=[*priced.clips, *_others(found)] if each_clip else (),
    )
    return replace(plan, warnings=[*given.warnings, *cost.warnings(plan)])


def _price(found: Sorted, quote: cost.Quoter, *, each_clip: bool) -> _Priced:
    """Price what is to be submitted, in the order of the run, and count all that is not."""
    priced = _Priced(cost.Pricer(quote))
    for clip, action in found.submit:
        price_class, quoted, like = priced.till.price(clip.model, clip.params)
        priced.till.count(like)
        priced.queue.append((price_class, quoted))
        known = found.known.get(clip.key)
        _count(priced.tallies.setdefault(action, _Counts()), known, quoted.each)
        why = _so_far(known)
        if (old := found.before.get(clip.key)) is not None:
            priced.edits.append((clip.name, edits(old, clip)))
            why = "; ".join(
                f"{edit.name} {edit.before or 'none'} -> {edit.after or 'none'}" for edit in priced.edits[-1][1]
            )
        if each_clip:
            spent = known.spent if known else 0
            priced.clips.append(PlannedClip(clip.name, action, *like, spent=spent, why=why))
    _count_others(priced.tallies, found, priced.till)
    return priced


def _so_far(known: ClipSummary | None) -> str:
    """Say which attempt this is, of as many as a clip has without the user's word, and what came of the last one."""
    if known is None:
        return ""
    attempt = f"attempt {known.attempts + 1} of {MAX_ATTEMPTS}" if known.attempts else ""
    return "; ".join(part for part in (attempt, known.reason) if part)


def _counts(sizes: Mapping[Action, int]) -> dict[str, Any]:
    return {str(action): sizes.get(action, 0) for action in _COUNTED}


def _money(given: Given, priced: _Priced) -> dict[str, Any]:
    wall, today = given.wall, given.wall.on(given.day)
    reach, barrier = cost.reach(priced.queue, wall, given.day)
    return {
        "spent": wall.spent,
        "reserved": wall.reserved,
        "cap": wall.caps.usd,
        "caps": wall.caps,
        "today": today.spent + today.reserved,
        "paid_clips": wall.clips,
        "reach": reach,
        "barrier": barrier,
    }


def _costs(groups: list[Group]) -> dict[str, Any]:
    return {
        "groups": groups,
        "estimate": cost.sum_known([group.total for group in groups]),
        "unpriced": sum(group.count for group in groups if group.each is None),
        "bytes": cost.disk(groups),
    }


def _seconds(clips: int, given: Given) -> float | None:
    return cost.time_needed(clips, rpm=given.rpm, in_flight=given.in_flight, latency_s=given.latency_s)


def _pace(given: Given) -> dict[str, Any]:
    """Say what the time is reckoned with; the clips in flight are worth a word only if they hold it up."""
    by_places = cost.bound_by_places(rpm=given.rpm, in_flight=given.in_flight, latency_s=given.latency_s)
    notes = (given.rpm_note, given.in_flight_note if by_places else "")
    return {
        "rpm": given.rpm,
        "most_in_flight": given.in_flight,
        "pace_source": ", and ".join(note for note in notes if note),
    }


# --- each kind ------------------------------------------------------------------------------------------


def _count(tally: _Counts, known: ClipSummary | None, estimate: int | None = None) -> None:
    tally.count += 1
    tally.estimates.append(estimate)
    if known is not None:
        tally.spent += known.spent
        tally.reserved += known.held
        tally.uncharged += known.uncharged


def _count_others(tallies: dict[Action, _Counts], found: Sorted, till: cost.Pricer) -> None:
    """Count what this run does not submit, and what it may submit again."""
    for left in found.later:
        _count(tallies.setdefault(Action.LATER, _Counts()), found.known.get(left.key), 0)
    for clip in found.resubmit:
        _, quoted, _ = till.price(clip.model, clip.params)
        _count(tallies.setdefault(Action.RESUBMIT, _Counts()), None, quoted.each)
    for action, clips in found.stand.items():
        tally = tallies.setdefault(action, _Counts())
        for clip in clips:
            _count(tally, clip, 0)
            if action in _WITH_CAUSES:
                tally.causes.setdefault((clip.transient, cause(clip.reason)), []).append(clip)


def _step(action: Action, tally: _Counts) -> Step:
    causes = sorted(tally.causes.values(), key=len, reverse=True)
    return Step(
        action=action,
        count=tally.count,
        estimate=cost.sum_known(tally.estimates),
        unpriced=tally.estimates.count(None),
        spent=tally.spent,
        reserved=tally.reserved,
        uncharged=tally.uncharged,
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
    for left in found.later:
        yield PlannedClip(left.name, Action.LATER, left.model, "", None, None, 0)
