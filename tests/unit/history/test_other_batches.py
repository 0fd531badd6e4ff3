"""What other batches of this machine have is not claimed by this one; their ledgers are only read."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.events import SubmitStarted, Submitted
from batchgen.history.other_batches import request_ids
from batchgen.ledger import FILE, Home, SqliteLedger
from batchgen.testing import wanted


def batch(folder: Path, *ids: str, origin: str = "https://a", account: str = "me") -> Path:
    """A batch with some requests."""
    with closing(SqliteLedger(folder)) as ledger:
        ledger.bind(Home("night.yaml", origin, account))
        ledger.sync([wanted(n) for n in range(len(ids))])

        async def submit() -> None:
            for row, request_id in enumerate(ids, 1):
                clip = await ledger.record(ledger.clip(row), SubmitStarted(1.0))
                await ledger.record(clip, Submitted(request_id, 1.0))
            await ledger.settle()

        asyncio.run(submit())
    return folder


def test_the_requests_of_all_batches_beside_are_known(tmp_path: Path) -> None:
    """But for the batch's own: those it knows better itself."""
    own = batch(tmp_path / "jobs" / "own", "r1")
    batch(tmp_path / "jobs" / "b", "r2", "r3")
    batch(tmp_path / "elsewhere" / "c", "r4")
    assert request_ids(own, [tmp_path / "jobs"]) == {"r2", "r3"}
    assert request_ids(own, [tmp_path / "jobs", tmp_path / "elsewhere", tmp_path / "none"]) == {"r2", "r3", "r4"}


def test_another_account_or_origin_is_no_sibling(tmp_path: Path) -> None:
    """Its requests are in another history."""
    own = batch(tmp_path / "own", "r1")
    batch(tmp_path / "b", "r2", account="you")
    batch(tmp_path / "c", "r3", origin="sandbox")
    assert request_ids(own, [tmp_path]) == set()


@pytest.mark.parametrize("content", [b"", b"no ledger" * 1000, None])
def test_a_damaged_sibling_is_left_out_with_a_warning_and_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    """One bad folder must not hold up the night."""
    own = batch(tmp_path / "own", "r1")
    batch(tmp_path / "b", "r2")
    bad = tmp_path / "bad" / FILE
    bad.parent.mkdir()
    if content is None:
        bad.mkdir()
    else:
        bad.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert request_ids(own, [tmp_path]) == {"r2"}
    assert str(bad.parent) in caplog.text
    assert content is None or bad.read_bytes() == content


def test_a_sibling_that_a_run_holds_is_read_beside_it(tmp_path: Path) -> None:
    """Two batches of one account run side by side."""
    own = batch(tmp_path / "own", "r1")
    with closing(SqliteLedger(batch(tmp_path / "b", "r2"))):
        assert request_ids(own, [tmp_path]) == {"r2"}
