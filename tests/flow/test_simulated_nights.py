"""Whole nights from a seed: real SQLite, HTTP and files under one virtual clock, with kills, power cuts and faults.

The nights run in processes of their own, since the clock and the chances of the whole process are theirs. A finding of
a long campaign (`tests/bench/simulation/campaign.py`) becomes a seed here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accidents import ACCIDENTS

CAMPAIGN = Path(__file__).parents[1] / "bench" / "simulation" / "campaign.py"


def campaign(*options: str) -> dict[str, Any]:
    """Play nights; gives their totals."""
    ended = subprocess.run(
        [sys.executable, CAMPAIGN, *options, "--jobs", "1"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    assert ended.stdout, ended.stderr
    assert ended.returncode == 0, ended.stdout + ended.stderr
    totals: dict[str, Any] = json.loads(ended.stdout[ended.stdout.index("{") :])
    return totals


@pytest.mark.real_time
def test_a_night_of_kills_and_faults_keeps_all_promises_and_takes_the_same_course_again() -> None:
    totals = campaign("--night", "7", "--clips", "8", "--mood", "all at once", "--again")
    assert totals["deaths"] == 3
    watched = {name for name, promise in totals["promises"].items() if promise["checked"]}
    assert {"never pays twice", "never loses a paid clip", "everything ends in time"} <= watched


@pytest.mark.slow
@pytest.mark.real_time
def test_nights_of_kills_power_cuts_and_every_fault_keep_all_promises() -> None:
    totals = campaign("--nights", "12", "--clips", "30", "--seed", "100")
    assert totals["deaths"] == 36


@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_nothing_is_paid_twice_or_lost_whatever_happens_to_the_files(accident: str) -> None:
    """Deleted, moved, rolled back, between runs and during one; a run next to one at work."""
    totals = campaign("--nights", "5", "--clips", "20", "--seed", "1", "--accident", accident)
    assert sum(count for name, count in totals["faults"].items() if name.startswith(accident)) >= 5


@pytest.mark.slow
@pytest.mark.real_time
def test_no_older_ledger_is_used_while_the_history_gives_no_answer() -> None:
    """Else a run asks the history for what the ledger lacks, and is saved by that."""
    accident = "older ledger files brought back"
    totals = campaign("--nights", "4", "--clips", "20", "--accident", accident, "--mood", "history_down=1.0")
    assert totals["promises"]["a ledger that is not the last one is refused"]["checked"]


@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.parametrize(
    ("seed", "clips", "deaths"), [(1, 30, 3), (57, 30, 3), (34, 20, 3), (100414, 100, 1), (100455, 100, 1)]
)
def test_nights_in_which_something_was_found_once_keep_all_promises(seed: int, clips: int, deaths: int) -> None:
    """1: FAILED, and a history that lagged. 57: a rebuilt ledger that was refused for good. 34: a price that rises.

    100414: the first higher charge was one for a job that FAILED. 100455: the folder was replaced while it was opened.
    """
    campaign("--night", str(seed), "--clips", str(clips), "--deaths", str(deaths))
