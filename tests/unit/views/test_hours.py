"""The hours of submission in plan and status."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from batchgen.clip import State
from batchgen.manifest import load
from batchgen.planning import Plan
from batchgen.settings import merge
from batchgen.views.facts import Facts
from batchgen.views.hours import window_of
from batchgen.views.plan import plan_object, plan_text
from batchgen.views.status import status_object, status_text
from batchgen.window import Window

WINDOW = Window("22:00", "06:30", ("fri",), "Europe/Berlin")
BEFORE = datetime.fromisoformat("2026-07-03 12:00+00:00").timestamp()
WITHIN = BEFORE + 12 * 3600
FACTS = Facts("night", {State.PENDING: 2}, 0, 0, 0, None, None, "clips", [], "night", window=WINDOW)
CLOSED = {
    "start": "22:00",
    "stop_submitting": "06:30",
    "days": ["fri"],
    "timezone": "Europe/Berlin",
    "open": False,
    "opens": "2026-07-03T20:00:00.000Z",
    "closes": "2026-07-04T04:30:00.000Z",
    "text": "Submissions start Fri 22:00 CEST and stop Sat 06:30 CEST",
}
OPEN = {
    **CLOSED,
    "open": True,
    "opens": None,
    "text": "Submissions stop Sat 06:30 CEST; what is generating then is still collected",
}


@pytest.mark.parametrize(("now", "said"), [(BEFORE, CLOSED), (WITHIN, OPEN)])
def test_plan_and_status_say_when_clips_may_be_submitted(now: float, said: dict[str, Any]) -> None:
    """A user who reads "in about 2 h" in the afternoon must not expect clips in the evening."""
    plan = Plan(name="night", steps=[], window=WINDOW)
    assert plan_object(plan, now=now)["window"] == said
    assert f"{said['text']}." in plan_text(plan, 100, now=now)
    obj = status_object(FACTS, now=now)
    assert obj["window"] == said
    assert f"{said['text']}." in status_text(obj, 100)


def test_a_finished_batch_has_no_next_night() -> None:
    """There is nothing left to submit."""
    done = replace(FACTS, counts={State.DONE: 2})
    assert "Submissions" not in status_text(status_object(done, now=BEFORE), 100)


def test_no_window_is_none() -> None:
    """In the ledger of a release that knew of none, too."""
    assert [window_of(text) for text in (None, "")] == [None, None]
    obj = status_object(replace(FACTS, window=None), now=BEFORE)
    assert obj["window"] is None
    assert "Submissions" not in status_text(obj, 100)


def test_the_sandbox_has_no_hours(tmp_path: Path) -> None:
    """A rehearsal in the afternoon does not wait for the night."""
    path = tmp_path / "night.yaml"
    path.write_text("prompts: [a]\nwindow: {start: 22:00, stop_submitting: 06:30}\n")
    manifest = load(path)
    assert merge({}, manifest).window == Window("22:00", "06:30")
    assert merge({"sandbox": True}, manifest).window is None
