"""The progress frame as text, and the painter's manners."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from batchgen.clip import State
from batchgen.views.progress import Frame, Painter, can_paint, frame_lines, heartbeat_text
from batchgen.views.text import columns

ZONE = timezone(timedelta(hours=1))
FRAME = Frame(
    name="shibuya-night",
    counts={
        State.DONE: 142,
        State.DOWNLOADING: 3,
        State.GENERATING: 8,
        State.SUBMITTING: 1,
        State.PENDING: 37,
        State.FAILED: 6,
        State.BLOCKED: 1,
        State.UNCONFIRMED: 1,
        State.LOST: 1,
    },
    unwanted=2,
    spent=41_200_000,
    reserved=6_400_000,
    cap=120_000_000,
    estimated_left=29_000_000,
    unpriced=3,
    elapsed_s=4321,
    eta_s=7900,
    rpm=50,
    calls_last_minute=42,
    in_flight=8,
    in_flight_limit=32,
    queue_s=12.4,
    note="paused 12 s: the API asked us to slow down",
    failures=[("singer_3", "Internal error in the model (HTTP 500), and a reason that goes on for ever and ever")],
    done_last=["courier_1", "courier_2"],
    at=1_795_313_520.0,
)
FRESH = replace(
    FRAME,
    counts={State.PENDING: 200},
    unwanted=0,
    spent=0,
    cap=None,
    estimated_left=None,
    unpriced=0,
    eta_s=None,
    rpm=None,
    queue_s=None,
    note="",
    failures=(),
    done_last=(),
)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class HungUp(Terminal):
    def write(self, text: str, /) -> int:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_frame_is_drawn_as_in_the_golden_text(width: int, golden: Callable[[str, str], None]) -> None:
    """The display is the product's face: a change of it is made on purpose."""
    golden(f"frame_{width}", "\n".join(frame_lines(FRAME, width, tz=ZONE)))


def test_an_ascii_frame_is_drawn_as_in_the_golden_text(golden: Callable[[str, str], None]) -> None:
    """Not every terminal can show ✓; none of the words may go missing there."""
    text = "\n".join(frame_lines(FRAME, 80, ascii=True, tz=ZONE))
    assert text.isascii()
    golden("frame_80_ascii", text)


@pytest.mark.parametrize("width", [20, 33, 60, 80, 120, 300])
@pytest.mark.parametrize("name", ["night", "夜の渋谷" * 30, "a\x1b[2Jb\nc" * 20, "é" * 200])
def test_no_line_is_wider_than_the_terminal(width: int, name: str) -> None:
    """A wrapped line breaks the live display, and wide characters count double."""
    frame = replace(FRAME, name=name, note=name, failures=[(name, name)], done_last=[name])
    for ascii_too in (False, True):
        lines = frame_lines(frame, width, ascii_too, tz=ZONE)
        assert max(columns(line) for line in lines) <= width
        assert not any(ord(c) < 32 for line in lines for c in line)


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    """An unknown cost shown as $0 would be a lie about money."""
    text = "\n".join(frame_lines(FRESH, 80, tz=ZONE))
    assert "cost of the rest unknown" in text
    assert "no budget set" in text
    assert "end not known yet" in text
    assert "3 clips of unknown cost not counted" in "\n".join(frame_lines(FRAME, 80, tz=ZONE))


def test_the_bar_is_full_only_when_all_is_done() -> None:
    """At 3 a.m. the bar is all that is read: 999 of 1,000 is not done."""
    nearly = replace(FRAME, counts={State.DONE: 99_999, State.FAILED: 1})
    whole = replace(FRAME, counts={State.DONE: 100_000})
    assert "✗" in frame_lines(nearly, 60)[1]
    assert frame_lines(nearly, 60)[1].endswith(" 99 %")
    assert set(frame_lines(whole, 60)[1].split("]")[0]) == {"[", "█"}
    assert frame_lines(whole, 60)[1].endswith("100 %")


def test_an_empty_batch_has_a_frame_too() -> None:
    """Nothing wanted must not divide by zero."""
    assert "0 of 0 clips done" in frame_lines(replace(FRAME, counts={}), 60)[0]


def test_an_end_on_another_day_names_the_day() -> None:
    """ "ends about 02:40" misleads when it is the night after next."""
    assert "Tue 02:12" in "\n".join(frame_lines(replace(FRAME, eta_s=2 * 86400 - 3600), 80, tz=ZONE))


def test_a_rate_that_refusals_lowered_says_so() -> None:
    """A bare limit of 25 where 50 were asked for would be a riddle."""
    lowered = "(limit 25.2, lowered from 50 after refusals)"
    for asked, text in ((50.0, lowered), (25.17, "(limit 25.17)"), (None, "(limit 25.17)")):
        assert text in "\n".join(frame_lines(replace(FRAME, rpm=25.17, rpm_asked=asked), 100))


def test_the_heartbeat_says_the_run_in_one_line() -> None:
    """It is what a log of a night is skimmed for."""
    calm = replace(FRAME, counts={State.DONE: 142, State.FAILED: 6, State.PENDING: 52}, unpriced=0, note="")
    assert heartbeat_text(calm, ZONE) == "142/200 done, 6 failed, 8 running, $41.20 spent, ETA 05:23"
    assert heartbeat_text(FRESH, ZONE).endswith("ETA unknown")
    assert "1 lost" in heartbeat_text(FRAME, ZONE)
    assert "+ 3 of unknown cost" in heartbeat_text(FRAME, ZONE)


def test_only_a_willing_terminal_gets_a_live_display() -> None:
    """Escape codes in a cron mail are noise."""
    assert can_paint(Terminal(), {"TERM": "xterm"})
    assert can_paint(Terminal(), {"NO_COLOR": ""})
    assert can_paint(Terminal(), {"NO_COLOR": "1"})  # it takes the colours only
    assert not can_paint(Terminal(), {"TERM": "dumb"})
    assert not can_paint(io.StringIO(), {})


def test_the_painter_paints_twice_a_second_at_most() -> None:
    """A frame costs the event loop 10 to 30 ms."""
    clock = [0.0]
    screen = Terminal()
    painter = Painter(screen, width=81, tz=ZONE, now=lambda: clock[0])
    for tick in range(100):
        clock[0] = tick / 50
        painter.update(FRAME)
    assert screen.getvalue().count("Last failures") == 4
    painter.close()


def test_text_goes_above_the_frame_as_it_is() -> None:
    """A log line must not be wrapped, coloured or read as markup."""
    screen = Terminal()
    painter = Painter(screen, width=60, tz=ZONE)
    painter.update(FRAME)
    line = "2026-11-22T03:12:00+01:00 [bold]x[/bold] " + "a" * 100
    painter.write(line + "\n")
    painter.close()
    assert line in screen.getvalue()


def test_a_closed_painter_paints_no_more() -> None:
    """A late frame would land in the closing summary and take the cursor away."""
    screen = Terminal()
    painter = Painter(screen, width=60)
    painter.close()
    painter.update(FRAME)
    painter.close()
    assert "Last failures" not in screen.getvalue()


def test_a_terminal_that_hangs_up_ends_the_display_only() -> None:
    """Closing the laptop's ssh session must not cost the night."""
    painter = Painter(HungUp(), width=60)
    painter.update(FRAME)
    painter.write("a line\n")
    painter.close()
