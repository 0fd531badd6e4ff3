"""`status` without a name: one line a batch."""

from __future__ import annotations

from dataclasses import replace

from test_status import CLEAN, FACTS, NOW, ZONE

from batchgen.ledger.base import LastRun
from batchgen.views.batches import batches_text
from batchgen.views.status import status_object
from batchgen.views.text import columns


def test_a_batch_is_one_line_with_what_needs_attention() -> None:
    """Ten nights fit on a screen; the name is the one to type, and a batch that can't be read hides no other."""
    good = status_object(replace(CLEAN, last_run=LastRun(NOW - 9_000, NOW - 600, 0)), now=NOW)
    bad = status_object(replace(FACTS, last_run=LastRun(NOW - 9_000)), now=NOW)
    broken = {"name": "old", "error": {"message": "it is damaged"}}
    text = batches_text([("night", good), ("shift", bad), ("old", broken)], 100, tz=ZONE)
    heads, first, second, third = text.splitlines()[:4]
    assert heads.split() == ["Batch", "Done", "Failed", "Spent", "Budget", "Last", "run", "Needs", "attention"]
    assert first.split() == ["night", "200/200", "0", "$41.20", "$120.00", "03:02", "-"]
    assert second.split()[:6] == ["shift", "142/198", "16", "$41.20", "$120.00", "killed"]
    assert "1 unconfirmed, 1 lost, 15 failed" in second
    assert "cannot be read: it is damaged" in third
    assert max(columns(line) for line in batches_text([("night", bad)] * 3, 80, tz=ZONE).splitlines()) <= 80


def test_without_any_batch_it_says_how_to_begin() -> None:
    """A first look must not end in an empty screen."""
    assert "batchgen init NAME" in batches_text([])
