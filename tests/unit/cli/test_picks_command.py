"""`batchgen picks`: a list of choices, also where nobody may write, and what to do where a choice can't be kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from read_only import as_anybody, read_only

from batchgen.cli.commands.picks import picks
from batchgen.errors import UsageError
from batchgen.ledger import FILE, SqliteLedger
from batchgen.review.picks import SNAPSHOT, Picks
from batchgen.testing import wanted


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A batch of three clips of which one is picked."""
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.remember("name", "night")
        ledger.sync([wanted(number) for number in range(3)])
        keys = [clip.key for clip in ledger.clips()]
    with closing(Picks(tmp_path)) as store:
        store.change(keys[1], {"pick": 1})
    return tmp_path


def call(batch: Path, options: Sequence[str] = ()) -> Result:
    return CliRunner().invoke(picks, ["night", "--dir", str(batch), "--json", *options])


def listed(result: Result) -> list[int]:
    assert result.exit_code == 0, result.output
    return [clip["pick"] for clip in json.loads(result.output)["clips"]]


def test_a_list_needs_no_right_to_write_and_leaves_nothing(batch: Path) -> None:
    """An archive on a read-only disk says what was chosen; a listing writes nowhere else either."""
    before = {path: path.read_bytes() for path in batch.glob("selects*")}
    with read_only(batch):
        assert listed(as_anybody(lambda: call(batch))) == [0, 1, 0]
    assert listed(call(batch)) == [0, 1, 0]
    assert {path: path.read_bytes() for path in batch.glob("selects*")} == before


def test_commits_of_a_killed_run_are_read_where_nobody_may_write(batch: Path) -> None:
    """They lie in a file next to the ledger until the next run."""
    killed = sqlite3.connect(batch / FILE)
    killed.execute("PRAGMA journal_mode=WAL")
    killed.execute("UPDATE clip SET prompt_id = 'later'")
    killed.commit()
    kept = {path.name: path.read_bytes() for path in batch.glob(f"{FILE}*")}
    killed.close()
    for name, body in kept.items():
        if not name.endswith("-shm"):
            (batch / name).write_bytes(body)
    with read_only(batch):
        result = as_anybody(lambda: call(batch))
    assert [clip["prompt_id"] for clip in json.loads(result.output)["clips"]] == ["later"] * 3


def test_what_can_not_be_kept_is_refused_with_what_to_do(batch: Path) -> None:
    """And nothing is listed as if it had been chosen."""
    (batch / "selects.log").unlink()
    with read_only(batch):
        result = as_anybody(lambda: call(batch, ["--set", "*", "pick"]))
    assert isinstance(result.exception, UsageError)
    assert "no choice can be kept" in str(result.exception)
    assert "--dir" in str(result.exception.tip)


def test_a_list_has_what_was_edited_by_hand(batch: Path) -> None:
    """Though only the page and `--set` take it over."""
    path = batch / SNAPSHOT
    snapshot: dict[str, Any] = json.loads(path.read_text())
    (choice,) = snapshot["clips"].values()
    choice["pick"] = -1
    path.write_text(json.dumps(snapshot))
    log = (batch / "selects.log").read_bytes()
    assert listed(call(batch)) == [0, -1, 0]
    assert (batch / "selects.log").read_bytes() == log
