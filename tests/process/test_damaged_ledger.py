"""The commands on a damaged ledger: one message, nothing changed, nothing submitted; and the worst of recoveries."""

from __future__ import annotations

import os

import pytest
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def ruin(desk: Desk) -> bytes:
    """Write over a part of each page; the log stays."""
    path = desk.batch / "ledger.db"
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 4096):
        data[at : at + 64] = b"?" * 64
    path.write_bytes(data)
    return bytes(data)


COMMANDS = [
    ["status", "night.yaml", "--json"],
    ["plan", "night.yaml"],
    ["retry", "night.yaml"],
    ["reconcile", "night.yaml"],
    ["forget", "night.yaml", "cat_1"],
    ["report", "night.yaml", "--bill"],
    ["export", "night.yaml"],
    ["verify", "night.yaml"],
    ["doctor", "night.yaml"],
]


def test_every_command_tells_damage_in_one_message_and_leaves_it_as_it_is(api: FakeApi, desk: Desk) -> None:
    """No traceback, no new ledger in its place, exit 2; and `doctor` says what to type."""
    desk.run().expect(0, done=3)
    damaged = ruin(desk)
    for command in [*COMMANDS, desk.paid("--yes", "--json")]:
        ended = desk.call(*command, env={"SEGMIND_BASE_URL": api.url})
        told = ended.said + ended.stdout.decode()
        assert ended.code == 2, (command, told)
        assert "Traceback" not in told
        assert "ledger" in told, command
        assert (desk.batch / "ledger.db").read_bytes() == damaged
    assert "recover" in desk.call("doctor", "night.yaml", env={"SEGMIND_BASE_URL": api.url}).stdout.decode()
    assert api.posts == 3


@pytest.mark.parametrize("log", ["cut", "gone"])
def test_what_the_log_lost_is_found_in_the_history(api: FakeApi, desk: Desk, log: str) -> None:
    """SqliteLedger, events file, sidecars and log are damaged at once; the account still knows."""
    desk.run().expect(0, done=3)
    ruin(desk)
    (desk.batch / "events.jsonl").unlink()
    for sidecar in (desk.batch / "clips").glob("*.json"):
        sidecar.unlink()
    path = desk.batch / "ledger.log"
    lines = path.read_bytes().splitlines(keepends=True)
    if log == "cut":
        path.write_bytes(b"".join(lines[: len(lines) // 3]))
    else:
        path.unlink()
    assert desk.call("recover", "night.yaml", "--yes").code == 0
    desk.run("--history-settle", "0").expect(0, done=3)
    assert api.posts == 3


@pytest.mark.parametrize("damage", ["cut", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("wal", "gone"))])
def test_damage_under_a_run_stops_it_and_what_is_paid_for_is_recovered(api: FakeApi, desk: Desk, damage: str) -> None:
    """No traceback, no submission on a ledger that can't be read, or that is gone."""
    api.run_s = 1.5
    prompts = [f"shot {number}" for number in range(6)]
    desk.manifest(*prompts)
    process = desk.start(*desk.paid("--yes", "--json", "--in-flight", "3"))
    api.until(lambda: api.posts >= 3)
    api.until(lambda: (desk.batch / "ledger.log").read_bytes().count(b'"Submitted"') >= 3)
    ledger, wal = desk.batch / "ledger.db", desk.batch / "ledger.db-wal"
    if damage == "cut":
        os.truncate(ledger, 100)
        os.truncate(wal, 0)
    elif damage == "wal":
        wal.write_bytes(wal.read_bytes()[:40] + b"x" * 60_000)
    else:
        ledger.unlink()
        wal.unlink()
    ended = desk.end(process)
    assert "Traceback" not in ended.said
    assert ended.code == (4 if damage == "gone" else 2), ended.said
    assert "ledger" in ended.obj["stopped"]
    assert desk.call("status", "night.yaml").code == 2
    assert desk.call("recover", "night.yaml", "--yes").code == 0
    desk.run("--history-settle", "0").expect(0, done=6)
    assert api.prompts == dict.fromkeys(prompts, 1)
