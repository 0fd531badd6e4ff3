"""A rebuilt ledger: what it lost is found in the account's history before anything is submitted."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from batch import Batch, Limits, check

from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.ledger import FILE, Reader, SqliteLedger, journal
from batchgen.ledger.integrity import traces
from batchgen.ledger.recovery.rebuild import BLIND, recover
from batchgen.testing import EPOCH, FakeProvider, always, first, wanted


def lose(batch: Batch, keep: int) -> None:
    """Damage the ledger, and cut its log after some events, as a power cut may; then recover."""
    path = batch.folder / journal.FILE
    kept, events = [], 0
    for text in path.read_bytes().splitlines(keepends=True):
        events += b'"e"' in text[:16]
        if events > keep:
            break
        kept.append(text)
    path.write_bytes(b"".join(kept))
    for sidecar in (batch.folder / "clips").glob("*.json"):  # which know the ids, too
        sidecar.unlink()
    (batch.folder / FILE).write_bytes(b"no database " * 400)
    recover(batch.folder, batch.wanted)
    # The files' times are this machine's, the batch's are virtual.
    with closing(SqliteLedger(batch.folder)) as ledger:
        ledger.remember(BLIND, json.dumps({"since": EPOCH, "until": EPOCH + batch.clock}))


def blind(batch: Batch) -> str:
    with closing(Reader(batch.folder)) as reader:
        return reader.meta(BLIND) or ""


@pytest.mark.parametrize("keep", [0, 1, 3, 7, 20])
def test_what_the_log_lost_is_found_and_collected_and_not_paid_for_again(ram: Path, keep: int) -> None:
    """However much of it is gone."""
    batch = Batch(ram, 6, limits=Limits(settle_s=0.0))
    batch.live()
    assert len(batch.provider.posts) == 6
    lose(batch, keep)
    all_known = len(batch.clips()) == 6
    life = batch.live()
    assert len(batch.provider.posts) == 6
    assert batch.states() == [State.DONE] * 6
    assert bool(blind(batch)) == all_known  # where nothing is left to be submitted, nothing need be asked
    check(batch, life)


def test_what_was_never_accepted_is_submitted_once_the_history_says_so(ram: Path) -> None:
    """The night goes on by itself."""
    batch = Batch(ram, 3, limits=Limits(settle_s=0.0))
    batch.live()
    lose(batch, 99)
    batch.wanted += [wanted(7), wanted(8)]
    life = batch.live()
    assert len(batch.provider.posts) == 5
    assert batch.states() == [State.DONE] * 5
    check(batch, life)


@pytest.mark.parametrize("look", ["down", "part", "lag"])
def test_nothing_is_submitted_while_the_history_can_not_tell(ram: Path, look: str) -> None:
    """Out of reach, not whole, or too young: the run collects, stops, and says what to do."""
    batch = Batch(ram, 4, limits=Limits(settle_s=0.0))
    batch.live()
    lose(batch, 2)
    if look == "lag":
        batch.limits = replace(batch.limits, settle_s=7200.0)
    else:
        batch.provider.look = always(look)
    for _ in range(2):
        life = batch.live()
        assert life.exit is Exit.STOPPED
        assert "--trust-recovery" in life.why
        assert len(batch.provider.posts) == 4
        assert blind(batch)
    batch.provider.look = first()
    batch.clock += 7300
    life = batch.live()
    assert len(batch.provider.posts) == 4
    assert batch.states() == [State.DONE] * 4
    check(batch, life)


def test_a_later_retry_is_held_against_it_too(ram: Path) -> None:
    """The clip had failed by its log; its second request is in the part that was lost."""
    provider = FakeProvider(fate=first("final"))
    batch = Batch(ram, 1, provider=provider, limits=Limits(settle_s=0.0))
    batch.live()
    assert batch.states() == [State.FAILED]
    retry(batch)
    batch.live()
    assert batch.states() == [State.DONE]
    lose(batch, 3)
    batch.wanted.append(wanted(5))
    batch.live()
    assert batch.states() == [State.FAILED, State.DONE]
    assert not blind(batch)
    retry(batch)
    life = batch.live()
    assert len(provider.posts) == 3
    assert batch.states() == [State.DONE, State.DONE]
    check(batch, life)


def retry(batch: Batch) -> None:
    """Put the failed clip back."""
    from batchgen.events import Retried

    with closing(SqliteLedger(batch.folder)) as ledger:
        [clip] = ledger.clips(State.FAILED)
        asyncio.run(ledger.record(clip, Retried()))


def emptied(folder: Path, clips: int, *, give_up_s: float = 7200.0) -> Batch:
    """A batch that was paid for, with an empty ledger in the place of its own."""
    batch = Batch(folder, clips, limits=Limits(settle_s=0.0, give_up_s=give_up_s))
    batch.live()
    batch.clock += 600.0
    for path in [*batch.folder.glob("*"), *(batch.folder / "clips").glob("*.json")]:
        if path.is_file():
            path.unlink()
    batch.since, batch.traces = EPOCH - 60.0, True
    return batch


def test_an_empty_ledger_in_a_folder_that_was_paid_for_waits_for_the_history(ram: Path) -> None:
    """An outage of the history is waited out; all would be paid for again."""
    batch = emptied(ram, 4)
    until = batch.clock + 1_800.0
    batch.provider.look = lambda: "down" if asyncio.get_running_loop().time() < until else "ok"
    life = batch.live()
    assert len(batch.provider.posts) == 4
    assert (life.exit, batch.states()) == (None, [State.DONE] * 4)
    assert 1_800.0 <= life.lasted_s < 1_800.0 + 900.0
    assert life.tools.waits == ""
    check(batch, life)


def test_a_history_that_stays_silent_ends_such_a_run_and_says_what_to_do(ram: Path) -> None:
    """After --give-up, with nothing submitted; a ledger that has requests of its own goes on with a warning."""
    batch = emptied(ram, 4, give_up_s=900.0)
    batch.provider.look = always("down")
    life = batch.live()
    assert (life.exit, len(batch.provider.posts)) == (Exit.STOPPED, 4)
    assert life.why.startswith("outage: the request history gives no answer since ")
    assert "--trust-recovery" in life.why
    assert 900.0 <= life.lasted_s < 1_000.0
    assert batch.states() == [State.PENDING] * 4
    batch.traces = False
    life = batch.live()
    assert (life.exit, len(batch.provider.posts)) == (None, 8)


def test_what_a_folder_shows_of_earlier_payments(tmp_path: Path) -> None:
    """A film, a part of one, or a request; a run that never got so far leaves nothing of the kind."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "events.jsonl").write_text('{"event": "ended", "t": "2026-11-27T22:00:00Z"}\n')
    assert not traces(tmp_path)
    for name in ("a.mp4", "a.mp4.part"):
        (tmp_path / "clips" / name).touch()
        assert traces(tmp_path)
        (tmp_path / "clips" / name).unlink()
    sent = {"event": "Submitted", "t": "2026-11-27T22:00:00Z", "key": "k", "request_id": "r"}
    (tmp_path / "events.jsonl").write_text(json.dumps(sent))
    assert traces(tmp_path)
