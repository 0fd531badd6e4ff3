"""Wanted clips and those of the ledger, sorted by what a run does with each. Pure, one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batchgen.clip import ClipSummary, State, Wanted, submission_order
from batchgen.planning.model import Action
from batchgen.selection import Selection, matches

_STANDS = {
    State.SUBMITTING: Action.IN_FLIGHT,
    State.GENERATING: Action.IN_FLIGHT,
    State.DOWNLOADING: Action.IN_FLIGHT,
    State.UNCONFIRMED: Action.UNCONFIRMED,
    State.LOST: Action.LOST,
    State.FAILED: Action.FAILED,
    State.BLOCKED: Action.BLOCKED,
    State.DONE: Action.DONE,
}


@dataclass(slots=True)
class Sorted:
    """Clips by what is done with them."""

    submit: list[tuple[Wanted, Action]] = field(default_factory=list)  #: in the order of the run
    later: list[Wanted] = field(default_factory=list)
    skipped: list[Wanted] = field(default_factory=list)
    #: What is not submitted, clips that are no longer wanted too.
    stand: dict[Action, list[ClipSummary]] = field(default_factory=dict)
    resubmit: list[ClipSummary] = field(default_factory=list)  #: the unconfirmed and lost ones to submit again
    #: By the key of a changed clip: the clip that it replaces.
    before: dict[str, ClipSummary] = field(default_factory=dict)
    known: Mapping[str, ClipSummary] = field(default_factory=dict)


def sort_out(wanted: Iterable[Wanted], known: Iterable[ClipSummary], selection: Selection) -> Sorted:
    """Sort wanted clips (each once) and those of a ledger by what a run does with them."""
    found = Sorted(known={clip.key: clip for clip in known})
    to_make: list[tuple[Wanted, Action]] = []
    keys = set()
    for clip in wanted:
        keys.add(clip.key)
        _place(found, to_make, clip, found.known.get(clip.key), Action.NEW)
    replaced: dict[tuple[str, int], ClipSummary] = {}
    for old in found.known.values():
        if old.key in keys:
            continue
        if old.reroll_of in keys:
            _place(found, to_make, _wanted(old), old, Action.REROLL)
        elif not old.dropped:
            found.stand.setdefault(Action.UNWANTED, []).append(old)
            replaced[old.prompt_id, old.take] = old
    _choose(found, to_make, replaced, selection)
    found.resubmit = list(_resubmitted(found, selection))
    return found


def _place(
    found: Sorted, to_make: list[tuple[Wanted, Action]], clip: Wanted, known: ClipSummary | None, fresh: Action
) -> None:
    if known is not None and known.replaced:
        found.stand.setdefault(Action.REPLACED, []).append(known)
    elif known is None or known.state is State.PENDING:
        to_make.append((clip, Action.AGAIN if known is not None and known.requests else fresh))
    else:
        found.stand.setdefault(_STANDS[known.state], []).append(known)


def _choose(
    found: Sorted,
    to_make: Sequence[tuple[Wanted, Action]],
    replaced: Mapping[tuple[str, int], ClipSummary],
    selection: Selection,
) -> None:
    """Put what is to be made into the order of the run, and leave out what the options leave out."""
    for clip, action in sorted(to_make, key=lambda entry: submission_order(entry[0])):
        if clip.key in selection.skipped:
            found.skipped.append(clip)
            continue
        if not matches(selection.only, clip.prompt_id, clip.name) or len(found.submit) == selection.limit:
            found.later.append(clip)
            continue
        old = replaced.get((clip.prompt_id, clip.take)) if action is Action.NEW else None
        if old is not None:
            found.before[clip.key] = old
        found.submit.append((clip, action if old is None else Action.CHANGED))


def _resubmitted(found: Sorted, selection: Selection) -> Iterator[ClipSummary]:
    if selection.resubmit_unconfirmed:
        yield from found.stand.get(Action.UNCONFIRMED, ())
    if selection.resubmit_lost:
        yield from found.stand.get(Action.LOST, ())


def _wanted(known: ClipSummary) -> Wanted:
    """Give a re-roll, which only the ledger has, as the manifest would ask for it."""
    return Wanted(
        key=known.key,
        prompt_id=known.prompt_id,
        take=known.take,
        model=known.model,
        params=known.params,
        name=known.name,
        order=known.order,
        priority=known.priority,
        audio_sha256=known.audio_sha256,
        label=known.label,
        reroll_of=known.reroll_of,
    )
