"""The copy of the ledger's events: whole, caught up, cheap, and never in a run's way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from clip_histories import LIVES, START, accepted, lead
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import LedgerError
from batchgen.events import Submitted
from batchgen.ledger import FILE, Reader, SqliteLedger, journal, schema
from batchgen.testing import wanted


def entries(folder: Path, kind: str = "e") -> list[list[object]]:
    """The values of all lines of one kind; none of them may be damaged."""
    found = list(journal.lines(folder / journal.FILE))
    assert None not in found
    return [values[1:] for values in found if values and values[0] == kind]


@pytest.fixture
def folder(ram: Path) -> Iterator[Path]:
    """A batch that was closed, with a clip in every state."""
    lead(ram / "night").close()
    yield ram / "night"


def in_ledger(folder: Path) -> list[list[object]]:
    """The events as the ledger has them, in the form of the log's lines."""
    with closing(Reader(folder)) as reader:
        query = "SELECT e.seq, c.key, e.at, e.name FROM event e JOIN clip c ON c.id = e.clip ORDER BY e.seq"
        return [list(row) for row in reader._db.execute(query)]


def test_the_log_has_every_event_of_the_ledger_under_its_number(folder: Path) -> None:
    """A ledger that is built from it is the same."""
    assert [entry[:4] for entry in entries(folder)] == in_ledger(folder)
    described = {str(entry[0]["key"]) for entry in entries(folder, "c")}  # type: ignore[index]
    assert len(described) == len(LIVES) - 1  # nothing ever happened to the pending one


def test_an_id_is_in_the_log_as_soon_as_it_is_in_the_ledger(ram: Path) -> None:
    """Not when a buffer is full: kill -9 leaves both."""
    ledger = lead(ram / "night")
    try:
        assert accepted(2).request_id in (ram / "night" / journal.FILE).read_text()
        assert [entry[:4] for entry in entries(ram / "night")] == in_ledger(ram / "night")
    finally:
        ledger.close()


