"""The last resort for a request id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.ledger.journal import SPILL_SIZE, Spill


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[Spill]:
    made = Spill(tmp_path / "ledger.spill")
    yield made
    made.close()


def test_it_has_its_blocks_before_they_are_needed(spill: Spill) -> None:
    """A full disk has none left to give."""
    assert spill.path.stat().st_size == SPILL_SIZE
    spill.add("k1", "r1", 1.5)
    assert spill.path.stat().st_size == SPILL_SIZE


def test_what_was_added_is_read_by_the_next_run(spill: Spill) -> None:
    """This file is all that is left of a payment."""
    spill.add("k1", "r1", 1.5)
    spill.add("ключ “2”", "r/2", 2.5)
    again = Spill(spill.path)
    assert again.entries() == [("k1", "r1", 1.5), ("ключ “2”", "r/2", 2.5)]
    again.add("k3", "r3", 3.5)
    assert [key for key, _, _ in again.entries()] == ["k1", "ключ “2”", "k3"]
    again.close()


@pytest.mark.parametrize("torn", [b'{"key": "k2", "requ', b"{}\n", b"\xff\xfe\n", b'{"key": 1}\n', b"[]\n", b"\n"])
def test_a_torn_line_costs_no_other(spill: Spill, torn: bytes) -> None:
    """The power may go while it is written; what is added behind it must be found."""
    spill.add("k1", "r1", 1.0)
    whole = spill.path.read_bytes().rstrip(b"\0")
    spill.path.write_bytes((whole + torn).ljust(SPILL_SIZE, b"\0"))
    again = Spill(spill.path)
    assert [key for key, _, _ in again.entries()] == ["k1"]
    again.add("k3", "r3", 3.0)
    assert [key for key, _, _ in again.entries()] == ["k1", "k3"]
    again.close()


def test_cleared_is_empty_and_still_has_its_blocks(spill: Spill) -> None:
    """An id must not be taken up a second time by a later run."""
    spill.add("k1", "r1", 1.0)
    spill.clear()
    assert spill.entries() == []
    assert Spill(spill.path).entries() == []
    assert spill.path.stat().st_size == SPILL_SIZE


def test_more_than_was_set_aside_is_kept_too(spill: Spill) -> None:
    """The bound is a guess."""
    for n in range(1500):
        spill.add(f"k{n}", f"r{n}", float(n))
        if n > 5 and spill.path.stat().st_size > SPILL_SIZE:
            break
    assert spill.path.stat().st_size > SPILL_SIZE
    assert len(spill.entries()) == n + 1
    spill.clear()
    assert spill.entries() == []
