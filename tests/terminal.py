"""A terminal in memory: what stands on its screen after what a program wrote, also when its size changes meanwhile.

Our own, because what has to be tested is a change of size, and terminals differ there: most wrap long lines again and
bring rows back that had left the screen (VTE, kitty, Windows Terminal), xterm cuts them. It knows the control
sequences that the live display writes, and refuses any other.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field

from batchgen.views.text import columns

_PART = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|[\r\n]|[^\x00-\x1f]+|.", re.DOTALL)


@dataclass
class Row:
    """One row of cells; `wraps`: its line goes on in the next one, since there was no more room."""

    cells: list[str] = field(default_factory=list)
    wraps: bool = False


class FakeTerminal(io.StringIO):
    """A terminal of some size; `reflows`: lines are wrapped again when its width changes, else they are cut."""

    encoding = "utf-8"

    def __init__(self, width: int = 80, height: int = 24, *, reflows: bool = True) -> None:
        super().__init__()
        self.width, self.height, self.reflows = width, height, reflows
        self.rows = [Row()]  # those that have left the screen, too
        self.top = 0  # the first one on the screen
        self.y = self.x = 0  # the cursor; `y` counts all rows
        self.cursor_shown = True
        self.written = ""

    def isatty(self) -> bool:
        """It is one."""
        return True

    def size(self) -> tuple[int, int]:
        """Give columns and rows."""
        return self.width, self.height

    def screen(self) -> list[str]:
        """Give the rows on the screen, without the empty ones at its foot."""
        shown = ["".join(row.cells).rstrip() for row in self.rows[self.top : self.top + self.height]]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def write(self, text: str, /) -> int:
        """Obey a text."""
        self.written += text
        for match in _PART.finditer(text):
            part = match.group()
            if part == "\n":
                self.x = 0  # the line discipline sends a carriage return, too
                self._down()
            elif part == "\r":
                self.x = 0
            elif match.group(2):
                self._control(match.group(1), match.group(2))
            elif ord(part[0]) >= 32:
                self._print(part)
            else:
                raise AssertionError(part)
        return len(text)

    def resize(self, width: int, height: int) -> None:
        """Change the size, as somebody does who drags a corner of the window."""
        if self.reflows:
            self._reflow(width)
        else:
            for row in self.rows[self.top :]:
                del row.cells[width:]
            self.x = min(self.x, width - 1)
        self.width, self.height = width, height
        lowest = self.top if not self.reflows else max(0, len(self.rows) - height)
        self.top = max(lowest, self.y - height + 1)

    def _reflow(self, width: int) -> None:
        rows: list[Row] = []
        cells: list[str] = []
        cursor = (0, 0)
        at = None
        for y, row in enumerate(self.rows):
            if y == self.y:
                at = len(cells) + self.x
            cells += row.cells
            if row.wraps:
                continue
            pieces = [cells[i : i + width] for i in range(0, len(cells), width)] or [[]]
            if at is not None:
                cursor = (len(rows) + min(at // width, len(pieces) - 1), min(at % width, width - 1))
                at = None
            rows += [Row(piece, wraps=i < len(pieces) - 1) for i, piece in enumerate(pieces)]
            cells = []
        self.rows = rows
        self.y, self.x = cursor

    def _print(self, text: str) -> None:
        for char in text:
            if self.x + columns(char) > self.width:
                self.rows[self.y].wraps = True
                self.x = 0
                self._down()
            row = self.rows[self.y].cells
            row += [" "] * (self.x - len(row))
            row[self.x : self.x + columns(char)] = [char, *([""] * (columns(char) - 1))]
            self.x += columns(char)

    def _down(self) -> None:
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append(Row())
        self.top = max(self.top, self.y - self.height + 1)

    def _control(self, numbers: str, letter: str) -> None:
        match letter, numbers:
            case "A", n:
                self.y = max(self.top, self.y - int(n or 1))
            case "H", "":
                self.y, self.x = self.top, 0
            case "K", "":
                self._clear_line()
            case "J", "":
                self._clear_line()
                del self.rows[self.y + 1 :]
            case "m", _:
                pass
            case (("h" | "l"), "?25"):
                self.cursor_shown = letter == "h"
            case _:
                raise AssertionError(numbers + letter)

    def _clear_line(self) -> None:
        del self.rows[self.y].cells[self.x :]
        self.rows[self.y].wraps = False
