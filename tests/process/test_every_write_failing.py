"""The disk fails at the first write of a run, at the second, and so on to the last: full, broken, and full for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_steps import Steps, in_service

pytestmark = pytest.mark.real_time


@pytest.fixture
def steps(ram: Path) -> Iterator[Steps]:
    yield from in_service(ram)


@pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.slow), 12])
@pytest.mark.parametrize("fault", ["enospc@{}+", "eio@{}"])
def test_the_disk_may_fail_at_every_single_write(steps: Steps, ram: Path, fault: str, each: int) -> None:
    """No POST without a durable intent, no id that is nowhere, a plain message; and the next run mends it all."""
    failed = 0
    while True:
        steps.afresh()
        log = ram / f"{failed}.log"
        write = fault.format(failed * each + 1)
        ended = steps.run(BATCHGEN_FAILPOINT=write, BATCHGEN_FAILPOINT_LOG=str(log))
        if not log.read_text():
            break
        failed += 1
        assert ended.code in {2, 4}, f"{fault}: {log.read_text()}: exit {ended.code}\n{ended.said}"
        assert "written" in ended.said or "write" in ended.said or "full" in ended.said
        steps.files_whole()
        steps.nothing_unknown(killed=False)
        steps.intents_before_posts()
        steps.all_well(steps.to_the_end())
    steps.all_well(ended)
    assert failed >= 30 // each, f"only {failed} writes"
    print(f"{fault}: failed at {failed} writes")
