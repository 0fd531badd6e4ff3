"""What the report of a night shows beyond `report --json`: money by prompt and model, timeline, run times, calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from batchgen.billing.bill import Bill, By, make_bill
from batchgen.clip import State
from batchgen.ledger.reader import Reader

#: After so many seconds without an event the timeline is cut.
IDLE_S: Final = 3600.0
#: A refused submission is in the ledger, too, so many seconds before the run notes that it slowed down.
_SAME_S: Final = 5.0
_ALL: Final = 1_000_000
_RUN_NOTES: Final = ("started", "ended", "waiting", "pace")


@dataclass(frozen=True, slots=True)
class Moment:
    """How many clips were submitted so far, are in flight, and are done, from a time on (epoch seconds)."""

    at: float
    submitted: int
    in_flight: int
    done: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch in which submissions waited: an outage, or a refusal that was no clip's. Epoch seconds."""

    began: float
    ended: float
    why: str


@dataclass(frozen=True, slots=True)
class NightFacts:
    """See the module.

    Attributes:
        prompts, models: the bill by these.
        moments: in order of time; one for each event of a clip.
        refused: when the service refused a call for its rate (429), as far as that was written down.
        waits: outages and the like, from `events.jsonl`; none where that file is gone.
        run_s: run times by price class, seconds from submission to the end.
        polls: by price class, status checks and the clips that came of them.
    """

    prompts: Bill
    models: Bill
    moments: Sequence[Moment] = ()
    refused: Sequence[float] = ()
    waits: Sequence[Span] = ()
    run_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    polls: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def night_facts(reader: Reader) -> NightFacts:
    """Collect it. Raises LedgerError as the reader."""
    moments, refused = _followed(reader.moves())
    notes = list(_notes(reader.folder / "events.jsonl"))
    refused += [
        at
        for at, note in notes
        if note["event"] == "pace"
        and "(429)" in str(note.get("text"))
        and not any(abs(at - each) < _SAME_S for each in refused)
    ]
    return NightFacts(
        make_bill((clip for clip, _ in reader.requests()), By.PROMPT),
        make_bill((clip for clip, _ in reader.requests()), By.MODEL),
        moments,
        sorted(refused),
        list(_spans(notes)),
        reader.run_times(_ALL),
        reader.poll_counts(),
    )


def _followed(moves: Iterable[tuple[float, int, str, State, str]]) -> tuple[list[Moment], list[float]]:
    """Follow every clip through its states; gives the moments, and when submissions were refused for the rate."""
    states: dict[int, State] = {}
    moments: list[Moment] = []
    refused: list[float] = []
    submitted, counts = 0, {State.GENERATING: 0, State.DONE: 0}
    for at, row, name, state, reason in moves:
        if name == "SubmitDeferred" and "429" in reason:
            refused.append(at)
        before = states.get(row, State.PENDING)
        submitted += name == "Submitted"
        for each in counts:
            counts[each] += (state is each) - (before is each)
        states[row] = state
        latest = max(at, moments[-1].at) if moments else at  # a clock that was set back moves nothing back
        moments.append(Moment(latest, submitted, counts[State.GENERATING], counts[State.DONE]))
    return moments, refused


def _notes(path: Path) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Give what runs noted about themselves, with its time; what can't be read is left out."""
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with file:
        for line in file:
            if not any(f'"event": "{name}"' in line for name in _RUN_NOTES):
                continue
            try:
                note = json.loads(line)
                at = datetime.fromisoformat(note["t"]).timestamp()
            except (ValueError, KeyError, TypeError):
                continue
            if note.get("event") in _RUN_NOTES:
                yield at, note


def _spans(notes: Iterable[tuple[float, Mapping[str, Any]]]) -> Iterator[Span]:
    """Give the stretches between a wait's beginning and its end, or the last that its run noted."""
    began: tuple[float, str, object] | None = None
    last = 0.0
    for at, note in notes:
        if began and (note.get("run") != began[2] or note["event"] != "pace"):
            yield Span(began[0], at if note.get("run") == began[2] else max(last, began[0]), began[1])
            began = None
        if note["event"] == "waiting" and note.get("text"):
            began = (at, str(note["text"]), note.get("run"))
        last = at
    if began:
        yield Span(began[0], max(last, began[0]), began[1])


def stretches(times: Iterable[float]) -> list[tuple[float, float]]:
    """Give the stretches of time in which something happened: none has a pause longer than `IDLE_S`."""
    found: list[tuple[float, float]] = []
    for at in sorted(times):
        if found and at - found[-1][1] <= IDLE_S:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found
