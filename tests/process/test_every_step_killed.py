"""A run is killed at its first step, resumed to the end, killed at its second step, and so on to the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_steps import Steps, in_service

pytestmark = pytest.mark.real_time


@pytest.fixture
def steps(ram: Path) -> Iterator[Steps]:
    yield from in_service(ram)


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow), 13])
def test_a_run_may_be_killed_at_every_single_step(steps: Steps, ram: Path, each: int) -> None:
    """Commits, POSTs, renames, decisions: there is no step at which a kill costs a clip or a second payment."""
    log, killed = ram / "steps.log", 0
    while True:
        steps.afresh()
        step = killed * each + 1
        ended = steps.run(BATCHGEN_FAILPOINT=f"kill@{step}", BATCHGEN_FAILPOINT_LOG=str(log))
        if ended.code != -9:
            break
        killed += 1
        steps.files_whole()
        steps.nothing_unknown(killed=True)
        steps.intents_before_posts()
        steps.all_well(steps.to_the_end())
    steps.all_well(ended)
    struck = {line.split()[1] for line in log.read_text().splitlines()}
    assert killed >= 50 // each, f"only {killed} steps"
    if each > 1:
        return
    parts = ("tables", "commit", "post", "note", "block", "file", "sidecar", "rename", "folder", "doubt")
    assert not [part for part in parts if not any(step.startswith(part + ".") for step in struck)]
    print(f"killed at {killed} steps of {len(struck)} kinds")
