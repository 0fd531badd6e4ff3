"""A run whose store has other carriers, too: handed out twice, out of room all of a sudden, or moved by another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from batch import Batch, check

from batchgen.billing.budget import NOTHING_SET_ASIDE, Cap, SetAside
from batchgen.clip import Clip, State
from batchgen.errors import BatchgenError
from batchgen.events import Event, SubmitStarted
from batchgen.ledger import FencedError, NoRoomError, SqliteLedger
from batchgen.runner.work import WorkList
from batchgen.selection import Selection


def test_a_clip_that_is_handed_out_twice_is_carried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work hands out hints: the second hint waits for the first carry, and takes no slot and no part of a limit."""
    offer = WorkList.offer

    async def twice(self: WorkList, rows: Iterable[int]) -> None:
        await offer(self, [row for row in rows for _ in range(2)])

    monkeypatch.setattr(WorkList, "offer", twice)
    batch = Batch(tmp_path, 3)
    life = batch.live(Selection(limit=3))
    assert batch.states() == [State.DONE] * 3
    assert len(batch.provider.posts) == 3
    check(batch, life)


def refuse_first_intent(monkeypatch: pytest.MonkeyPatch, error: BatchgenError) -> list[str]:
    """Let the store refuse the first intent of a run; gives the keys of all clips whose intent was asked for."""
    asked: list[str] = []
    record = SqliteLedger.record

    async def refusing(
        self: SqliteLedger, clip: Clip, event: Event, *, set_aside: SetAside | None = NOTHING_SET_ASIDE
    ) -> Clip:
        if isinstance(event, SubmitStarted):
            asked.append(clip.key)
            if len(asked) == 1:
                raise error
        return await record(self, clip, event, set_aside=set_aside)

    monkeypatch.setattr(SqliteLedger, "record", refusing)
    return asked


def test_a_clip_that_finds_no_room_waits_and_is_submitted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine took the room after this one had looked: nothing is sent without a reservation."""
    asked = refuse_first_intent(monkeypatch, NoRoomError(Cap.TOTAL))
    batch = Batch(tmp_path, 3)
    life = batch.live()
    assert batch.states() == [State.DONE] * 3
    assert asked.count(asked[0]) == 2
    assert len(batch.provider.posts) == 3
    check(batch, life)


def test_a_clip_that_another_one_carries_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The carry ends without a word to the service, and the run goes on."""
    asked = refuse_first_intent(monkeypatch, FencedError("clip shot0_1 is already submitting"))
    batch = Batch(tmp_path, 3)
    life = batch.live()
    assert sorted(batch.states()) == [State.DONE, State.DONE, State.PENDING]
    assert asked.count(asked[0]) == 1
    assert len(batch.provider.posts) == 2
    assert "already submitting" in caplog.text
    check(batch, life)
