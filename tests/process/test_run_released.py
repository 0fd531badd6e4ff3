"""Ledgers of earlier releases, met by the command of this one."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command import Desk
from scripted_service import FakeApi

RELEASED = sorted((Path(__file__).parents[1] / "data" / "ledgers").glob("*.db"))


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_a_released_ledger_is_shown_planned_billed_and_run_to_its_end(released: Path, api: FakeApi, desk: Desk) -> None:
    """Nothing of it is submitted again, and what the manifest wants now is made."""
    desk.manifest("a cat", "a dog")
    desk.batch.mkdir()
    shutil.copy(released, desk.batch / "ledger.db")
    with closing(sqlite3.connect(desk.batch / "ledger.db")) as db:  # no test goes out to the real host
        db.execute("UPDATE request SET url = ? WHERE url IS NOT NULL", (f"{desk.url}/gone.mp4",))
        db.commit()
    before = desk.call("status", "night.yaml", "--json").expect(0).obj
    assert before["state"]["done"] == 1
    assert before["spent_usd"] == 1.875
    assert desk.call("plan", "night.yaml", "--json").expect(0).obj["new"] == 2
    assert desk.call("report", "night.yaml", "--bill", "--json").expect(0).obj["schema_version"] == 1
    ended = desk.run("--moved", "--history-settle", "0", "--deadline", "5", "--give-up", "5")
    assert ended.code in {0, 4, 5}
    assert "Traceback" not in ended.said
    assert sorted(call.params["prompt"] for call in api.of("submit")) == ["a cat", "a dog"]
    after = desk.call("status", "night.yaml", "--json").expect(0).obj
    assert after["state"]["done"] == 2
    assert after["spent_usd"] >= before["spent_usd"]
