"""Answers of clients: kept by reviewer, taken over where nobody has chosen otherwise, and never a silent overwrite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import UsageError
from batchgen.review import answers
from batchgen.review.choice import answer_of
from batchgen.review.client_reports import REGISTRY, ClientReport, keep, reports_of
from batchgen.review.picks import Picks, choices_of

EARLY, LATE = "2026-11-27T18:00:00.000Z", "2026-11-27T19:00:00.000Z"
KEYS = {"h1": "k1", "h2": "k2"}


@pytest.fixture
def picks(tmp_path: Path) -> Iterator[Picks]:
    """The choices of an empty batch."""
    found = Picks(tmp_path)
    yield found
    found.close()


def answered(reviewer: str = "Anna", at: str = EARLY, **about: Mapping[str, Any]) -> answers.AnswerFile:
    """Make a file of answers, by handle."""
    made = {handle: answer_of({"by": reviewer, "at": at, **each}) for handle, each in about.items()}
    return answers.AnswerFile("r1", reviewer, made)


def saved(path: Path, **changed: Any) -> Path:
    """Write a file as the page does."""
    whole = {"schema_version": 1, "kind": "batchgen-picks", "report": "r1", "reviewer": "Anna",
             "answers": {"h1": {"pick": 1, "stars": 4, "note": "yes", "at": EARLY}}}  # fmt: skip
    path.write_text(json.dumps(whole | changed), encoding="utf-8")
    return path


# --- merging --------------------------------------------------------------------------------------------


def test_an_answer_becomes_the_choice_where_nobody_has_chosen(picks: Picks) -> None:
    done = answers.merge(picks, answered(h1={"pick": 1, "stars": 4, "note": "yes"}), KEYS)
    choice = picks["k1"]
    assert (choice.pick, choice.stars, choice.note) == (1, 4, "yes")
    assert [(each.by, each.pick) for each in choice.answers] == [("Anna", 1)]
    assert (done.new, done.chosen) == (["k1"], ["k1"])


def test_the_same_file_twice_changes_nothing(picks: Picks) -> None:
    file = answered(h1={"pick": 1}, h2={"stars": 2})
    answers.merge(picks, file, KEYS)
    rev = picks.rev
    done = answers.merge(picks, file, KEYS)
    assert (done.new, done.same, picks.rev) == ([], 2, rev)


@pytest.mark.parametrize(("field", "mine", "theirs"), [("pick", 1, -1), ("stars", 2, 5), ("note", "mine", "theirs")])
def test_an_own_choice_stays_unless_it_is_to_be_overwritten(picks: Picks, field: str, mine: Any, theirs: Any) -> None:
    picks.change("k1", {field: mine})
    file = answered(h1={field: theirs})
    done = answers.merge(picks, file, KEYS)
    assert getattr(picks["k1"], field) == mine
    assert (done.new, done.chosen) == (["k1"], [])
    assert answers.conflict(picks["k1"]) is (field != "note")
    answers.merge(picks, file, KEYS, overwrite=True)
    assert getattr(picks["k1"], field) == theirs


def test_an_own_choice_that_was_taken_back_is_none(picks: Picks) -> None:
    picks.change("k1", {"pick": 1})
    picks.change("k1", {"pick": 0})
    answers.merge(picks, answered(h1={"pick": -1}), KEYS)
    assert picks["k1"].pick == -1


def test_two_reviewers_who_differ_are_a_conflict_and_the_first_one_stays(picks: Picks) -> None:
    answers.merge(picks, answered("Anna", h1={"pick": 1}), KEYS)
    answers.merge(picks, answered("Ben", LATE, h1={"pick": -1}), KEYS)
    choice = picks["k1"]
    assert choice.pick == 1
    assert [(each.by, each.pick) for each in choice.answers] == [("Anna", 1), ("Ben", -1)]
    assert answers.conflicts(picks.all(), ["k1", "k2"]) == ["k1"]


def test_a_reviewer_may_think_again(picks: Picks) -> None:
    """The later answer replaces the earlier one, also one that was taken over; an old file brings nothing back."""
    answers.merge(picks, answered(h1={"pick": 1, "stars": 3}), KEYS)
    answers.merge(picks, answered("  anna ", LATE, h1={"pick": 0}), KEYS)
    assert (picks["k1"].pick, picks["k1"].stars) == (0, 0)
    done = answers.merge(picks, answered(h1={"pick": 1, "stars": 3}), KEYS)
    assert (done.older, done.new, picks["k1"].pick) == (1, [], 0)
    assert [each.by for each in picks["k1"].answers] == ["Anna"]


def test_what_somebody_chooses_in_between_is_not_lost(tmp_path: Path, picks: Picks) -> None:
    """The page may be open while a file is imported: the import sees its change, and merges with it."""
    other, change = Picks(tmp_path), picks.change
    asked: list[int] = []

    def late(key: str, changes: Mapping[str, Any], **more: Any) -> object:
        if not asked:
            other.change(key, {"pick": -1})
        asked.append(1)
        return change(key, changes, **more)

    picks.change = late  # type: ignore[method-assign, assignment]
    answers.merge(picks, answered(h1={"pick": 1}), KEYS)
    other.close()
    assert picks["k1"].pick == -1
    assert [each.pick for each in picks["k1"].answers] == [1]


def test_answers_about_clips_that_are_gone_are_counted_and_left_out(picks: Picks) -> None:
    done = answers.merge(picks, answered(h1={"pick": 1}, h9={"pick": 1}), KEYS)
    assert (done.unknown, done.new) == (1, ["k1"])


def test_answers_are_in_the_log_under_their_reviewer_and_survive(tmp_path: Path) -> None:
    first = Picks(tmp_path)
    answers.merge(first, answered(h1={"pick": 1, "note": "é\n★"}), KEYS)
    first.close()
    again = Picks(tmp_path)
    assert [change.by for change in again.history("k1")] == ["client:Anna"]
    assert choices_of(tmp_path) == again.all()
    assert again["k1"].answers[0].note == "é\n★"
    again.close()


# --- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [("", ""), ("\ufeff", ""), ("Hello,\n\n", "\n\nBest, Anna\n")])
def test_a_file_is_read_also_from_the_text_of_a_mail(before: str, after: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "picks.json")
    path.write_text(before + path.read_text() + after, encoding="utf-8")
    file = answers.read(path)
    assert (file.report, file.reviewer, file.answers["h1"].note) == ("r1", "Anna", "yes")


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\xff", b"[]", b"{}", b'{"kind": "other"}', b"{" * 9999,
     b'{"schema_version": 1, "kind": "batchgen-picks"',
     b'{"kind": "batchgen-picks", "schema_version": 1, "report": 3, "reviewer": "A", "answers": {}}'],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_file_of_answers_is_one_message(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(body)
    with pytest.raises(UsageError, match=r"x\.json has no answers of a client"):
        answers.read(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"reviewer": " "}, "does not say whose"),
        ({"answers": {"h1": {"pick": 7, "at": EARLY}}}, "pick can't be 7"),
        ({"answers": {"h1": {"pick": True, "at": EARLY}}}, "pick can't be True"),
        ({"answers": {"h1": {"stars": 9, "at": EARLY}}}, "stars can't be 9"),
        ({"answers": {"h1": {"note": 3, "at": EARLY}}}, "note must be a text"),
        ({"answers": {"h1": {"pick": 1, "at": "yesterday"}}}, "must have `by`"),
        ({"answers": {"h1": 1}}, "must be an object"),
    ],
)
def test_a_value_that_does_not_exist_imports_nothing(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        answers.read(saved(tmp_path / "x.json", **changed))


def test_a_file_that_is_not_there_or_a_folder_is_one_message(tmp_path: Path) -> None:
    for path in (tmp_path / "no.json", tmp_path):
        with pytest.raises(UsageError, match="can't be read"):
            answers.read(path)


# --- the pages that were made ---------------------------------------------------------------------------


def test_a_torn_line_of_the_registry_costs_no_other_page(tmp_path: Path) -> None:
    first, second = ClientReport.new(EARLY), ClientReport.new(LATE)
    keep(tmp_path, first)
    with (tmp_path / REGISTRY).open("ab") as file:
        file.write(b'{"report": "to')
    keep(tmp_path, second)
    assert reports_of(tmp_path) == [first, second]
    assert (tmp_path / REGISTRY).stat().st_mode & 0o077 == 0
