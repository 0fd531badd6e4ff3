"""The painter on a terminal: what stands on the screen, also when its size changes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from terminal import FakeTerminal
from test_progress import FRAME, ZONE, HungUp

from batchgen.clip import State
from batchgen.views.painter import Painter, can_paint
from batchgen.views.progress import Frame, frame_lines

LOG = [
    f"22:03:{i:02} the limit is {i} of 60 calls a minute, after the service had refused some of them" for i in range(40)
]
SIZES = [(80, 24), (120, 40), (40, 12), (61, 24), (100, 10)]


def painter_on(screen: FakeTerminal, *, colour: bool = False) -> Painter:
    ticks = iter(range(10_000))
    return Painter(screen, tz=ZONE, now=lambda: next(ticks), size=screen.size, colour=colour)


def drawn(screen: FakeTerminal, frame: Frame = FRAME) -> list[str]:
    """The frame as it has to stand on the screen."""
    rows = screen.height - max(1, screen.height // 6)
    return [line.rstrip() for line in frame_lines(frame, screen.width - 1, rows, tz=ZONE)]


def above(screen: FakeTerminal) -> list[str]:
    """What stands above the frame, which has to be the last on the screen."""
    shown, frame = screen.screen(), drawn(screen)
    assert shown[-len(frame) :] == frame
    return shown[: -len(frame)]


def same_text(rows: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether rows are the end of some lines, however these were wrapped."""
    return " ".join(lines).endswith(" ".join(row.strip() for row in rows))


@pytest.mark.parametrize("reflows", [True, False])
@pytest.mark.parametrize("lines", [0, 2, 40])
@pytest.mark.parametrize("sizes", [SIZES[:2], SIZES[:3], *map(list, permutations(SIZES))][::40])
def test_a_change_of_size_leaves_no_pieces(sizes: list[tuple[int, int]], lines: int, reflows: bool) -> None:
    """Somebody drags the window at night: below old log lines there is one frame, and nothing else."""
    screen = FakeTerminal(*sizes[0], reflows=reflows)
    painter = painter_on(screen)
    for line in LOG[:lines]:
        painter.write(line + "\n")
    painter.update(FRAME)
    for size in sizes[1:]:
        screen.resize(*size)
        painter.resized()
        assert same_text(above(screen), LOG[:lines])
        painter.update(replace(FRAME, counts={State.DONE: 1}))
        painter.update(FRAME)
        assert same_text(above(screen), LOG[:lines])
        assert lines < 40 or len(above(screen)) >= screen.height // 6
    painter.close()
    assert same_text(screen.screen(), LOG[:lines])
    assert screen.cursor_shown


@pytest.mark.parametrize("then", ["update", "write", "close"])
def test_a_change_of_size_without_a_signal_is_seen_too(then: str) -> None:
    """The signal may come later than the next line of the log."""
    screen = FakeTerminal(120, 30)
    painter = painter_on(screen)
    painter.update(FRAME)
    screen.resize(50, 30)
    {"update": lambda: painter.update(FRAME), "write": lambda: painter.write("a line\n"), "close": painter.close}[
        then
    ]()
    if then == "close":
        assert screen.screen() == []
    else:
        assert above(screen) == ["a line"] * (then == "write")


def test_the_same_size_is_not_painted_again() -> None:
    """A signal for nothing must not make the screen flicker."""
    screen = FakeTerminal()
    painter = painter_on(screen)
    painter.resized()
    assert screen.written == ""
    painter.update(FRAME)
    before = screen.written
    painter.resized()
    assert screen.written == before


def test_a_terminal_that_is_too_small_shows_the_log_only() -> None:
    """A wrapped frame would fill the screen with pieces; and it comes back when there is room again."""
    screen = FakeTerminal()
    painter = painter_on(screen)
    painter.update(FRAME)
    for size in ((20, 24), (80, 4)):
        screen.resize(*size)
        painter.resized()
        painter.write("a line\n")
        assert set(screen.screen()) <= {"a line"}
        screen.resize(80, 24)
        painter.update(FRAME)
        assert set(above(screen)) == {"a line"}


def test_log_lines_wrap_at_words_above_the_frame() -> None:
    """A number that is cut in two is read as two numbers; a path stays whole, to be copied."""
    screen = FakeTerminal(60, 30)
    painter = painter_on(screen)
    painter.update(FRAME)
    painter.write(LOG[0] + "\n")
    painter.write("22:04:00 [bold]see[/bold] /srv/" + "a" * 80 + "\n")
    assert above(screen) == [
        "22:03:00 the limit is 0 of 60 calls a minute, after the",
        "  service had refused some of them",
        "22:04:00 [bold]see[/bold]",
        "  /srv/" + "a" * 53,
        "a" * 27,
    ]


def test_only_a_willing_terminal_gets_a_live_display() -> None:
    """Escape codes in a cron mail are noise."""
    assert can_paint(FakeTerminal(), {"TERM": "xterm"})
    assert can_paint(FakeTerminal(), {"NO_COLOR": "1"})  # it takes the colours only
    assert not can_paint(FakeTerminal(), {"TERM": "dumb"})
    assert not can_paint(io.StringIO(), {})


@pytest.mark.parametrize("colour", [True, False])
def test_colours_are_only_where_they_are_wanted(colour: bool) -> None:
    """NO_COLOR is a promise of the whole program; and colours move nothing."""
    screen = FakeTerminal()
    painter_on(screen, colour=colour).update(FRAME)
    assert screen.screen() == drawn(screen)
    assert ("\x1b[32m" in screen.written, "\x1b[1m" in screen.written) == (colour, colour)


def test_the_painter_paints_twice_a_second_at_most() -> None:
    """The event loop has better things to do."""
    clock = [0.0]
    screen = FakeTerminal()
    painter = Painter(screen, tz=ZONE, now=lambda: clock[0], size=screen.size)
    for tick in range(100):
        clock[0] = tick / 50
        painter.update(FRAME)
    assert screen.written.count("Money") == 4


def test_a_closed_painter_paints_no_more() -> None:
    """A late frame would land in the closing summary and take the cursor away."""
    screen = FakeTerminal()
    painter = painter_on(screen)
    painter.update(FRAME)
    hidden = not screen.cursor_shown
    painter.close()
    assert hidden
    assert screen.cursor_shown
    painter.update(FRAME)
    painter.resized()
    painter.close()
    assert screen.screen() == []


def test_a_terminal_that_hangs_up_ends_the_display_only() -> None:
    """Closing the laptop's ssh session must not cost the night."""
    painter = Painter(HungUp())
    painter.update(FRAME)
    painter.write("a line\n")
    painter.resized()
    painter.close()
