"""The progress frame as text."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from batchgen.clip import State
from batchgen.views.progress import FailureCause, Frame, RunningRow, frame_lines, heartbeat_text
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
    in_flight_limit=8,
    in_flight_known=True,
    queue_s=12.4,
    note="paused 12 s: the API asked us to slow down",
    causes=[
        FailureCause("Internal error in the model (HTTP 500), and a reason that goes on and on and on", 6, "singer_3"),
        FailureCause("blocked by the content rules", 1, "courier_9"),
    ],
    running=[RunningRow(f"courier-bike_tokyo-dawn_{i}", 372 - 42 * i, 210, queued=i > 5) for i in range(8)],
    generating=8,
    in_flight_asked=32,
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
    causes=(),
    running=(),
    generating=0,
    done_last=(),
)


class HungUp(io.StringIO):
    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        raise OSError(5, "Input/output error")


def text_of(frame: Frame, width: int = 80, rows: int = 40) -> str:
    return "\n".join(frame_lines(frame, width, rows, tz=ZONE))


@pytest.mark.parametrize(("width", "rows"), [(40, 12), (60, 24), (80, 20), (120, 40)])
def test_a_frame_is_drawn_as_in_the_golden_text(width: int, rows: int, golden: Callable[[str, str], None]) -> None:
    """The display is the product's face: a change of it is made on purpose."""
    golden(f"frame_{width}", text_of(FRAME, width, rows))


def test_a_take_that_is_not_made_is_neither_pending_nor_missing_from_the_bar() -> None:
    """As in `plan` and `status`: it is skipped, and without it the night is whole."""
    frame = replace(FRESH, counts={State.DONE: 4, State.PENDING: 6}, skipped=6)
    lines = frame_lines(frame, 80, 12, ascii=True)
    assert lines[1].endswith("] 100 %")
    assert "6 skipped" in lines[2]
    assert "pending" not in lines[2]
    assert "1 pending" in frame_lines(replace(frame, skipped=5), 80, 12, ascii=True)[2]


def test_an_ascii_frame_is_drawn_as_in_the_golden_text(golden: Callable[[str, str], None]) -> None:
    """Not every terminal can show ✓; none of the words may go missing there."""
    text = "\n".join(frame_lines(FRAME, 80, 24, ascii=True, tz=ZONE))
    assert text.isascii()
    golden("frame_80_ascii", text)


@pytest.mark.parametrize("width", [20, 33, 60, 80, 120, 300])
@pytest.mark.parametrize("name", ["night", "夜の渋谷" * 30, "a\x1b[2Jb\nc" * 20, "é" * 200])
def test_no_frame_is_larger_than_the_terminal(width: int, name: str) -> None:
    """A wrapped line breaks the live display, and wide characters count double."""
    frame = replace(
        FRAME,
        name=name,
        note=name,
        causes=[FailureCause(name, 2, name)] * 9,
        running=[RunningRow(name, 5000, 4000, queued=False)] * 20,
        generating=20,
        done_last=[name],
    )
    for rows in (4, 5, 9, 17, 60):
        for ascii_too in (False, True):
            lines = frame_lines(frame, width, rows, ascii_too, tz=ZONE)
            assert len(lines) <= rows
            assert max(columns(line) for line in lines) <= width
            assert not any(ord(c) < 32 for line in lines for c in line)


def test_a_small_terminal_shows_the_most_important_things() -> None:
    """A phone at night: what holds the run up and how much is done come before the names."""
    text = text_of(FRAME, 40, 6)
    assert "142 of 200" in text
    assert "! paused 12 s" in text
    assert "✓ 142 done" in text
    assert "Last done" not in text


def test_what_runs_is_listed_as_far_as_there_is_room() -> None:
    """Which clip is late, and whether the service has begun with it, is what one looks for."""
    lines = text_of(FRAME, 80, 40).splitlines()
    assert lines[-8] == "▸ courier-bike_tokyo-dawn_0  ━━━━━━━━━━  6:12 of 3:30   generating"
    assert lines[-1] == "· courier-bike_tokyo-dawn_7  ━━━━──────  1:18 of 3:30   queued"
    few = text_of(FRAME, 80, len(lines) - 3).splitlines()
    assert few[-1] == "  and 4 more"
    assert few[-2].startswith("▸ courier-bike_tokyo-dawn_3 ")


def test_more_rows_are_counted_even_if_they_were_not_given() -> None:
    """A frame has a few rows of thousands."""
    assert text_of(replace(FRAME, generating=3000), 80, 60).endswith("\n  and 2,992 more")


def test_the_bar_of_a_clip_is_full_when_it_takes_longer_than_usual() -> None:
    """And empty where nothing is known of the time that it takes."""
    clip = RunningRow("x", 3725, 0, queued=False)
    assert text_of(replace(FRAME, running=[clip], generating=1)).endswith("▸ x  ────────── 1:02:05  generating")


