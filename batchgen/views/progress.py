"""The live display of a run: a frame of plain text, and the painter that shows it on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TextIO, cast

from batchgen.clip import State
from batchgen.money import usd
from batchgen.views.streams import Lines, is_terminal, speaks_utf8
from batchgen.views.text import ASCII, SHOWN, UNICODE, Marks, ascii_only, clock, columns, fit, one_line, pack, plural
from batchgen.wording import duration

_WORKING = (State.DOWNLOADING, State.GENERATING, State.SUBMITTING)
_TROUBLE = (State.FAILED, State.BLOCKED, State.UNCONFIRMED, State.LOST)
_SECONDS_A_FRAME = 0.5  # a frame costs 10-30 ms of the event loop


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
    in_flight_limit: int
    queue_s: float | None
    note: str = ""  #: what holds the run up, in words
    failures: Sequence[tuple[str, str]] = ()  #: the last ones: name, reason
    done_last: Sequence[str] = ()
    at: float = field(default_factory=time.time)  #: when it was taken, epoch seconds
    rpm_asked: float | None = None  #: what was configured, where refusals may have lowered the limit

    def of(self, state: State) -> int:
        """How many wanted clips are in a state."""
        return self.counts.get(state, 0)

    @property
    def total(self) -> int:
        """How many clips are wanted."""
        return sum(self.counts.values())


def frame_lines(
    frame: Frame,
    width: int,
    ascii: bool = False,  # noqa: A002  # what it is called everywhere in the views
    *,
    tz: tzinfo | None = None,
) -> list[str]:
    """Draw a frame as plain lines of at most `width` columns (20 at least); `tz` None is local time."""
    marks = ASCII if ascii else UNICODE
    width = max(20, width)
    lines = [
        _title(frame, width, marks),
        _bar(frame, width, marks),
        *pack(_counts(frame, marks), width),
        *_labelled("Money", _money(frame), width),
        *_labelled("Time", _time(frame, tz), width),
        *_labelled("Pace", _pace(frame), width),
        *_tail(frame, marks),
    ]
    return [fit(ascii_only(line) if ascii else line, width, marks.ellipsis) for line in lines]


def heartbeat_text(frame: Frame, tz: tzinfo | None = None) -> str:
    """Write a frame in one line: "142/200 done, 6 failed, 8 running, $41.20 spent, ETA 02:40"."""
    trouble = [f"{frame.of(s):,} {s}" for s in _TROUBLE if s is State.FAILED or frame.of(s)]
    money = f"{usd(frame.spent)} spent" + (f" + {frame.unpriced:,} of unknown cost" if frame.unpriced else "")
    eta = "unknown" if frame.eta_s is None else clock(frame.at + frame.eta_s, frame.at, tz)
    parts = [f"{frame.of(State.DONE):,}/{frame.total:,} done", *trouble, f"{frame.in_flight:,} running", money]
    return ", ".join([*parts, f"ETA {eta}", *([one_line(frame.note)] if frame.note else [])])


def can_paint(stream: object, environ: Mapping[str, str]) -> bool:
    """True if a stream can show a live display: a terminal, not a dumb one; NO_COLOR only takes the colours."""
    return is_terminal(stream) and environ.get("TERM") != "dumb"


class Painter:
    """Shows the newest frame at the foot of a terminal, twice a second at most; text goes above it.

    Give it as the stream of `EventLog` and `setup_logging`: what is written to it is printed above. A
    terminal that goes away ends the display, not the run. `close` takes the frame off the screen.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        width: int | None = None,
        tz: tzinfo | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self.encoding = getattr(stream, "encoding", None) or "ascii"
        self._ascii = not speaks_utf8(stream)
        self._tz = tz
        self._now = now
        self._next = float("-inf")
        # Through Lines: rich answers a broken pipe by closing stdout and leaving the program.
        self._console = Console(file=cast("TextIO", Lines(stream)), force_terminal=True, width=width, highlight=False)
        # No thread of rich's own: a frame is painted when there is one.
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)

    def update(self, frame: Frame) -> None:
        """Paint a frame, unless the last one is less than half a second old."""
        from rich.text import Text

        if self._now() < self._next:
            return
        self._next = self._now() + _SECONDS_A_FRAME
        lines = frame_lines(frame, self._console.width - 1, self._ascii, tz=self._tz)
        text = Text("\n".join(lines), no_wrap=True, overflow="crop")
        text.highlight_regex(r"^.*", "bold")
        for pattern, style in ((r"[✓█]|(?<=\[)#+", "green"), (r"✗|^ *x ", "red"), (r"\? [\d,]+ \w+", "yellow")):
            text.highlight_regex(pattern, style)
        self._live.start()
        self._live.update(text, refresh=True)

    def write(self, text: str, /) -> int:
        """Print whole lines above the frame."""
        self._console.print(text.removesuffix("\n"), markup=False, soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Nothing waits: `write` shows its text at once."""

    def close(self) -> None:
        """Take the frame off and give the cursor back; no frame is painted after it. May be called again."""
        self._next = float("inf")
        self._live.stop()


def _title(frame: Frame, width: int, marks: Marks) -> str:
    left = f"{one_line(frame.name)}: {frame.of(State.DONE):,} of {plural(frame.total, 'clip')} done"
    right = f"{duration(frame.elapsed_s)} so far"
    left = fit(left, width - len(right) - 2, marks.ellipsis)
    return left + right.rjust(width - columns(left))


def _bar(frame: Frame, width: int, marks: Marks) -> str:
    shares = [
        frame.of(State.DONE),
        sum(frame.of(state) for state in _WORKING),
        sum(frame.of(state) for state in _TROUBLE),
        frame.of(State.PENDING),
    ]
    percent = f"{100 * shares[0] // max(1, frame.total):>3} %"
    cells = _cells(shares, width - len(percent) - 3)
    return "[" + "".join(char * n for char, n in zip(marks.bar, cells, strict=True)) + "] " + percent


def _cells(shares: Sequence[int], width: int) -> list[int]:
    """Share `width` cells out; whatever is there at all gets one, so that a full bar means all done."""
    total = sum(shares)
    if not total:
        return [*(0 for _ in shares[:-1]), width]
    cells = [max(1, share * width // total) if share else 0 for share in shares]
    largest = max(range(len(shares)), key=lambda i: shares[i])
    cells[largest] += width - sum(cells)
    return cells


def _counts(frame: Frame, marks: Marks) -> list[str]:
    counts = [f"{marks.of(s)} {frame.of(s):,} {s}" for s in SHOWN if s is State.DONE or frame.of(s)]
    return counts + ([f"{frame.unwanted:,} no longer in the manifest"] if frame.unwanted else [])


def _money(frame: Frame) -> list[str]:
    parts = [f"{usd(frame.spent)} spent"]
    if frame.unpriced:
        parts.append(f"{plural(frame.unpriced, 'clip')} of unknown cost not counted")
    parts.append(f"{usd(frame.reserved)} reserved")
    parts.append("no budget set" if frame.cap is None else f"{usd(frame.cap)} budget")
    if frame.estimated_left is None:
        parts.append("cost of the rest unknown")
    elif frame.estimated_left:
        parts.append(f"about {usd(frame.estimated_left)} to go (estimated)")
    return parts


def _time(frame: Frame, tz: tzinfo | None) -> list[str]:
    if frame.eta_s is None:
        return ["end not known yet"]
    return [f"ends about {clock(frame.at + frame.eta_s, frame.at, tz)}, in {duration(frame.eta_s)}"]


def _pace(frame: Frame) -> list[str]:
    parts = [
        f"{frame.in_flight:,} running (max {frame.in_flight_limit:,})",
        f"{plural(frame.calls_last_minute, 'call')} in the last minute{_limit(frame)}",
    ]
    return parts if frame.queue_s is None else [*parts, f"queue at the service {duration(frame.queue_s)}"]


def _limit(frame: Frame) -> str:
    if not frame.rpm:
        return ""
    if frame.rpm_asked and frame.rpm < frame.rpm_asked:
        return f" (limit {round(frame.rpm, 1):g}, lowered from {frame.rpm_asked:g} after refusals)"
    return f" (limit {frame.rpm:g})"


def _tail(frame: Frame, marks: Marks) -> list[str]:
    lines = [f"! {one_line(frame.note)}"] if frame.note else []
    if frame.failures:
        lines.append("Last failures")
        lines += [f"  {marks.bad} {one_line(name)}: {one_line(reason)}" for name, reason in frame.failures]
    if frame.done_last:
        lines.append("Last done  " + ", ".join(one_line(name) for name in frame.done_last))
    return lines


def _labelled(label: str, pieces: list[str], width: int) -> list[str]:
    lines = pack(pieces, width - 7, ", ")
    return [f"{'' if i else label:<7}{line}" for i, line in enumerate(lines)]
