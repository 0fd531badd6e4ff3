"""The time that is left, as the live display shows it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from batchgen.cli.frame import time_left
from batchgen.clip import State
from batchgen.ratelimit.memory import AccountMemory
from batchgen.ratelimit.setup import PaceSetup
from batchgen.settings import Settings


def session(pace: PaceSetup, settings: Settings, *, left: int) -> Any:
    """What the display asks of a session: a batch at its start, with the pacer and the places that it got."""
    counts = {state: left if state is State.PENDING else 0 for state in State}
    return SimpleNamespace(
        ledger=SimpleNamespace(live_totals=SimpleNamespace(counts=counts)),
        manifest=SimpleNamespace(wanted=[SimpleNamespace(model="wan-2.5-t2v")]),
        settings=settings,
        pace=pace,
        tools=SimpleNamespace(pacer=pace.pacer(), places=pace.places(60.0)),
        elapsed_s=600.0,
    )


async def test_the_time_left_is_reckoned_with_the_rate_and_the_places_of_now(tmp_path: Path) -> None:
    """Not with what was configured, until the run's own pace is known."""

    settings = Settings(rpm=120.0, expect_latency=60.0)
    assert time_left(session(PaceSetup(settings), settings, left=100), 0) == 100 * 2 + 60
    lessons = AccountMemory(tmp_path / "x.learned")
    lessons.rate(60.0, 70.0, ceiling=120.0)
    assert time_left(session(PaceSetup(settings, lessons=lessons), settings, left=100), 0) == 100 * 4 + 60
    lessons.places(10.0, 32, full=True)
    known = session(PaceSetup(settings, lessons=lessons), settings, left=100)
    assert time_left(known, 0) == 100 * 6 + 60
    for _ in range(3):
        known.tools.places.learn(50.0, 60.0, 6)
    assert time_left(known, 0) == 100 * 12 + 60
    assert time_left(known, 20) == 100 * 600 / 20
    known.tools = None
    assert time_left(known, 0) == 100 * 12 + 60
