"""What the ledger knows of a batch, gathered for `status`."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

from batchgen.events import AnswerLost, Generated, SubmitStarted, Submitted
from batchgen.history.report import LOOKS, HistoryCheck
from batchgen.ledger import Home, SqliteLedger, replacing
from batchgen.ratelimit.memory import AccountMemory
from batchgen.testing import wanted
from batchgen.views.facts import facts_of
from batchgen.views.learned_facts import learned_of


def test_what_was_learned_is_by_class_with_the_looks_that_it_leads_to(tmp_path: Path, monkeypatch: Any) -> None:
    """Run times of the ledger, the pace of the account; few looks where the calls are few."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    AccountMemory.of("https://api.example", "a1", wall=lambda: 1000.0).rate(32.0, 60.0, ceiling=120.0)
    AccountMemory.of("https://api.example", "a1", wall=lambda: 1500.0).places(40.0, 400)
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.sync([wanted(n) for n in range(20)])
        ledger.bind(Home("night.yaml", "https://api.example", "a1"))
        ledger.remember("looks_per_s", repr(0.95 * 120 / 60))

        async def lives() -> None:
            for n in range(20):
                clip = await ledger.record(ledger.clip(n + 1), SubmitStarted(100.0))
                clip = await ledger.record(clip, Submitted(f"r{n}", 100.0))
                done = Generated("https://x/y.mp4", 400.0, 625_000, None, queue_s=10.0 + n, run_s=200.0 + n)
                await ledger.record(clip, done)

        asyncio.run(lives())
        learned = learned_of(ledger, 4600.0)
        (each,) = learned.classes
        assert (learned.rate, learned.in_flight) == ((32.0, 3600.0), (40.0, 3100.0))
        assert (min(each.run), max(each.queue), len(each.run)) == (200.0, 29.0, 20)
        assert each.ages[0] > 190
        assert each.looks < 2
        ledger.remember("looks_per_s", "inf")
        AccountMemory.of("https://api.example", "a1", wall=lambda: 4600.0).forget_rate()
        assert learned_of(ledger, 4600.0).classes[0].looks > 3


def test_a_doubt_has_the_look_at_its_own_request_only(tmp_path: Path) -> None:
    """A look at an earlier request of the clip says nothing of the one that is in doubt now."""
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.sync([wanted(0), wanted(1)])

        async def doubts() -> None:
            for row in (1, 2):
                clip = await ledger.record(ledger.clip(row), SubmitStarted(100.0))
                await ledger.record(clip, AnswerLost("reset"))
            looks = {1: HistoryCheck(90.0, "old", 50.0).text(), 2: HistoryCheck(190.0, "new", 100.0).text()}
            await ledger.set_facts(replacing(LOOKS, (), looks))

        asyncio.run(doubts())
        looks = [problem.look for problem in facts_of(ledger, "night").problems]
    assert looks[0] is None
    assert looks[1] == HistoryCheck(190.0, "new", 100.0)


def test_what_is_kept_takes_the_place_of_what_was(tmp_path: Path) -> None:
    """And other facts of the batch stay as they are."""
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.remember("look", "no look")
        ledger.remember("looks", "neither")
        asyncio.run(ledger.set_facts(replacing(LOOKS, (), {1: "a", 22: "b"})))
        asyncio.run(ledger.set_facts(replacing(LOOKS, ledger.facts(LOOKS), {3: "c"})))
        assert ledger.facts(LOOKS) == {3: "c"}
        assert (ledger.meta("look"), ledger.meta("looks")) == ("no look", "neither")
