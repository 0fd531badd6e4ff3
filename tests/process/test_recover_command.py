"""`batchgen recover` as a person meets it: a ledger that is broken, and the night after."""

from __future__ import annotations

import shutil

import pytest
from command import Desk
from scripted_service import FakeApi


def broken(desk: Desk) -> bytes:
    """Damage the ledger of a batch; give what it is now."""
    path = desk.batch / "ledger.db"
    path.write_bytes(b"\0" * 8192)
    return path.read_bytes()


def recovered(desk: Desk, *options: str) -> dict[str, object]:
    return desk.call("recover", "night.yaml", "--yes", "--json", *options).expect(0).obj


def test_a_broken_ledger_is_built_anew_and_nothing_is_paid_for_again(api: FakeApi, desk: Desk) -> None:
    """From its log; the damaged file is kept as it was."""
    desk.manifest("a cat", "a dog", "a fox")
    desk.run().expect(0, done=3)
    damaged = broken(desk)
    told = desk.run().expect(2)
    assert "batchgen recover" in told.said
    assert (desk.batch / "ledger.db").read_bytes() == damaged
    found = recovered(desk)
    assert found["state"] == {"done": 3}
    assert found["requests"] == 3
    [aside] = desk.batch.glob("ledger-damaged-*")
    assert (aside / "ledger.db").read_bytes() == damaged
    desk.run().expect(0, done=3)
    assert len(api.of("submit")) == 3
    assert desk.call("report", "night.yaml", "--bill", "--json").expect(0).code == 0


@pytest.mark.parametrize("gone", ["ledger.db", "ledger.log"])
def test_one_of_the_two_files_is_enough(gone: str, api: FakeApi, desk: Desk) -> None:
    """A ledger that was deleted is told, not begun anew; a log that was deleted is nobody's loss."""
    desk.manifest("a cat", "a dog")
    desk.run().expect(0, done=2)
    for path in desk.batch.glob(f"{gone}*"):
        path.unlink()
    if gone == "ledger.db":
        desk.run().expect(2)
        assert recovered(desk)["state"] == {"done": 2}
    desk.run().expect(0, done=2)
    assert len(api.of("submit")) == 2


def test_new_clips_wait_until_the_history_was_asked(api: FakeApi, desk: Desk) -> None:
    """What the lost lines held may have been accepted; the user's word goes round it."""
    desk.manifest("a cat", "a dog")
    desk.run().expect(0, done=2)
    broken(desk)
    recovered(desk)
    desk.manifest("a cat", "a dog", "a fox")
    stopped = desk.run().expect(4)
    assert "--trust-recovery" in stopped.obj["stopped"]
    assert len(api.of("submit")) == 2
    desk.run("--trust-recovery").expect(0, done=3)
    assert len(api.of("submit")) == 3


def test_a_sound_ledger_is_left_alone(desk: Desk) -> None:
    """So is a batch that has none."""
    desk.manifest("a cat")
    assert "no ledger" in desk.call("recover", "night.yaml", "--yes").expect(2).said
    desk.run().expect(0, done=1)
    assert "is intact" in desk.call("recover", "night.yaml", "--yes").expect(2).said
    assert not list(desk.batch.glob("ledger-damaged-*"))
    shutil.rmtree(desk.batch)


def test_nobody_at_the_terminal_means_that_nothing_is_changed(desk: Desk) -> None:
    """As for every command that asks."""
    desk.manifest("a cat")
    desk.run().expect(0, done=1)
    damaged = broken(desk)
    assert "--yes" in desk.call("recover", "night.yaml").expect(2).said
    assert (desk.batch / "ledger.db").read_bytes() == damaged
