"""The status object and text: complete, exact, and always with what to type next."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from batchgen.billing.budget import Caps
from batchgen.clip import State
from batchgen.ledger.base import KILLED, LastRun
from batchgen.retention import Paid
from batchgen.views.doubts import ClipProblem
from batchgen.views.facts import Facts
from batchgen.views.next_steps import next_commands
from batchgen.views.status import cause, status_object, status_text
from batchgen.views.text import columns, stamp_utc

ZONE = timezone(timedelta(hours=1))
NOW = 1_795_313_520.0
PROBLEMS = [
    *(ClipProblem(f"singer_{i}", State.FAILED, f"Internal error, request 2c7fabcd{i:04}") for i in range(1, 15)),
    ClipProblem("dance_1", State.FAILED, "size is not one that this model knows", transient=False),
    ClipProblem("gun_1", State.BLOCKED, "the prompt breaks the content rules"),
    ClipProblem("walk_1", State.UNCONFIRMED, "no answer within 30 s", None, NOW - 13_520, 625_000),
    ClipProblem(
        "walk_2",
        State.LOST,
        "the record is gone, see https://api.segmind.com/x?sig=secret",
        "2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f60",
        NOW - 13_520,
        625_000,
    ),
]
FACTS = Facts(
    name="night",
    counts={
        State.DONE: 142,
        State.PENDING: 30,
        State.GENERATING: 8,
        State.FAILED: 15,
        State.BLOCKED: 1,
        State.UNCONFIRMED: 1,
        State.LOST: 1,
    },
    unwanted=2,
    spent=41_200_000,
    reserved=1_250_000,
    caps=Caps(120_000_000),
    elapsed_s=4_000.12345,
    stopped="the account has no credits left",
    clips_dir="jobs/night/clips",
    problems=PROBLEMS,
    manifest_arg="jobs/night shift.yaml",
    in_flight_until=NOW + 1_800,
    unpriced=1,
)
CLEAN = replace(
    FACTS, counts={State.DONE: 200}, unwanted=0, stopped=None, problems=(), in_flight_until=None, unpriced=0
)


def test_a_skipped_take_is_not_pending_in_the_text() -> None:
    """As in `plan` and on the live display; the object has both numbers."""
    run = LastRun(NOW - 60, NOW, 0, None, left_out=5)
    facts = replace(FACTS, counts={State.DONE: 1, State.PENDING: 5}, skipped=3, last_run=run, problems=())
    obj = status_object(facts, now=NOW)
    assert (obj["state"]["pending"], obj["skipped"]) == (5, 3)
    text = status_text(obj, 80, ascii=True)
    assert "2 pending   3 skipped" in text
    assert "2 clips left out of the last run" in text
    whole = status_text(status_object(replace(facts, skipped=5), now=NOW), 80, ascii=True)
    assert "pending" not in whole
    assert "left out" not in whole


def test_the_object_has_every_documented_field() -> None:
    """Scripts rely on them; all nine states are there, zeros too."""
    obj = status_object(FACTS, now=NOW)
    assert obj["schema_version"] == 1
    assert set(obj["state"]) == {str(state) for state in State}
    assert len(obj["state"]) == 9
    assert obj["state"]["downloading"] == 0
    fixed = {"name": "night", "unwanted": 2, "stopped": "the account has no credits left", "elapsed_s": 4000.123}
    assert fixed.items() <= obj.items()
    assert obj["clips_dir"] == "jobs/night/clips"


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0.0"),
        (49, "0.0"),
        (50, "0.0001"),
        (100_000, "0.1"),
        (312_450, "0.3125"),
        (312_549, "0.3125"),
        (312_550, "0.3126"),
        (625_000, "0.625"),
        (4_999_999_900, "4999.9999"),
        (1_234_567_890_000, "1234567.89"),
    ],
)
def test_amounts_are_exact_to_four_decimals(micro: int, text: str) -> None:
    """A bill with 0.30000000000000004 in it is not trusted; halves round up."""
    obj = status_object(replace(FACTS, spent=micro, reserved=micro), now=NOW)
    assert json.dumps(obj["spent_usd"]) == text
    assert json.dumps(obj["reserved_usd"]) == text


def test_no_cap_and_no_run_are_null() -> None:
    """Not 0: a cap of 0 would be another thing."""
    obj = status_object(replace(FACTS, caps=Caps(), elapsed_s=None), now=NOW)
    assert obj["cap_usd"] is None
    assert obj["elapsed_s"] is None


def test_failures_are_grouped_by_cause_with_a_command_each() -> None:
    """300 lines of the same error help nobody; the largest group comes first."""
    first, second, third = status_object(FACTS, now=NOW)["failures"]
    assert (first["count"], first["state"], len(first["clips"])) == (14, "failed", 10)
    assert first["next"] == "batchgen retry 'jobs/night shift.yaml'"
    assert second["clips"] == ["dance_1"]
    assert second["next"] == "batchgen retry 'jobs/night shift.yaml' --all"
    retry = "batchgen retry 'jobs/night shift.yaml' --blocked --new-seed"
    assert (third["state"], third["next"]) == ("blocked", retry)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("request 2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f60 failed", "request 1b2c3d4e5f60aa failed", True),
        ("see https://a.com/1", "see https://a.com/2", True),
        ("bad\nGateway", "Bad gateway", True),
        ("HTTP 500", "HTTP 400", False),
        ("duration 7 is not allowed", "size is not allowed", False),
    ],
)
def test_messages_of_one_cause_differ_in_ids_only(one: str, other: str, same: bool) -> None:
    """An id in a message must not make each failure a group of its own."""
    assert (cause(one) == cause(other)) is same


def test_unconfirmed_and_lost_clips_are_listed_with_id_and_age() -> None:
    """They are what the user's word, or support, is asked for."""
    unsure, lost = status_object(FACTS, now=NOW)["attention"]
    assert unsure["request_id"] is None
    assert lost["request_id"] == "2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f60"
    assert (lost["age_s"], lost["reserved_usd"]) == (13_520, 0.625)
    assert "secret" not in lost["reason"]


