"""Choices are durable at each answer, seen by everybody, and not lost to a torn line or a second tab."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import UsageError
from batchgen.review.choice import NAMES, UNDECIDED, Choice
from batchgen.review.picks import LOG, SNAPSHOT, Picks, StaleError


@pytest.fixture
def picks(tmp_path: Path) -> Iterator[Picks]:
    picks = Picks(tmp_path)
    yield picks
    picks.close()


def again(folder: Path) -> dict[str, Choice]:
    """What the next process finds."""
    picks = Picks(folder)
    try:
        return picks.all()
    finally:
        os.close(picks._file)


def test_a_choice_is_on_disk_when_it_is_answered(picks: Picks, tmp_path: Path) -> None:
    change = picks.change("v1:a", {"pick": 1, "stars": 4})
    assert change
    assert (change.set, change.was) == ({"pick": 1, "stars": 4}, {"pick": 0, "stars": 0})
    assert again(tmp_path) == {"v1:a": Choice(pick=1, stars=4)}


def test_it_is_synced_before_the_answer(picks: Picks, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    picks.change("v1:a", {"pick": 1})
    assert synced == [picks.path.stat().st_size]


def test_the_same_choice_again_writes_nothing(picks: Picks) -> None:
    """X twice stays rejected."""
    picks.change("v1:a", {"pick": -1})
    assert picks.change("v1:a", {"pick": -1}) is None
    assert (picks.rev, picks["v1:a"].pick) == (1, -1)


def test_a_change_that_is_sent_twice_is_written_once(picks: Picks) -> None:
    first = picks.change("v1:a", {"stars": 1}, cid="one")
    picks.change("v1:a", {"stars": 2}, cid="two")
    assert picks.change("v1:a", {"stars": 1}, cid="one") == first
    assert picks["v1:a"].stars == 2


def test_two_processes_see_each_other(picks: Picks, tmp_path: Path) -> None:
    other = Picks(tmp_path, "other")
    picks.change("v1:a", {"pick": 1})
    other.change("v1:b", {"pick": -1})
    assert picks.all() == other.all() == {"v1:a": Choice(pick=1), "v1:b": Choice(pick=-1)}
    assert [change.by for change in picks.since(0)] == ["local", "other"]
    other.close()


def test_a_tab_that_is_behind_is_shown_both_values(picks: Picks) -> None:
    picks.change("v1:a", {"pick": 1, "note": "good"}, by="other tab")
    with pytest.raises(StaleError) as caught:
        picks.change("v1:a", {"pick": -1}, base=0)
    assert (caught.value.now.pick, caught.value.changes[0].set["pick"]) == (1, 1)
    assert picks["v1:a"].pick == 1


def test_different_fields_of_two_tabs_merge(picks: Picks) -> None:
    picks.change("v1:a", {"pick": 1}, by="other tab")
    picks.change("v1:a", {"stars": 3}, base=0)
    picks.change("v1:a", {"pick": 1}, base=0)  # the same decision is no conflict
    assert picks["v1:a"] == Choice(pick=1, stars=3)


def test_undo_is_a_change_back_and_the_history_keeps_both(picks: Picks) -> None:
    change = picks.change("v1:a", {"pick": 1, "tags": ["wide", "night"]})
    assert change
    picks.change("v1:a", change.was)
    assert picks["v1:a"] == UNDECIDED
    assert [each.set for each in picks.history("v1:a")] == [
        {"pick": 1, "tags": ["night", "wide"]},
        {"pick": 0, "tags": []},
    ]


@pytest.mark.parametrize("kept", range(0, 200, 7))
def test_a_torn_last_line_is_cut_and_no_other_lost(tmp_path: Path, kept: int) -> None:
    """A power cut leaves any part of the last line."""
    picks = Picks(tmp_path)
    picks.change("v1:a", {"pick": 1})
    whole = picks.path.stat().st_size
    picks.change("v1:b", {"note": "x" * 60})
    os.close(picks._file)
    os.truncate(tmp_path / LOG, min(whole + kept, (tmp_path / LOG).stat().st_size - 1))
    found = Picks(tmp_path)
    assert found.all() == {"v1:a": Choice(pick=1)}
    assert found.cut == min(kept, found.cut)
    found.change("v1:c", {"pick": 1})
    found.close()
    assert set(again(tmp_path)) == {"v1:a", "v1:c"}


def test_a_full_disk_changes_nothing(picks: Picks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            picks.change("v1:a", {"pick": 1})
    assert picks.all() == {}
    picks.change("v1:b", {"pick": 1})
    assert set(again(tmp_path)) == {"v1:b"}


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    picks = Picks(tmp_path)
    picks.change("v1:a", {"pick": 1})
    os.close(picks._file)
    (tmp_path / LOG).write_bytes((tmp_path / LOG).read_bytes() + b"hello\n")
    with pytest.raises(UsageError, match=r"selects\.log:2: no change of a choice"):
        Picks(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"pick": 2}, {"pick": True}, {"pick": "1"}, {"stars": 6}, {"stars": -1}, {"stars": 2.5}, {"label": "pink"},
        {"tags": "night"}, {"tags": ["x" * 101]}, {"tags": ["x"] * 101}, {"note": 7}, {"note": "x" * 4001},
        {"marks": [1]}, {"marks": [{"frame": -1, "text": "a"}]}, {"marks": [{"frame": 1, "text": 3}]},
        {"reason": "ugly"}, {"order": -1}, {"order": 1.5}, {"colour": "red"},
    ],
)  # fmt: skip
def test_no_other_value_is_taken(picks: Picks, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        picks.change("v1:a", changes)
    assert picks.rev == 0


def test_the_snapshot_is_what_the_log_comes_to(picks: Picks, tmp_path: Path) -> None:
    picks.change("v1:a", {"pick": 1, "marks": [{"frame": 12, "text": "hand"}]})
    picks.write_snapshot()
    found = json.loads((tmp_path / SNAPSHOT).read_text("utf-8"))
    assert found["clips"]["v1:a"] == {
        "pick": 1, "stars": 0, "label": "", "tags": [], "note": "", "marks": [{"frame": 12, "text": "hand"}],
        "reason": "", "order": None, "answers": [],
    }  # fmt: skip


def test_a_snapshot_edited_by_hand_is_taken_over_as_changes(tmp_path: Path) -> None:
    """And a choice that was made since in the page stays, as far as the hand did not touch it."""
    picks = Picks(tmp_path)
    picks.change("v1:a", {"pick": 1})
    picks.change("v1:b", {"stars": 2})
    picks.write_snapshot()
    picks.change("v1:b", {"note": "later"})
    os.close(picks._file)
    path = tmp_path / SNAPSHOT
    found = json.loads(path.read_text("utf-8"))
    found["clips"]["v1:a"]["pick"] = -1
    path.write_text(json.dumps(found), "utf-8")
    picks = Picks(tmp_path)
    assert picks.all() == {"v1:a": Choice(pick=-1), "v1:b": Choice(stars=2, note="later")}
    assert picks.since(3)[0].by == SNAPSHOT
    picks.close()


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "pick": st.sampled_from((-1, 0, 1)),
        "stars": st.integers(0, 5),
        "tags": st.lists(st.text(max_size=5), max_size=3),
        "note": st.text(max_size=9),
        "order": st.none() | st.integers(0, 9),
    },
)


@fuzz(60)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), VALUES), max_size=12))
def test_any_changes_by_two_processes_read_the_same_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, str, dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    both = Picks(folder), Picks(folder, "other")
    for second, key, changes in steps:
        both[second].change(key, changes)
    found = again(folder)
    assert both[0].all() == both[1].all() == found
    last = {key: {name: value for _, k, values in steps if k == key for name, value in values.items()} for key in found}
    for key, values in last.items():
        for name in NAMES:
            if name in values and name != "tags":
                assert getattr(found[key], name) == values[name]
    for picks in both:
        picks.close()


# --- the log under other hands ------------------------------------------------------------------------------


def test_a_log_that_an_editor_has_replaced_keeps_what_comes_after(picks: Picks, tmp_path: Path) -> None:
    """Editors write a new file under the old name; a choice in the old one would be lost."""
    picks.change("v1:a", {"pick": 1})
    picks.change("v1:b", {"pick": 1})
    edited = tmp_path / "edited"
    edited.write_bytes(picks.path.read_bytes().splitlines(keepends=True)[1])
    edited.replace(picks.path)
    assert picks.all() == {"v1:b": Choice(pick=1)}
    picks.change("v1:c", {"stars": 2})
    assert again(tmp_path) == {"v1:b": Choice(pick=1), "v1:c": Choice(stars=2)}
    assert picks.rev == 2


def test_a_log_that_is_cut_while_it_is_open_is_read_again(picks: Picks, tmp_path: Path) -> None:
    """What is appended then stands on a line of its own."""
    picks.change("v1:a", {"pick": 1})
    size = picks.path.stat().st_size
    picks.change("v1:b", {"pick": 1})
    os.truncate(picks.path, size)
    picks.change("v1:c", {"pick": -1})
    assert again(tmp_path) == picks.all() == {"v1:a": Choice(pick=1), "v1:c": Choice(pick=-1)}


def test_a_log_that_was_cut_is_made_whole_from_the_snapshot(tmp_path: Path) -> None:
    """As by a copy that ran out of disk."""
    picks = Picks(tmp_path)
    picks.change("v1:a", {"pick": 1})
    picks.change("v1:b", {"stars": 3})
    picks.close()
    (tmp_path / LOG).write_bytes(b"")
    assert again(tmp_path) == {"v1:a": Choice(pick=1), "v1:b": Choice(stars=3)}


def test_threads_that_ask_while_others_choose_read_each_line_once(picks: Picks) -> None:
    """The page's server answers in several threads; a line that is read twice would make a revision of its own."""
    with ThreadPoolExecutor(4) as pool:
        other = Picks(picks.path.parent, "other")
        asked = [pool.submit(lambda: picks.rev) for _ in range(50)]
        made = [pool.submit(other.change, f"v1:{n}", {"stars": n % 5 + 1}) for n in range(50)]
        more = [pool.submit(picks.change, f"v1:x{n}", {"pick": 1}) for n in range(50)]
        assert all(each.result() >= 0 for each in asked)
        assert all(each.result() for each in (*made, *more))
    assert (picks.rev, other.rev, len(picks.all())) == (100, 100, 100)
    other.close()


def test_a_disk_that_is_full_leaves_no_half_line(picks: Picks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is refused, and the next one is read."""
    real = os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return real(handle, data[:30])

    picks.change("v1:a", {"pick": 1})
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            picks.change("v1:b", {"pick": 1})
    picks.change("v1:c", {"pick": 1})
    assert again(tmp_path) == {"v1:a": Choice(pick=1), "v1:c": Choice(pick=1)}
