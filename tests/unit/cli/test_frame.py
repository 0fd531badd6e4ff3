"""What the live display shows of single clips, and of the time that is left."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchgen.cli.frame import Recent, cost_left, time_left
from batchgen.clip import Clip, State, Wanted
from batchgen.events import Blocked, Downloaded, Event, Failed, FailedForNow, Generated, SubmitStarted, Submitted
from batchgen.ledger.wishes import SKIPPED
from batchgen.manifest import load
from batchgen.providers.models import Prices
from batchgen.ratelimit.memory import AccountMemory
from batchgen.ratelimit.setup import PaceSetup
from batchgen.runner.session import Session
from batchgen.settings import Settings
from batchgen.states import advance
from batchgen.views.progress import FailureCause


def session(pace: PaceSetup, settings: Settings, *, left: int) -> Any:
    """What the display asks of a session: a batch at its start, with the pacer and the places that it got."""
    counts = {state: left if state is State.PENDING else 0 for state in State}
    return SimpleNamespace(
        ledger=SimpleNamespace(live_totals=SimpleNamespace(counts=counts)),
        manifest=SimpleNamespace(wanted=[SimpleNamespace(model="wan-2.5-t2v")], prices=Prices()),
        settings=settings,
        pace=pace,
        tools=SimpleNamespace(pacer=pace.pacer(), places=pace.places(60.0)),
        elapsed_s=600.0,
    )


async def test_the_time_left_is_reckoned_with_the_rate_and_the_places_of_now(tmp_path: Path) -> None:
    """Not with what was configured, until the run's own pace is known."""

    settings = Settings(rpm=120.0, expect_latency=60.0)
    assert time_left(session(PaceSetup(settings), settings, left=100), 0, 100) == 100 * 2 + 60
    lessons = AccountMemory(tmp_path / "x.learned")
    lessons.rate(60.0, 70.0, ceiling=120.0)
    assert time_left(session(PaceSetup(settings, lessons=lessons), settings, left=100), 0, 100) == 100 * 4 + 60
    lessons.places(10.0, 32, full=True)
    known = session(PaceSetup(settings, lessons=lessons), settings, left=100)
    assert time_left(known, 0, 100) == 100 * 6 + 60
    for _ in range(3):
        known.tools.places.learn(50.0, 60.0, 6)
    assert time_left(known, 0, 100) == 100 * 12 + 60
    assert time_left(known, 20, 100) == 100 * 600 / 20
    known.tools = None
    assert time_left(known, 0, 100) == 100 * 12 + 60


def happen(recent: Recent, row: int, *events: Event) -> None:
    clip = Clip(row, Wanted(f"k{row}", "cat", row, "wan-2.5-t2v", "{}", f"cat_{row}"))
    for event in (SubmitStarted(0.0), *events):
        clip = advance(clip, event)
        recent(clip, event)


def test_what_runs_is_what_the_service_has_the_oldest_first() -> None:
    """From its answer to its end, and not while the file is on its way."""
    recent = Recent([])
    for row in (3, 1, 2, 4):
        happen(recent, row, Submitted(f"r{row}", 1.0))
    assert list(recent.running) == [3, 1, 2, 4]
    happen(recent, 1, Submitted("r1", 1.0), Generated("https://x/a.mp4", 2.0, 1))
    happen(recent, 2, Submitted("r2", 1.0), FailedForNow("busy"))
    happen(recent, 5)
    assert list(recent.running) == [3, 4]
    assert recent.finished == 0


def test_what_is_skipped_or_left_out_is_not_waited_for(tmp_path: Path) -> None:
    """A take that was declined, and what --limit and --only leave out, is not made: it takes no time and no money."""
    settings = Settings(rpm=120.0, expect_latency=60.0)
    night = session(PaceSetup(settings), settings, left=100)
    night.estimate = 1000
    to_make = Recent([]).to_make(100, {f"k{row}": "cat" for row in range(40)})
    assert to_make == 60
    assert time_left(night, 20, to_make) == 60 * 600 / 20
    assert cost_left(night, to_make) == 600
    limited = Recent([], frozenset({"k1", "k2", "k3"}))
    assert limited.to_make(100, {"k3": "cat", "k9": "cat"}) == 2
    happen(limited, 1)
    happen(limited, 8)
    assert limited.to_make(98, {"k3": "cat"}) == 1
    happen(limited, 1, Submitted("r", 1.0), FailedForNow("busy"))
    assert limited.to_make(99, {}) == 3
    assert Recent([], frozenset()).to_make(100, {}) == 0


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, None),
        ({"limit": 2}, {"cat_1", "dog_1"}),
        ({"only": "cat"}, {"cat_1", "cat_3"}),
        ({"only": "cat", "limit": 1}, {"cat_1"}),
        ({"collect_only": True}, set()),
    ],
)
def test_the_options_of_a_run_say_which_clips_it_makes(
    tmp_path: Path, options: dict[str, Any], names: set[str] | None
) -> None:
    """First takes of all prompts first, and no skipped one."""
    path = tmp_path / "n.yaml"
    path.write_text("prompts: [{id: cat, prompt: a cat, takes: 3}, {id: dog, prompt: a dog}]\n")
    manifest = load(path)
    keys = {clip.name: clip.key for clip in manifest.wanted}
    with closing(Session.open(manifest, tmp_path / "n", Settings(sandbox=True, **options), None)) as opened:
        opened.ledger.remember(SKIPPED, json.dumps([keys["cat_2"]]))
        assert opened.pending_keys() == (None if names is None else {keys[name] for name in names})


def test_what_an_earlier_run_left_at_the_service_runs_too() -> None:
    """A resumed night is a night."""
    clip = Clip(7, Wanted("k7", "cat", 7, "wan-2.5-t2v", "{}", "cat_7"), state=State.GENERATING)
    assert Recent([clip]).running == {7: clip}


def test_failures_are_grouped_by_cause_the_most_frequent_first() -> None:
    """An id or a link in a reason makes no cause of its own; the first of each is named."""
    recent = Recent([])
    happen(recent, 1, Blocked("content rules"))
    for row in (2, 3, 4):
        happen(
            recent, row, Submitted(f"r{row}", 1.0), Failed(f"error in job {'2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f6'}{row}")
        )
    assert recent.causes() == [
        FailureCause("error in job 2c7f6e1a-52ab-4c0e-9d0f-1b2c3d4e5f62", 3, "cat_2"),
        FailureCause("content rules", 1, "cat_1"),
    ]
    assert recent.finished == 4


@pytest.mark.parametrize("done", [1, 5])
def test_the_last_ones_that_were_done_are_kept(done: int) -> None:
    """Three names show that it goes on."""
    recent = Recent([])
    for row in range(done):
        happen(recent, row, Submitted("r", 1.0), Generated("https://x/a.mp4", 2.0, 1), Downloaded("a.mp4", 1, "00"))
    assert list(recent.done) == [f"cat_{row}" for row in range(done)][-3:]
    assert recent.finished == done
