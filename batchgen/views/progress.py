"""The live display of a run as plain text: a frame of one moment, drawn to the size of a terminal.

`painter` shows it. Drawing costs the same for 50 clips and for 50,000: a frame has counts, and a few rows of names.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from batchgen.clip import State
from batchgen.money import usd
from batchgen.views.text import (
    ASCII,
    SHOWN,
    UNICODE,
    Marks,
    ascii_only,
    clock,
    columns,
    fit,
    one_line,
    pack,
    plural,
    under,
)
from batchgen.wording import duration

_SETTLED = (State.DONE, State.FAILED, State.BLOCKED)
_WORKING = (State.DOWNLOADING, State.GENERATING, State.SUBMITTING)
_TROUBLE = (State.FAILED, State.BLOCKED, State.UNCONFIRMED, State.LOST)
_SHOWN_CAUSES = 5
_NARROW = 60  #: a narrower terminal has no room for the bar of a running clip, nor for its state in words
_CELLS = 10  #: of that bar


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A clip that the service works on."""

    name: str
    age_s: float  #: since its submission
    typical_s: float  #: how long one like it takes, as far as is known; 0: not known
    queued: bool  #: its last status check found it in the service's queue


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Clips that failed in this run for one reason."""

    reason: str
    count: int
    name: str  #: of the first one


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything the display shows of one moment. Money is micro-dollars, None where unknown; times are seconds."""

    name: str
    counts: Mapping[State, int]  #: of wanted clips; a state that is missing counts 0
    unwanted: int
    spent: int
    reserved: int
    cap: int | None  #: None: no budget was set
    estimated_left: int | None  #: for the pending clips
    unpriced: int  #: paid clips whose cost is not known
    elapsed_s: float
    eta_s: float | None  #: from now
    rpm: float | None  #: the limit; None: none
    calls_last_minute: int
    in_flight: int
    in_flight_limit: int  #: as of now
    queue_s: float | None
    note: str = ""  #: what holds the run up, in words
    causes: Sequence[FailureCause] = ()  #: of the failures of this run, the most frequent first
    running: Sequence[RunningRow] = ()  #: the oldest ones, oldest first
    generating: int = 0  #: how many there are of them; `running` may have fewer
    done_last: Sequence[str] = ()
    at: float = field(default_factory=time.time)  #: when it was taken, epoch seconds
    rpm_asked: float | None = None  #: what was configured, where refusals may have lowered the limit
    in_flight_asked: int | None = None  #: what was configured, where the limit may be lower
    in_flight_known: bool = False  #: the service was seen to take no more than `in_flight_limit`
    sandbox: bool = False
    skipped: int = 0  #: pending clips that are not to be made: another take was picked

    def of(self, state: State) -> int:
        """How many wanted clips are in a state; of the pending ones, those that are to be made."""
        return self.counts.get(state, 0) - (self.skipped if state is State.PENDING else 0)

    @property
    def total(self) -> int:
        """How many clips are wanted."""
        return sum(self.counts.values())


def frame_lines(
    frame: Frame,
    width: int,
    rows: int,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
    *,
    tz: tzinfo | None = None,
) -> list[str]:
    """Draw a frame as at most `rows` (4 at least) plain lines of at most `width` columns (20 at least).

    What a small terminal has no room for is left out, the least important first; a large one shows more of what runs.
    `tz` None is local time.
    """
    marks = ASCII if ascii else UNICODE
    width = max(20, width)
    lines = [_title(frame, width, marks), _bar(frame, width, marks)]
    # In the order of the screen, each with its rank: what comes first when there is not room for all.
    blocks = [
        (1, pack(_counts(frame, marks), width)),
        (3, _labelled("Money", _money(frame), width)),
        (2, _labelled("Time", _time(frame, tz), width)),
        (5, _labelled("Pace", _pace(frame), width)),
        (0, under("! ", one_line(frame.note), width) if frame.note else []),
        (4, _failures(frame.causes, marks)),
        (6, _done_last(frame)),
    ]
    lines += _most_important(blocks, max(4, rows) - len(lines))
    lines += _running(frame, width, max(4, rows) - len(lines), marks)
    return [fit(ascii_only(line) if ascii else line, width, marks.ellipsis) for line in lines]


