"""What the ledger knows of a batch, gathered for `status`."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from fakes import wanted

from batchgen.cli.facts import facts_of
from batchgen.clip import AnswerLost, SubmitStarted
from batchgen.ledger import Ledger
from batchgen.looks import LOOKS, Look


def test_a_doubt_has_the_look_at_its_own_request_only(tmp_path: Path) -> None:
    """A look at an earlier request of the clip says nothing of the one that is in doubt now."""
    with closing(Ledger(tmp_path)) as ledger:
        ledger.sync([wanted(0), wanted(1)])

        async def doubts() -> None:
            for row in (1, 2):
                clip = await ledger.record(ledger.clip(row), SubmitStarted(100.0))
                await ledger.record(clip, AnswerLost("reset"))
            await ledger.keep(LOOKS, {1: Look(90.0, "old", 50.0).text(), 2: Look(190.0, "new", 100.0).text()})

        asyncio.run(doubts())
        looks = [problem.look for problem in facts_of(ledger, "night").problems]
    assert looks[0] is None
    assert looks[1] == Look(190.0, "new", 100.0)


def test_what_is_kept_takes_the_place_of_what_was(tmp_path: Path) -> None:
    """And other facts of the batch stay as they are."""
    with closing(Ledger(tmp_path)) as ledger:
        ledger.remember("look", "no look")
        ledger.remember("looks", "neither")
        asyncio.run(ledger.keep(LOOKS, {1: "a", 22: "b"}))
        asyncio.run(ledger.keep(LOOKS, {3: "c"}))
        assert ledger.kept(LOOKS) == {3: "c"}
        assert (ledger.meta("look"), ledger.meta("looks")) == ("no look", "neither")