async def test_a_line_is_written_after_its_commit_and_never_without_it(ram: Path) -> None:
    """A log that says more than the ledger would be taken for proof that the ledger is an old copy."""
    with closing(SqliteLedger(ram)) as ledger:
        ledger.sync([wanted(0)])
        ledger._out.execute(
            "CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        )
        with pytest.raises(Exception, match="full"):
            await ledger.record(ledger.clip(1), START)
    assert not entries(ram)


@pytest.mark.parametrize("keep", [0, 40, 3000, -1])
def test_what_the_log_lacks_is_caught_up_at_the_next_start(folder: Path, keep: int) -> None:
    """Deleted, cut by a power cut, torn within a line, or never there (a ledger of an earlier release)."""
    path = folder / journal.FILE
    if keep < 0:
        path.unlink()
    else:
        os.truncate(path, keep)
    SqliteLedger(folder).close()
    whole = {tuple(map(str, values[1:5])) for values in journal.lines(path) if values and values[0] == "e"}
    assert len(whole) == len(in_ledger(folder))
    assert {str(row[0]) for row in in_ledger(folder)} == {seq for seq, *_ in whole}


def test_a_clean_start_adds_nothing_but_a_mark(folder: Path) -> None:
    """Else a batch that is opened each morning would copy itself for ever."""
    SqliteLedger(folder).close()
    before = (folder / journal.FILE).read_bytes()
    for _ in range(3):
        SqliteLedger(folder).close()
    assert (folder / journal.FILE).read_bytes() == before


def test_a_log_that_can_not_be_written_is_told_once_and_holds_nothing_up(
    ram: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger is whole; the copy is caught up when it can be."""
    (ram / "night" / journal.FILE).mkdir(parents=True)
    lead(ram / "night").close()
    assert caplog.text.count("goes on without this copy") == 1
    (ram / "night" / journal.FILE).rmdir()
    SqliteLedger(ram / "night").close()
    assert [entry[:4] for entry in entries(ram / "night")] == in_ledger(ram / "night")


def test_a_full_disk_in_the_middle_of_a_line_is_borne(folder: Path) -> None:
    """What was written of it is damaged, the next line is not."""
    with (folder / journal.FILE).open("ab") as file:
        file.write(b'["00000000","e",99,"k')
    os.utime(folder / FILE, (0, 0))
    SqliteLedger(folder).close()
    kinds = [values and values[0] for values in journal.lines(folder / journal.FILE)]
    assert kinds.count(None) == 1
    assert kinds[-1] == "m"


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 7))
def test_no_damaged_line_is_taken_for_a_sound_one(tail: bytes, at: int, bit: int) -> None:
    """An id that was changed would be asked for, and not found."""
    sound = journal.line("e", 7, "c1-00", 1.5, "Submitted", {"request_id": "r-1", "at": 1.5}).rstrip(b"\n")
    assert journal.parsed(sound) == ["e", 7, "c1-00", 1.5, "Submitted", {"request_id": "r-1", "at": 1.5}]
    flipped = bytearray(sound)
    flipped[at % len(sound)] ^= 1 << bit
    read = journal.parsed(bytes(flipped))
    assert read is None or read == journal.parsed(sound)  # a capital letter of the checksum is none the worse
    assert journal.parsed(tail) is None
    assert journal.parsed(sound[: at % len(sound)]) is None


# --- a log that is ahead --------------------------------------------------------------------------------------


async def test_a_copy_of_the_ledger_that_was_brought_back_is_not_run(folder: Path, tmp_path: Path) -> None:
    """It does not know what was paid for since: every clip of that time would be paid for again."""
    copy = shutil.copy(folder / FILE, tmp_path)
    ledger = SqliteLedger(folder)
    await ledger.record(ledger.clip(11), START)
    await ledger.record(ledger.clip(11), Submitted("new", 1.0))
    ledger.close()
    shutil.copy(copy, folder / FILE)
    for kind in (SqliteLedger, Reader):
        with pytest.raises(LedgerError, match="older than its log: 2 events"):
            kind(folder)
    assert (folder / FILE).read_bytes() == (tmp_path / FILE).read_bytes()


@pytest.mark.parametrize("gone", ["deleted", "emptied"])
@pytest.mark.parametrize("logged", [True, False], ids=["with its log", "without"])
def test_a_ledger_that_is_gone_is_not_started_anew(folder: Path, gone: str, logged: bool) -> None:
    """All of the batch would be paid for again. Without a log the spill file tells that a run was here."""
    (folder / FILE).unlink()
    if gone == "emptied":
        (folder / FILE).touch()
    if not logged:
        (folder / journal.FILE).unlink()
    for kind in (SqliteLedger, Reader):
        with pytest.raises(LedgerError, match="has run before"):
            kind(folder)
    assert (folder / FILE).exists() == (gone == "emptied")


def test_a_first_run_that_was_killed_before_its_tables_were_made_is_no_damage(tmp_path: Path) -> None:
    """Nothing was sent yet, and the folder may be used."""
    schema.connect(tmp_path / FILE, writable=True).close()
    assert (tmp_path / FILE).stat().st_size
    SqliteLedger(tmp_path).close()


@pytest.mark.parametrize("wal", ["deleted", "damaged"])
def test_a_wal_that_is_lost_after_a_kill_is_noticed(ram: Path, wal: str) -> None:
    """SQLite drops the commits that were in it without a word."""
    ledger = lead(ram / "night")
    killed = ram / "killed"
    shutil.copytree(ledger.folder, killed, ignore=shutil.ignore_patterns("*-shm", ".lock*"))
    ledger.close()
    path = killed / f"{FILE}-wal"
    assert path.stat().st_size
    if wal == "deleted":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(LedgerError, match=r"older than its log|as a ledger"):
        SqliteLedger(killed)