def test_what_a_later_run_could_still_save_is_told() -> None:
    """Now, in over an hour, in a day, in eight days; and a run that is at work is not told to hurry."""
    paid = [*(Paid(State.GENERATING, NOW - 1_800 - n) for n in range(8)), Paid(State.LOST, NOW - 13_520)]
    facts = replace(FACTS, paid=paid, looks_per_s=1 / 900)
    obj = status_object(facts, now=NOW)
    told = obj["retention"]
    assert (told["too_late"], told["records_end"], told["files_end"]) == (
        7,
        stamp_utc(NOW + 1_793),
        stamp_utc(NOW - 13_520 + 7 * 86_400),
    )
    ways = ("after_s", "by_record", "by_history", "in_doubt", "gone")
    assert [[each[way] for way in ways] for each in told["outlook"]] == [
        [0, 8, 0, 1, 0],
        [3_600, 0, 8, 1, 0],
        [86_400, 0, 8, 1, 0],
        [691_200, 0, 0, 0, 9],
    ]
    plain = """
8 paid clips wait at the service: run before 03:41.
1 more may exist; the next run looks for them.
At the rate of the last run, 7 records would expire before their status check:
run now.
"""
    assert plain in status_text(obj, 80, tz=ZONE)
    table = """run now.
A run can get
  now        8 from the service's record, 1 if the account history lists them
  in 1 hour  8 from the account history, 1 if the account history lists them
  in 1 day   8 from the account history, 1 if the account history lists them
  in 8 days  9 no longer available
"""
    assert table in status_text(obj | {"learned": None}, 80, tz=ZONE)
    assert "at the service" not in status_text(status_object(replace(facts, live=True), now=NOW), 80, tz=ZONE)
    assert status_object(FACTS, now=NOW)["retention"] is None


def test_records_that_have_ended_are_not_called_easy_to_fetch() -> None:
    """An hour after its submission a clip is to be had by the history only."""
    gone = replace(FACTS, paid=[Paid(State.GENERATING, NOW - 4_200) for _ in range(8)])
    text = status_text(status_object(gone, now=NOW), 80, tz=ZONE)
    assert "at the service" not in text
    assert "8 paid clips: the service's record expired; a run looks in the account history" in " ".join(text.split())


def test_what_was_given_up_is_not_called_free_and_is_not_retried_by_the_way() -> None:
    """It may have been charged: only its own word makes it again."""
    gone = ClipProblem("walk_3", State.FAILED, "given up", None, NOW, 625_000, forgotten=True)
    facts = replace(FACTS, counts={State.FAILED: 1}, problems=[gone])
    obj = status_object(facts, now=NOW)
    [group] = obj["failures"]
    assert "free" not in group["advice"]
    assert group["next"].endswith("--forgotten")
    assert obj["next"] == []
    both = status_object(replace(FACTS, counts={State.FAILED: 2}, problems=[gone, PROBLEMS[0]]), now=NOW)
    assert [one["count"] for one in both["failures"]] == [1, 1]
    assert both["next"] == ["batchgen retry 'jobs/night shift.yaml'"]


