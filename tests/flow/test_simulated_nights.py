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
def test_nights_of_kills_power_cuts_and_every_fault_keep_all_promises() -> None:
    totals = campaign("--nights", "4", "--clips", "15", "--seed", "7", "--mood", "all at once")
    assert totals["deaths"] == 12
    assert all(promise["checked"] and not promise["broken"] for promise in totals["promises"].values())


@pytest.mark.real_time
def test_a_seed_takes_the_same_course_again() -> None:
    one, other = (campaign("--night", "3", "--clips", "10", "--mood", "all at once") for _ in range(2))
    assert one["courses"] == other["courses"]
