"""From the recorded events of a batch back to its clips: events are followed through the table, holes and all. Pure.

A hole is an event that the sources lost. What comes after it says what it must have been: a second submission of a
clip proves that its first one had ended, a request id that there was a submission. Such steps are filled in, never
an id, a link, a cost or a file. What can't be followed leaves the clip where it may have been paid for at most.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from batchgen.clip import Clip, State, Wanted
from batchgen.errors import IllegalEventError
from batchgen.events import (
    EVENTS,
    FILE_NAMES,
    AnswerLost,
    Event,
    Failed,
    FailedForNow,
    FileMissing,
    Lost,
    Released,
    Retried,
    SubmitStarted,
    Submitted,
)
from batchgen.ledger.evidence import Traced
from batchgen.states import NEXT, advance

HOLE = "what happened here was lost with the ledger"
_KINDS = {kind.__name__: kind for kind in EVENTS}
_OURS = {written: name for name, written in FILE_NAMES.items()}
_WANTED = {each.name for each in fields(Wanted)}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as a source has it; `seq` is its number in the ledger, None where it never had one."""

    key: str
    at: float
    event: Event
    seq: int | None = None


@dataclass
class Sources:
    """All that is left of a batch."""

    recorded: dict[int, Recorded] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    described: dict[str, Wanted] = field(default_factory=dict)  #: by their sidecars; the manifest knows better
    facts: dict[str, str] = field(default_factory=dict)
    traced: list[Traced] = field(default_factory=list)
    log_lines: int = 0
    bad_lines: int = 0  #: of the log
    from_ledger: int = 0  #: events that only the damaged file had


@dataclass
class Rebuilt:
    """The clips as they were, and every step that led there, in order; a step's number is None where it is new."""

    clips: dict[str, Clip] = field(default_factory=dict)
    steps: list[tuple[int | None, Clip, Event, float]] = field(default_factory=list)
    holes: set[str] = field(default_factory=set)  #: keys of clips of which something is missing
    last: dict[str, float] = field(default_factory=dict)  #: when something last happened to a clip

    def request_ids(self) -> set[str]:
        """Give every request id that the new ledger has: of each request the last one that a step gives it."""
        found = {(clip.key, clip.request.n): clip.request_id for _, clip, _, _ in self.steps if clip.request}
        return {each for each in found.values() if each}


def event_of(name: object, detail: object) -> Event | None:
    """Read an event; None for one that we don't know, or that lacks what it must have."""
    kind = _KINDS.get(str(name))
    if kind is None or not isinstance(detail, dict):
        return None
    try:
        return kind(**{_OURS.get(str(name), str(name)): value for name, value in detail.items()})
    except TypeError:
        return None


def wanted_of(record: object) -> Wanted | None:
    """Read a wanted clip; None for what is none."""
    if not isinstance(record, dict):
        return None
    try:
        wanted = Wanted(**{name: value for name, value in record.items() if name in _WANTED})
        json.loads(wanted.params)
    except (TypeError, ValueError):
        return None
    return wanted


def rebuild(sources: Sources, manifest: Iterable[Wanted]) -> Rebuilt:
    """Follow all recorded events; the clips are those to which something happened, and the re-rolls."""
    known = sources.described | {clip.key: clip for clip in manifest} | sources.wanted
    rebuilt = Rebuilt()
    wishes = [key for key, clip in sources.wanted.items() if clip.reroll_of]
    for key in wishes:
        _clip(rebuilt, known, key)
    for seq in sorted(sources.recorded):
        entry = sources.recorded[seq]
        _follow(rebuilt, _clip(rebuilt, known, entry.key), entry.event, entry.at, seq)
    have = rebuilt.request_ids()
    for traced in sorted(sources.traced, key=lambda traced: traced.at):
        if traced.request_id not in have:
            rebuilt.holes.add(traced.key)
            have.add(traced.request_id)
            _clip(rebuilt, known, traced.key)
            for event in traced.events():
                _follow(rebuilt, rebuilt.clips[traced.key], event, traced.at, None)
    for clip in list(rebuilt.clips.values()):
        _settle(rebuilt, clip)
    return rebuilt


def _settle(rebuilt: Rebuilt, clip: Clip) -> None:
    """Leave nothing to be submitted that may have been accepted."""
    at = rebuilt.last.get(clip.key, 0.0)
    if clip.state is State.PENDING and clip.key in rebuilt.holes:
        _step(rebuilt, clip, SubmitStarted(at), at, None)
    clip = rebuilt.clips[clip.key]
    if clip.state is State.SUBMITTING:
        _step(rebuilt, clip, AnswerLost("the ledger was damaged during its submission"), at, None)


def _clip(rebuilt: Rebuilt, known: Mapping[str, Wanted], key: str) -> Clip:
    if key not in rebuilt.clips:
        wanted = known.get(key) or Wanted(key, "recovered", 1, "", "{}", f"recovered-{key[-8:]}")
        rebuilt.clips[key] = Clip(len(rebuilt.clips) + 1, wanted)
    return rebuilt.clips[key]


def _follow(rebuilt: Rebuilt, clip: Clip, event: Event, at: float, seq: int | None) -> None:
    """Let the event happen, after what must have happened before; one that can't be is left out."""
    bridge = _bridge(clip, event, at)
    if bridge is None or bridge:
        rebuilt.holes.add(clip.key)
    for step in bridge or ():
        _step(rebuilt, rebuilt.clips[clip.key], step, at, None)
    if bridge is not None:
        _step(rebuilt, rebuilt.clips[clip.key], event, at, seq)


def _step(rebuilt: Rebuilt, clip: Clip, event: Event, at: float, seq: int | None) -> None:
    rebuilt.clips[clip.key] = after = advance(clip, event)
    rebuilt.steps.append((seq, after, event, at))
    rebuilt.last[clip.key] = at


def _bridge(clip: Clip, event: Event, at: float) -> list[Event] | None:
    """Find the fewest steps after which the event can happen; None: no way without inventing an id or a link."""
    ahead: deque[tuple[Clip, list[Event]]] = deque([(clip, [])])
    seen = {clip.state}
    while ahead:
        now, steps = ahead.popleft()
        if type(event) in NEXT[now.state] and _can(now, event) and not _forgets(now, event):
            return steps
        for step in _lost_steps(at):
            if (state := NEXT[now.state].get(type(step))) and state not in seen and _can(now, step):
                seen.add(state)
                ahead.append((advance(now, step), [*steps, step]))
    return None


def _forgets(clip: Clip, event: Event) -> bool:
    """Return whether the event would put another id in the place of a known one: that was another request."""
    return isinstance(event, Submitted) and clip.request_id not in {None, event.request_id}


def _can(clip: Clip, event: Event) -> bool:
    try:
        advance(clip, event)
    except IllegalEventError:
        return False
    return True


def _lost_steps(at: float) -> tuple[Event, ...]:
    """What a source may have lost, and nothing is known of but that it was."""
    return (
        SubmitStarted(at), AnswerLost(HOLE), FailedForNow(HOLE), Failed(HOLE), Retried(), Released(HOLE), Lost(HOLE),
        FileMissing(HOLE),
    )  # fmt: skip
