"""What the page gets of a batch: all clips at first, once for each revision, and later what changed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen.events import SubmitStarted
from batchgen.ledger import SqliteLedger
from batchgen.review.checks import Checks
from batchgen.review.picks import Picks
from batchgen.review.state import BatchState, Revision
from batchgen.testing import wanted

BEGIN = Revision()


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    ledger = SqliteLedger(tmp_path)
    ledger.remember("name", "night")
    ledger.sync([wanted(number) for number in range(3)])
    return ledger


def answer(state: BatchState, seen: Revision = BEGIN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(state.written_since(seen))
    return found


async def test_a_second_tab_gets_all_clips_as_they_are_now(ledger: SqliteLedger, tmp_path: Path) -> None:
    """What was written for the first one is used again only while nothing has changed."""
    with closing(ledger), closing(Picks(tmp_path)) as picks:
        state = BatchState("night", tmp_path, picks, Checks(tmp_path, work=False))
        first = answer(state)
        assert answer(state) == first
        assert [clip["state"] for clip in first["clips"]] == ["pending"] * 3
        picks.change(first["clips"][1]["key"], {"stars": 4})
        assert [each["stars"] for each in (clip["choice"] for clip in answer(state)["clips"]) if each] == [4]
        await ledger.record(ledger.clip(1), SubmitStarted(ledger.now(), 1))
        second = answer(state)
        assert sorted(clip["state"] for clip in second["clips"]) == ["pending", "pending", "submitting"]
        later = answer(state, Revision.parse(first["rev"]))
        assert (later["rev"], later["whole"], len(later["clips"])) == (second["rev"], False, 2)


def test_odd_words_are_written_as_json(ledger: SqliteLedger, tmp_path: Path) -> None:
    """Quotes, line ends, letters of any script, and half an emoji, in a note."""
    words = 'a "b" \\ \n </script> ñ 漢 \ud83d'
    with closing(ledger), closing(Picks(tmp_path)) as picks:
        state = BatchState("night", tmp_path, picks, Checks(tmp_path, work=False))
        picks.change(answer(state)["clips"][0]["key"], {"note": words})
        assert [clip["choice"]["note"] for clip in answer(state)["clips"] if clip["choice"]] == [words[:-1] + "?"]