@pytest.mark.parametrize("state", [state for state in State if state is not State.DONE])
def test_every_state_but_done_has_a_command_to_type(state: State) -> None:
    """A user is never left alone with a word."""
    told = next_commands(replace(FACTS, counts={state: 1}))
    assert told
    assert told[0].startswith("batchgen ")


def test_paying_again_is_never_the_first_advice() -> None:
    """Looking in the history is free, and comes before every resubmission."""
    told = next_commands(FACTS)
    assert told.index("batchgen reconcile 'jobs/night shift.yaml'") < min(
        i for i, text in enumerate(told) if "--resubmit" in text
    )


def test_beside_a_live_run_nothing_is_to_be_typed() -> None:
    """A second run would be refused."""
    obj = status_object(replace(FACTS, live=True), now=NOW)
    assert obj["next"] == []
    assert "A run is in progress." in status_text(obj, 80, tz=ZONE)
    assert "wait at the service" not in status_text(obj, 80, tz=ZONE)


@pytest.mark.parametrize("width", [60, 80])
def test_the_text_is_as_in_the_golden_file(width: int, golden: Callable[[str, str], None]) -> None:
    """It is read at 7 a.m. by someone who makes films."""
    text = status_text(status_object(FACTS, now=NOW), width, tz=ZONE)
    golden(f"status_{width}", text)


def test_the_text_of_a_good_night_is_short(golden: Callable[[str, str], None]) -> None:
    """No problem, no noise."""
    text = status_text(status_object(CLEAN, now=NOW), 80, tz=ZONE)
    golden("status_clean", text)


def test_the_text_fits_80_columns_and_keeps_what_is_to_be_copied() -> None:
    """A broken path or id can't be pasted."""
    long_dir = "/srv/" + "very-long-folder-name/" * 6 + "clips of today"
    text = status_text(status_object(replace(FACTS, clips_dir=long_dir), now=NOW), 80, tz=ZONE)
    wide = [line for line in text.splitlines() if columns(line) > 80]
    assert wide == [long_dir]
    assert "2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f60" in text


def test_the_text_can_be_ascii() -> None:
    """A C locale can't print ✗."""
    problem = ClipProblem("渋谷", State.FAILED, "é")
    text = status_text(status_object(replace(FACTS, problems=[problem]), now=NOW), 80, ascii=True, tz=ZONE)
    assert text.isascii()
    assert r"\u6e0b\u8c37" in text


def test_a_long_list_of_lost_clips_is_cut_in_the_text_only() -> None:
    """4,000 lines scroll the bill away; programs get all."""
    many = [ClipProblem(f"c_{i}", State.LOST, "gone") for i in range(300)]
    obj = status_object(replace(FACTS, counts={State.LOST: 300}, problems=many), now=NOW)
    assert len(obj["attention"]) == 300
    assert "and 290 more (--json lists all)" in status_text(obj, 80)


def test_what_is_kept_although_it_is_odd_is_shown_and_counted() -> None:
    """Half a film was `done`, and no command said so."""
    facts = replace(FACTS, flagged={"cat_1": "bytes duration", "dog_1": "bytes"}, aside=["cow_1.mp4.bad"])
    obj = status_object(facts, now=NOW)
    assert obj["flagged"] == [
        {"clip": "cat_1", "flags": ["bytes", "duration"]},
        {"clip": "dog_1", "flags": ["bytes"]},
    ]
    assert obj["kept_aside"] == ["cow_1.mp4.bad"]
    text = status_text(obj, 200, tz=ZONE)
    assert "flagged `bytes` (not as many bytes as the service stated): cat_1, dog_1" in text
    assert "1 damaged download kept until a better one is there: cow_1.mp4.bad" in text


def test_nobody_is_offered_to_pay_again_for_what_can_still_be_fetched() -> None:
    """Its link is tried by every run, for free."""
    lost = ClipProblem("cat_1", State.LOST, "gone", "r1", NOW - 100.0, fetchable=True)
    obj = status_object(replace(FACTS, counts={State.LOST: 1}, problems=[lost]), now=NOW)
    assert not [text for text in (*obj["next"], *obj["attention"][0]["next"]) if "resubmit" in text]
    assert obj["next"][0].startswith("batchgen run ")
    both = replace(FACTS, counts={State.LOST: 2}, problems=[lost, replace(lost, name="dog_1", fetchable=False)])
    assert any("--resubmit-lost" in text for text in status_object(both, now=NOW)["next"])


