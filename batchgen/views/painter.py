"""Shows the live display at the foot of a terminal, with what is printed meanwhile above it.

Written with five control sequences and not with `rich.live`, which erases as many rows as it has painted: a terminal
that was made narrower has wrapped them into more, and pieces of old frames stay on the screen.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TextIO

from batchgen.views.progress import Frame, frame_lines
from batchgen.views.streams import Lines, is_terminal, speaks_utf8
from batchgen.views.text import columns, wrap

Size = tuple[int, int]  #: columns and rows

_SECONDS_A_FRAME = 0.5
_KEPT = 200  #: printed lines that can be shown again after a change of size
_SMALLEST = (21, 5)  #: columns and rows; a smaller terminal shows what is printed, and no frame
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_TO_END_OF_LINE, _TO_END_OF_SCREEN = "\x1b[K", "\x1b[J"
_HOME = "\x1b[H"
_BOLD, _DIM, _RED, _GREEN, _YELLOW = 1, 2, 31, 32, 33
#: Only colours that can be read on light and on dark ground.
_STYLES: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"✓|[█▒━]+|(?<=\[)[#=]+"), _GREEN),
    (re.compile(r"[░─]+"), _DIM),
    (re.compile(r"✗|^x "), _RED),
    (re.compile(r"\? [\d,]+ \w+|^! .*"), _YELLOW),
)


def can_paint(stream: object, environ: Mapping[str, str]) -> bool:
    """True if a stream can show a live display: a terminal, not a dumb one; NO_COLOR only takes the colours."""
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def size_of(stream: TextIO) -> Size:
    """Ask a terminal for its columns and rows; 80 × 24 where it does not know."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24


class Painter:
    """Shows the newest frame at the foot of a terminal, twice a second at most; text goes above it.

    Give it as the stream of `EventLog` and `setup_logging`: what is written to it is printed above. A
    terminal that goes away ends the display, not the run. `close` takes the frame off the screen.

    Terminals differ in what they do with a frame when their size changes: some wrap its lines, some cut them, some
    bring back rows that had left the screen. So the screen is cleared then, and its last lines are printed again.

    Args:
        stream: the terminal.
        colour: False writes no colours.
        tz: the zone of the times; None is the machine's.
        now: a clock, in seconds.
        size: gives columns and rows at the moment; asks the terminal by default.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool = True,
        tz: tzinfo | None = None,
        now: Callable[[], float] = time.monotonic,
        size: Callable[[], Size] | None = None,
    ) -> None:
        self.encoding = getattr(stream, "encoding", None) or "ascii"
        self._out = Lines(stream)
        self._ascii = not speaks_utf8(stream)
        self._colour = colour
        self._tz = tz
        self._now = now
        self._size = size or (lambda: size_of(stream))
        self._next = float("-inf")
        self._frame: Frame | None = None  # the one on the screen
        self._height = 0  # its rows on the screen
        self._painted = (0, 0)  # the size of the terminal then
        self._printed: deque[str] = deque(maxlen=_KEPT)

    def update(self, frame: Frame) -> None:
        """Paint a frame, unless the last one is less than half a second old."""
        if self._now() < self._next:
            return
        self._next = self._now() + _SECONDS_A_FRAME
        self._frame = frame
        self._paint([])

    def resized(self) -> None:
        """Paint again at once if the terminal has another size now."""
        if self._frame is not None and self._size() != self._painted:
            self._paint([])

    def write(self, text: str, /) -> int:
        """Print whole lines above the frame, wrapped at words."""
        lines = text.removesuffix("\n").split("\n")
        self._printed += lines
        if self._frame is None:
            width = self._size()[0]
            self._out.write("".join(f"{part}\n" for line in lines for part in _wrapped(line, width)))
        else:
            self._paint(lines)
        return len(text)

    def flush(self) -> None:
        """Nothing waits: `write` shows its text at once."""

    def close(self) -> None:
        """Take the frame off and give the cursor back; no frame is painted after it. May be called again."""
        self._next = float("inf")
        if self._frame is not None:
            self._frame = None
            self._paint([])

    def _paint(self, printed: Sequence[str]) -> None:
        """Bring the screen up to date in one write: lines that are new, and the frame or, without one, the cursor."""
        size = width, rows = self._size()
        lines = self._frame_lines(size)
        if self._painted not in {(0, 0), size}:
            start, printed = _HOME + _TO_END_OF_SCREEN, self._printed
        elif self._height:
            start = "\r" + (f"\x1b[{self._height - 1}A" if self._height > 1 else "")
        else:
            start = ""
        above = [part for line in printed for part in _wrapped(line, width)]
        if printed is self._printed:
            above = above[-max(1, rows - max(1, len(lines))) :]
        start = (_HIDE_CURSOR if lines and not self._height else "") + start
        text = "".join(f"{line}{_TO_END_OF_LINE}\n" for line in above) + f"{_TO_END_OF_LINE}\n".join(lines)
        end = _TO_END_OF_LINE + _TO_END_OF_SCREEN if lines else _TO_END_OF_SCREEN + _SHOW_CURSOR
        self._out.write(start + text + end)
        self._height, self._painted = len(lines), size

    def _frame_lines(self, size: Size) -> list[str]:
        """Draw the frame; a sixth of the screen is left to what is printed, and the last column to the cursor."""
        width, rows = size
        if self._frame is None or width < _SMALLEST[0] or rows < _SMALLEST[1]:
            return []
        lines = frame_lines(self._frame, width - 1, rows - max(1, rows // 6), self._ascii, tz=self._tz)
        return _styled(lines) if self._colour else lines


def _wrapped(line: str, width: int) -> list[str]:
    """Wrap a printed line at its words, later lines below the first word of the text; a long word stays whole."""
    if columns(line) < width:
        return [line]
    first, *rest = wrap(line, width - 3) or [""]
    return [first, *(f"  {part}" for part in rest)]


def _styled(lines: Sequence[str]) -> list[str]:
    styled = [f"\x1b[{_BOLD}m{lines[0]}\x1b[0m"]
    for line in lines[1:]:
        for pattern, code in _STYLES:
            line = pattern.sub(f"\x1b[{code}m\\g<0>\x1b[0m", line)  # noqa: PLW2901
        styled.append(line)
    return styled
