"""What torture sees on the way: the cap, files, outputs, two runs; each is found, and told with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchgen.torture.counters import Counters
from batchgen.torture.evidence import files_with, half_files
from batchgen.torture.process import Ended


@pytest.fixture
def tally() -> Counters:
    return Counters("SG_secret")


def findings(tally: Counters) -> str:
    """Give all that was found, in one text."""
    return " ".join(found for promise in tally.promises(keys=[], files=1) for found in promise.findings)


def test_a_crossed_budget_is_seen_in_the_books_and_in_what_is_told(tally: Counters) -> None:
    """The service's sum counts, and the run's own: reserved money is spent money."""
    tally.wall(1, charged=100, cap=100, answer={"spent_usd": 0.00006, "reserved_usd": 0.00004})
    assert not findings(tally)
    tally.wall(2, charged=101, cap=100, answer={})
    tally.wall(3, charged=0, cap=1_000_000, answer={"spent_usd": 0.9, "reserved_usd": 0.3})
    assert "round 2" in findings(tally)
    assert "round 3" in findings(tally)


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (Ended(1, b"", b""), "exit 1"),
        (Ended(0, b"", b"Traceback (most recent call last)"), "exit 0 in said/x"),
        (Ended(3, b'{"key": "SG_secret"}', b""), "the key was said"),
    ],
)
def test_a_fault_of_our_own_and_a_key_in_an_output_are_seen(tally: Counters, ended: Ended, told: str) -> None:
    """Whatever the exit code says."""
    tally.ended("x", ended)
    assert told in findings(tally)


def test_a_process_that_was_killed_or_refused_is_no_fault(tally: Counters) -> None:
    """That is what torture does to it."""
    for code in (-9, 0, 3, 4, 5, 6, 143):
        tally.ended("x", Ended(code, b"{}", b""))
    assert not findings(tally)


def test_two_runs_at_work_are_seen_and_a_refused_one_is_right(tally: Counters) -> None:
    """One batch, one run."""
    tally.two_runs(1, both=False, refused=True)
    assert not findings(tally)
    tally.two_runs(2, both=True, refused=False)
    assert "round 2" in findings(tally)


def test_what_struck_is_counted_by_fault_and_step(tally: Counters, tmp_path: Path) -> None:
    """A full disk strikes many times, and is one pair for each step; a kill from outside is one without a step."""
    log = tmp_path / "struck"
    log.write_text("enospc file.before\nenospc file.before\nkill post.after\n")
    tally.struck(log, killed=True, by_step=True)
    tally.struck(log, killed=True, by_step=False)
    facts = tally.facts()
    assert facts["combinations"]["covered"] == ["enospc file.before", "kill post.after"]
    assert facts["kills"] == 2
    assert facts["faults"] == {"enospc at a write": 1, "kill at a step": 1, "kill at random": 1}


def test_half_a_file_under_a_final_name_is_seen(tmp_path: Path) -> None:
    """Not one byte may differ from what the service made for the request that the sidecar names."""
    clips, made = tmp_path / "clips", tmp_path / "service" / "files"
    clips.mkdir()
    made.mkdir(parents=True)
    for name, request_id, kept in (("a", "r1", b"whole"), ("b", "r2", b"hal")):
        (made / f"{request_id}.mp4").write_bytes(b"whole")
        (clips / f"{name}.mp4").write_bytes(kept)
        (clips / f"{name}.json").write_text(json.dumps({"request_id": request_id}))
    sound: set[tuple[str, int]] = set()
    assert half_files(clips, made.parent, sound) == ["b.mp4 is not what the service made for request r2"]
    assert {name for name, _ in sound} == {"a.mp4"}


def test_a_key_is_found_wherever_it_lies(tmp_path: Path) -> None:
    """In a database or a log, deep in the folder."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "ledger.db").write_bytes(b"\0\1SG_secret\2")
    (tmp_path / "events.jsonl").write_text("{}")
    assert files_with(b"SG_secret", tmp_path) == ["deep/ledger.db"]