def heartbeat_text(frame: Frame, tz: tzinfo | None = None) -> str:
    """Write a frame in one line: "142/200 done, 6 failed, 8 running, $41.20 spent, ETA 02:40"."""
    trouble = [f"{frame.of(s):,} {s}" for s in _TROUBLE if s is State.FAILED or frame.of(s)]
    money = f"{usd(frame.spent)} spent" + (f" + {frame.unpriced:,} of unknown cost" if frame.unpriced else "")
    eta = "unknown" if frame.eta_s is None else clock(frame.at + frame.eta_s, frame.at, tz)
    parts = [f"{frame.of(State.DONE):,}/{frame.total:,} done", *trouble, f"{frame.in_flight:,} running", money]
    return ", ".join([*parts, f"ETA {eta}", *([one_line(frame.note)] if frame.note else [])])


def _most_important(blocks: Sequence[tuple[int, list[str]]], room: int) -> list[str]:
    """Give the lines that there is room for, in the order given: blocks of a low rank come first, the last is cut."""
    granted = {}
    for rank, lines in sorted(blocks, key=lambda block: block[0]):
        granted[rank] = min(len(lines), room)
        room -= granted[rank]
    return [line for rank, lines in blocks for line in lines[: granted[rank]]]


def _title(frame: Frame, width: int, marks: Marks) -> str:
    where = " (sandbox)" if frame.sandbox else ""
    progress = f"{where}: {frame.of(State.DONE):,} of {plural(frame.total, 'clip')} done"
    right = f"  {duration(frame.elapsed_s)} so far"
    name = one_line(frame.name)
    right = right if columns(name) + len(progress) + len(right) <= width else ""
    left = fit(name, max(8, width - len(progress)), marks.ellipsis) + progress
    return left + right.rjust(width - columns(left))


def _bar(frame: Frame, width: int, marks: Marks) -> str:
    settled, working = (sum(frame.of(state) for state in states) for states in (_SETTLED, _WORKING))
    to_make = frame.total - frame.skipped
    percent = f"{100 * settled // max(1, to_make):>3} %"
    cells = _cells([settled, working, to_make - settled - working], width - len(percent) - 3)
    return "[" + "".join(char * n for char, n in zip(marks.bar, cells, strict=True)) + "] " + percent


