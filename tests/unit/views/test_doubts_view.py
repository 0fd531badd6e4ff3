"""Unconfirmed and lost clips: age, what is known, what the last check saw, when an absence counts, what to type."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

from batchgen.clip import State
from batchgen.history.report import HistoryCheck, PossibleRequest, Rival
from batchgen.views.doubts import ClipProblem, attention, doubt_lines
from batchgen.views.text import columns

ZONE = timezone(timedelta(hours=1))
NOW = 1_795_313_520.0
SENT = NOW - 3_600
ABSENT = replace(
    HistoryCheck(NOW - 600, "in words", SENT, since=SENT - 300, until=SENT + 900),
    pages=3, rows=214, whole=True, counts_at=SENT + 7_200,
)  # fmt: skip
TWIN = ClipProblem("twin_1", State.UNCONFIRMED, "reset", None, SENT, 625_000)


def command(verb: str, *more: str) -> str:
    return " ".join(["batchgen", verb, "night", *more])


def told(*problems: ClipProblem, width: int = 80) -> list[str]:
    return doubt_lines(attention(problems, command, now=NOW), width, NOW, ZONE)


def test_what_was_checked_and_when_an_absence_counts_are_in_local_time() -> None:
    """ "Not found" alone would leave a user to guess how long to wait."""
    assert told(replace(TWIN, look=ABSENT)) == [
        "    twin_1 (no request id, 1 h 00 min ago, $0.63 reserved): reset",
        "      checked at 03:02: not among 214 requests on 3 pages of the history, 02:07",
        "      to 02:27; conclusive from 04:12",
    ]
    late = replace(ABSENT, at=SENT + 7_300)
    assert told(replace(TWIN, look=late))[-1].endswith("to 02:27; conclusive")


def test_a_history_that_could_not_be_read_is_told_as_such() -> None:
    """Nothing is assumed, and it is said."""
    silent = HistoryCheck(NOW - 60, "the request history could not be read: HTTP 503", SENT)
    assert told(replace(TWIN, look=silent))[1:] == [
        "      checked at 03:11: the request history could not be read: HTTP 503"
    ]


def test_clips_and_requests_that_can_not_be_told_apart_stand_side_by_side_once() -> None:
    """With ids, times, status and cost, a person can decide."""
    candidates = (
        PossibleRequest("r-1", "completed", SENT + 1, 625_000),
        PossibleRequest("r-2", "running", SENT + 21),
        PossibleRequest("r-3", "failed"),
    )
    note = "requests in the history that may belong to it or to another clip in doubt (1): 3; not decided"
    one = replace(ABSENT, note=note, candidates=candidates, rivals=(Rival("twin_2", SENT + 20),))
    other = replace(one, rivals=(Rival("twin_1", SENT),))
    lines = told(replace(TWIN, look=one), replace(TWIN, name="twin_2", since=SENT + 20, look=other))
    assert lines[3:8] == [
        "        clip                               possible request",
        "        twin_1, sent 2026-11-22 02:12:00   r-1, made 2026-11-22 02:12:01, completed, $0.63",
        "        twin_2, sent 2026-11-22 02:12:20   r-2, made 2026-11-22 02:12:21, running",
        "                                           r-3, failed",
        "    twin_2 (no request id, 1 h 00 min ago, $0.63 reserved): reset",
    ]
    assert sum("possible request" in line for line in lines) == 1


def test_the_object_has_what_the_text_has_and_what_to_type() -> None:
    """Scripts get the same, with nothing left out."""
    one: dict[str, Any]
    [one] = attention([replace(TWIN, look=ABSENT)], command, now=NOW)
    assert one["looked"]["absence_counts_at"] == "2026-11-22T03:12:00.000Z"
    assert (one["looked"]["pages"], one["looked"]["rows"], one["looked"]["whole"]) == (3, 214, True)
    assert one["age_s"] == 3_600
    assert one["next"] == [
        "batchgen reconcile night",
        "batchgen run night --resubmit-unconfirmed --only twin_1",
        "batchgen forget night twin_1",
    ]
    [never] = attention([TWIN], command, now=NOW)
    assert never["looked"] is None


def test_only_what_is_to_be_copied_is_wider_than_the_terminal() -> None:
    """Ids and the table stay whole."""
    assert not [line for line in told(replace(TWIN, look=ABSENT), width=50) if columns(line) > 50]