def test_failures_that_were_charged_are_reported() -> None:
    """With how much, and that they are not tried again."""
    obj = status_object(replace(FACTS, failures_charged={"wan": (3, 1_500_000)}), now=NOW)
    assert obj["failures_charged"] == [{"model": "wan", "requests": 3, "usd": 1.5}]
    assert "wan: 3 failures charged, $1.50; not tried again automatically" in status_text(obj, 100, tz=ZONE)


# --- the last run, and what changes something -------------------------------------------------------------

BEGAN = NOW - 6 * 3_600
ENDED = LastRun(BEGAN, NOW - 60, 3)


def text_of(**changed: Any) -> str:
    """The text of a good night, with changes."""
    return status_text(status_object(replace(CLEAN, **changed), now=NOW), 80, tz=ZONE)


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (ENDED, "Last run 21:12 to 03:11 (5 h 59 min): finished, some clips failed (exit code 3)"),
        (
            LastRun(BEGAN, NOW, 4, "the disk is full"),
            "Last run 21:12 to 03:12 (6 h 00 min): stopped early (exit code 4)",
        ),
        (LastRun(BEGAN), "Last run began 21:12, did not end (killed or power cut); last event 02:12"),
        (LastRun(NOW - 40_000_000, NOW - 39_999_000, 0), "Last run 16 Aug 04:05 to 16 Aug 04:22 (17 min): finished"),
    ],
)
def test_the_second_line_says_when_the_last_run_ended_and_how(run: LastRun, line: str) -> None:
    """The morning begins with it; a run that was killed is not taken for one that finished."""
    assert text_of(last_run=run, last_event=NOW - 3_600).splitlines()[1].startswith(line)


def test_the_object_of_a_killed_run_has_no_end_but_a_reason() -> None:
    """A script must not read a killed night as a good one; beside a live run there is no reason yet."""
    told = status_object(replace(CLEAN, last_run=LastRun(BEGAN), last_event=NOW), now=NOW)["last_run"]
    assert (told["began"], told["ended"], told["exit_code"]) == (stamp_utc(BEGAN), None, None)
    assert told["reason"] == KILLED
    live = status_object(replace(CLEAN, last_run=LastRun(BEGAN), live=True), now=NOW)
    assert live["last_run"]["reason"] is None
    assert "A run is in progress since 21:12 (6 h 00 min)." in text_of(last_run=LastRun(BEGAN), live=True)


def test_the_footage_and_what_is_odd_about_it_are_shown() -> None:
    """A producer counts minutes, not clips."""
    assert "15 min 35 s of footage in jobs/night/clips" in text_of(footage_s=935.0)
    assert "flagged `size`" in text_of(footage_s=5.0, flagged={"cat_1": "size"})


@pytest.mark.parametrize(
    ("counts", "run", "expected"),
    [
        ({State.PENDING: 52, State.DONE: 1}, LastRun(1.0, 2.0, 0, left_out=52), []),
        ({State.PENDING: 53, State.DONE: 1}, LastRun(1.0, 2.0, 0, left_out=52), ["run"]),
        ({State.PENDING: 5}, LastRun(1.0, 2.0, 4, "budget", needs_edit=True), []),
        ({State.PENDING: 5, State.GENERATING: 1}, LastRun(1.0, 2.0, 4, "budget", needs_edit=True), ["run"]),
        ({State.PENDING: 5}, LastRun(1.0, 2.0, 4, "credits"), ["run"]),
        ({State.PENDING: 5}, LastRun(1.0), ["run"]),
        ({State.BLOCKED: 2}, ENDED, ["retry --blocked --new-seed"]),
        ({State.DONE: 2}, ENDED, []),
    ],
)
def test_a_next_step_changes_something(counts: dict[State, int], run: LastRun, expected: list[str]) -> None:
    """Never the cap that just stopped it, never what was left out on purpose, never a run for blocked clips only."""
    facts = replace(CLEAN, counts=counts, last_run=run, manifest_arg="n")
    assert [" ".join(text.split()[1:2] + text.split()[3:]) for text in next_commands(facts)] == expected


def test_a_command_that_a_failure_names_is_not_shown_twice() -> None:
    """The morning's screen has 24 rows."""
    text = text_of(counts={State.BLOCKED: 1}, problems=[PROBLEMS[15]])
    assert text.count("--blocked --new-seed") == 1