def _cells(shares: Sequence[int], width: int) -> list[int]:
    """Share `width` cells out; whatever is there at all gets one, so that a full bar means all settled."""
    total = sum(shares)
    if not total:
        return [*(0 for _ in shares[:-1]), width]
    cells = [max(1, share * width // total) if share else 0 for share in shares]
    largest = max(range(len(shares)), key=lambda i: shares[i])
    cells[largest] += width - sum(cells)
    return cells


def _counts(frame: Frame, marks: Marks) -> list[str]:
    counts = [f"{marks.of(s)} {frame.of(s):,} {s}" for s in SHOWN if s is State.DONE or frame.of(s)]
    counts += [f"{frame.skipped:,} skipped"] if frame.skipped else []
    return counts + ([f"{frame.unwanted:,} no longer in the manifest"] if frame.unwanted else [])


def _money(frame: Frame) -> list[str]:
    parts = [f"{usd(frame.spent, 2)} spent"]
    if frame.unpriced:
        parts.append(f"{plural(frame.unpriced, 'clip')} of unknown cost not counted")
    parts.append(f"{usd(frame.reserved, 2)} reserved")
    parts.append("no budget set" if frame.cap is None else f"{usd(frame.cap, 2)} budget")
    if frame.estimated_left is None:
        parts.append("cost of the rest unknown")
    elif frame.estimated_left:
        parts.append(f"about {usd(frame.estimated_left, 2)} to go (estimated)")
    return parts


def _time(frame: Frame, tz: tzinfo | None) -> list[str]:
    if frame.eta_s is None:
        return ["end not known yet"]
    return [f"ends about {clock(frame.at + frame.eta_s, frame.at, tz)}, in {duration(frame.eta_s)}"]


def _pace(frame: Frame) -> list[str]:
    parts = [
        _slots(frame),
        f"{plural(frame.calls_last_minute, 'call')} in the last minute{_limit(frame)}",
    ]
    return parts if frame.queue_s is None else [*parts, f"queue at the service {duration(frame.queue_s)}"]


def _slots(frame: Frame) -> str:
    """Say how many slots are taken: "Running 4 of 16 (the service allows 4 now)"."""
    limit, asked = frame.in_flight_limit, frame.in_flight_asked or frame.in_flight_limit
    note = f"the service allows {limit:,} now" if frame.in_flight_known else f"at most {limit:,} at first"
    return f"Running {frame.in_flight:,} of {asked:,}" + (f" ({note})" if limit < asked else "")


def _limit(frame: Frame) -> str:
    if not frame.rpm:
        return ""
    if frame.rpm_asked and frame.rpm < frame.rpm_asked:
        return f" (limit {round(frame.rpm, 1):g}, lowered from {frame.rpm_asked:g} after refusals)"
    return f" (limit {frame.rpm:g})"


def _failures(causes: Sequence[FailureCause], marks: Marks) -> list[str]:
    lines = [
        f"{marks.bad} {one_line(cause.name)}{f' and {cause.count - 1:,} more' if cause.count > 1 else ''}: "
        f"{one_line(cause.reason)}"
        for cause in causes[:_SHOWN_CAUSES]
    ]
    hidden = sum(cause.count for cause in causes[_SHOWN_CAUSES:])
    return lines + ([f"{marks.bad} {plural(hidden, 'clip')} for other reasons"] if hidden else [])


def _done_last(frame: Frame) -> list[str]:
    return ["Last done  " + ", ".join(one_line(name) for name in frame.done_last)] if frame.done_last else []


def _running(frame: Frame, width: int, room: int, marks: Marks) -> list[str]:
    """List the clips that run, the oldest first, and how many more there are."""
    shown = frame.running[: room if frame.generating <= room else max(0, room - 1)]
    names = [one_line(clip.name) for clip in shown]
    ages = [_age(clip, width, marks) for clip in shown]
    column = min(max(map(columns, names), default=0), max(1, width - 4 - max(map(len, ages), default=0)))
    lines = []
    for clip, name, age in zip(shown, names, ages, strict=True):
        short = fit(name, column, marks.ellipsis)
        mark = marks.waiting if clip.queued else marks.working
        lines.append(f"{mark} {short}{' ' * (column - columns(short))}  {age}".rstrip())
    hidden = frame.generating - len(shown)
    return lines + ([f"  and {hidden:,} more"] if hidden and room > 0 else [])


def _age(clip: RunningRow, width: int, marks: Marks) -> str:
    """Show an age against the time that such a clip takes: "━━━━━─────  1:45 of 3:30   generating"."""
    times = f"{_minutes(clip.age_s):>5}" + (f" of {_minutes(clip.typical_s):<5}" if clip.typical_s else "")
    if width < _NARROW:
        return times
    part = min(1.0, clip.age_s / clip.typical_s) if clip.typical_s else 0.0
    full = round(part * _CELLS)
    bar = marks.thin[0] * full + marks.thin[1] * (_CELLS - full)
    return f"{bar} {times}  {'queued' if clip.queued else 'generating':<10}"


def _minutes(seconds: float) -> str:
    """Write a short time as on a stopwatch: "3:30"; from an hour on "1:05:00"."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _labelled(label: str, pieces: list[str], width: int) -> list[str]:
    lines = pack(pieces, width - 7, ", ")
    return [f"{'' if i else label:<7}{line}" for i, line in enumerate(lines)]