def test_the_sandbox_is_named_in_the_title() -> None:
    """Nobody may take rehearsed clips for paid ones."""
    assert text_of(replace(FRAME, sandbox=True), 60).startswith("shibuya-night (sandbox): 142 of 200 clips done")
    assert text_of(replace(FRAME, sandbox=True), 40).startswith("shibuya… (sandbox): 142 of 200")
    assert "sandbox" not in text_of(FRAME)


def test_failures_are_grouped_by_cause() -> None:
    """Six failures of one cause are one thing to do in the morning."""
    lines = text_of(FRAME).splitlines()
    assert "✗ courier_9: blocked by the content rules" in lines
    assert "✗ singer_3 and 5 more: Internal error in the model (HTTP 500), and a reason tha…" in lines
    many = text_of(replace(FRAME, causes=[FailureCause(f"reason {i}", 9 - i, f"clip_{i}") for i in range(8)]))
    assert "✗ clip_4 and 4 more: reason 4\n✗ 9 clips for other reasons\n" in many


@pytest.mark.parametrize(
    ("limit", "known", "text"),
    [
        (4, True, "Running 3 of 16 (the service allows 4 now), "),
        (4, False, "Running 3 of 16 (at most 4 at first), "),
        (16, False, "Running 3 of 16, "),
        (16, True, "Running 3 of 16, "),
    ],
)
def test_slots_are_counted_in_words(limit: int, known: bool, text: str) -> None:
    """Whoever set 16 wants to know why 4 run."""
    slots = {"in_flight": 3, "in_flight_limit": limit, "in_flight_asked": 16, "in_flight_known": known}
    assert text in text_of(replace(FRAME, **slots), 120)  # type: ignore[arg-type]  # a mapping of mixed values


def test_amounts_have_two_decimals() -> None:
    """$34.6875 to go is a precision that an estimate does not have."""
    odd = text_of(replace(FRAME, spent=312_500, reserved=1_255_000, cap=20_000_000, estimated_left=34_687_500), 120)
    assert "$0.31 spent" in odd
    assert "$1.26 reserved" in odd
    assert "$20.00 budget, about $34.69 to go" in odd


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    """An unknown cost shown as $0 would be a lie about money."""
    text = text_of(FRESH)
    assert "cost of the rest unknown" in text
    assert "no budget set" in text
    assert "end not known yet" in text
    assert "3 clips of unknown cost not counted" in text_of(FRAME)


def bar(**counts: int) -> str:
    return frame_lines(replace(FRAME, counts={State(state): n for state, n in counts.items()}), 60, 24)[1]


def test_the_bar_is_full_only_when_all_is_settled() -> None:
    """At 3 a.m. the bar is all that is read: 999 of 1,000 is not the end, 900 done and 100 failed is."""
    for counts in ({"done": 100_000}, {"done": 90_000, "failed": 9_000, "blocked": 1_000}):
        assert set(bar(**counts).split("]")[0]) == {"[", "█"}
        assert bar(**counts).endswith("] 100 %")
    for rest in ("pending", "unconfirmed", "lost"):
        assert bar(done=99_999, **{rest: 1}).endswith("█░]  99 %")
    assert bar(failed=99_999, generating=1).endswith("█▒]  99 %")
    assert bar(pending=9).count("░") == len(bar(pending=9)) - 8


def test_an_empty_batch_has_a_frame_too() -> None:
    """Nothing wanted must not divide by zero."""
    assert "0 of 0 clips done" in text_of(replace(FRAME, counts={}), 60)


def test_an_end_on_another_day_names_the_day() -> None:
    """ "ends about 02:40" misleads when it is the night after next."""
    assert "Tue 02:12" in text_of(replace(FRAME, eta_s=2 * 86400 - 3600))


def test_a_rate_that_refusals_lowered_says_so() -> None:
    """A bare limit of 25 where 50 were asked for would be a riddle."""
    lowered = "(limit 25.2, lowered from 50 after refusals)"
    for asked, text in ((50.0, lowered), (25.17, "(limit 25.17)"), (None, "(limit 25.17)")):
        assert text in text_of(replace(FRAME, rpm=25.17, rpm_asked=asked), 100)


def test_the_heartbeat_says_the_run_in_one_line() -> None:
    """It is what a log of a night is skimmed for."""
    calm = replace(FRAME, counts={State.DONE: 142, State.FAILED: 6, State.PENDING: 52}, unpriced=0, note="")
    assert heartbeat_text(calm, ZONE) == "142/200 done, 6 failed, 8 running, $41.20 spent, ETA 05:23"
    assert heartbeat_text(FRESH, ZONE).endswith("ETA unknown")
    assert "1 lost" in heartbeat_text(FRAME, ZONE)
    assert "+ 3 of unknown cost" in heartbeat_text(FRAME, ZONE)
