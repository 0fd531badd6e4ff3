"""The state file: what an edit of the manifest does to it, and whom it belongs to."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.clip import Clip, State
from batchgen.errors import LedgerError, LockedError
from batchgen.events import Downloaded, Event, Generated, SubmitDeferred, SubmitStarted, Submitted
from batchgen.ledger import FILE, Home, Reader, SqliteLedger, schema
from batchgen.testing import wanted

START = SubmitStarted(10.0, reserved=1_250_000)
DONE: list[Event] = [
    START,
    Submitted("r1", 10.0),
    Generated("https://files.example/r1", 70.0, 625_000),
    Downloaded("shot.mp4", 3, "ab"),
]


async def live(ledger: SqliteLedger, row: int, *events: Event) -> Clip:
    clip = ledger.clip(row)
    for event in events:
        clip = await ledger.record(clip, event)
    return clip


# --- what is wanted -----------------------------------------------------------------------------------------


async def test_an_edit_adds_what_is_new_and_flags_what_is_gone(ledger: SqliteLedger) -> None:
    """Never submitted is forgotten; paid for is kept, and collected; wanted again is wanted again."""
    await live(ledger, 1, *DONE)
    await live(ledger, 2, START, Submitted("r2", 10.0))
    assert ledger.sync([wanted(4), wanted(7)]) == 1
    states = ledger.states()
    assert set(states) == {"k0.1", "k1.1", "k4.1", "k7.1"}
    assert ledger.live_totals.unwanted == 2
    assert ledger.live_totals.counts[State.PENDING] == 2
    assert await ledger.to_collect() == [2]
    assert ledger.sync(wanted(n) for n in range(5)) == 2
    assert ledger.live_totals.unwanted == 0
    assert ledger.live_totals.counts[State.DONE] == 1


async def test_a_clip_that_was_refused_once_is_not_forgotten(ledger: SqliteLedger) -> None:
    """It has a request in the books."""
    await live(ledger, 1, START, SubmitDeferred("429"))
    ledger.sync([wanted(1)])
    assert ledger.states()["k0.1"] is State.PENDING
    assert [name for _, _, name in await ledger.to_submit()] == ["shot1_1"]


async def test_a_new_label_or_order_is_taken_over_and_the_name_on_disk_stays(ledger: SqliteLedger) -> None:
    """A done file is never renamed behind the user's back."""
    await live(ledger, 1, *DONE)
    ledger.sync([replace(wanted(0), order=9, label="dawn", prompt_id="courier", name="courier_1")])
    clip = ledger.clip(1)
    assert (clip.wanted.order, clip.wanted.label, clip.wanted.prompt_id) == (9, "dawn", "courier")
    assert clip.wanted.name == "shot0_1"
    assert clip.state is State.DONE


async def test_two_clips_never_have_one_name_not_even_in_another_case(ledger: SqliteLedger) -> None:
    """A paid file is never overwritten, on no file system."""
    await live(ledger, 1, *DONE)
    ledger.sync([replace(wanted(0, seed=5), key="another-key", name="SHOT0_1"), wanted(1)])
    names = [clip.wanted.name for clip in ledger.clips()]
    assert len({name.casefold() for name in names}) == len(names) == 3


def test_a_failed_sync_changes_nothing(ledger: SqliteLedger) -> None:
    """A manifest is taken over whole."""

    def breaks() -> Iterator[object]:
        yield wanted(8)
        raise ValueError

    with pytest.raises(ValueError):
        ledger.sync(breaks())  # type: ignore[arg-type]
    assert set(ledger.states()) == {f"k{n}.1" for n in range(5)}
    assert ledger.sync([wanted(0)]) == 0


# --- whose it is --------------------------------------------------------------------------------------------

HOME = Home("../night.yaml", "https://api.example", "f1f2")


def submitted(ledger: SqliteLedger) -> None:
    """Send one request, as a run does."""

    async def send() -> None:
        await ledger.record(ledger.clip(1), SubmitStarted(10.0, reserved=7))
        await ledger.settle()

    asyncio.run(send())


def test_a_batch_belongs_to_one_manifest_origin_and_account(ledger: SqliteLedger) -> None:
    """What the sandbox made must never count as done for the real service."""
    ledger.bind(replace(HOME, account="e4"))
    ledger.bind(HOME)  # a run that was refused before its first request binds nothing
    submitted(ledger)
    ledger.bind(HOME)
    for stranger in (replace(HOME, manifest="x.yaml"), replace(HOME, origin="sandbox"), replace(HOME, account="e5")):
        with pytest.raises(LedgerError, match="--moved"):
            ledger.bind(stranger)
    ledger.bind(replace(HOME, account="e5"), moved=True)
    with pytest.raises(LedgerError):
        ledger.bind(HOME)


def test_a_refusal_does_not_tell_the_accounts_fingerprint(ledger: SqliteLedger) -> None:
    """It is made of the key."""
    ledger.bind(HOME)
    submitted(ledger)
    with pytest.raises(LedgerError, match="another API key") as caught:
        ledger.bind(replace(HOME, account="e5e5"))
    assert "f1f2" not in str(caught.value)
    assert "e5e5" not in str(caught.value)


def test_a_second_run_is_told_who_holds_the_batch(ledger: SqliteLedger) -> None:
    """Two runs on one ledger would pay twice."""
    with pytest.raises(LockedError, match="process"):
        SqliteLedger(ledger.folder)
    with closing(Reader(ledger.folder)) as beside:  # status works beside a live run
        assert beside.totals().counts[State.PENDING] == 5


def test_a_closed_ledger_lets_the_next_run_in(tmp_path: Path) -> None:
    """And one that could not be opened does not hold it either."""
    SqliteLedger(tmp_path).close()
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    for name in tmp_path.glob(f"{FILE}-*"):
        name.unlink()
    for _ in range(2):
        with pytest.raises(LedgerError):
            SqliteLedger(tmp_path)


def test_a_newer_ledger_is_left_alone(tmp_path: Path) -> None:
    """An old release must not guess."""
    SqliteLedger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("PRAGMA user_version=99")
        db.commit()
    with pytest.raises(LedgerError, match="newer"):
        SqliteLedger(tmp_path)
    with pytest.raises(LedgerError, match="newer"):
        Reader(tmp_path)


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    """--dir may point anywhere."""
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("CREATE TABLE x(y)")
        db.commit()
    with pytest.raises(LedgerError, match="not a ledger"):
        SqliteLedger(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("x",)]


def test_commits_survive_a_power_cut(ledger: SqliteLedger) -> None:
    """NORMAL loses acknowledged work in nearly every one."""
    assert ledger._out.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._out.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._out.execute("PRAGMA fullfsync").fetchone() == (1,)


RELEASED = sorted((Path(__file__).parents[2] / "data" / "ledgers").glob("*.db"))


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_a_released_ledger_is_read_and_resumed(released: Path, tmp_path: Path) -> None:
    """An update of the program in the middle of a batch loses nothing."""
    shutil.copy(released, tmp_path / FILE)
    reader = Reader(tmp_path)
    before = list(reader.clips())
    assert {clip.state for clip in before} == set(State)
    reader.close()
    ledger = SqliteLedger(tmp_path)
    assert list(ledger.clips()) == before
    assert ledger.recover() == 1
    after = {clip.key: clip for clip in ledger.clips()}
    assert all(after[clip.key].request_id == clip.request_id for clip in before)
    assert ledger.budget().spent == sum((clip.request.cost or 0) for clip in before if clip.request)
    ledger.close()


def columns(path: Path) -> dict[str, set[tuple[str, str]]]:
    """Tables, each with the names and types of its columns."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: {row[1:3] for row in db.execute(f"PRAGMA table_info({table})")} for table in tables}


def test_a_ledger_of_every_schema_is_kept_and_the_last_one_is_as_new_ones_are(tmp_path: Path) -> None:
    """Whoever changes the tables has to raise SCHEMA, and to keep a ledger of before (`tests/data/make_ledger.py`)."""
    assert {path.stem for path in RELEASED} == {f"schema{n}" for n in range(1, schema.SCHEMA + 1)}
    SqliteLedger(tmp_path).close()
    shutil.copy(RELEASED[-1], tmp_path / "kept.db")
    assert columns(tmp_path / "kept.db") == columns(tmp_path / FILE)


def test_a_commit_that_was_cut_off_with_a_rollback_journal_is_taken_back(tmp_path: Path) -> None:
    """Where the log is a file that is deleted (a network drive, or the very first commit), a kill leaves it behind."""
    (tmp_path / "night").mkdir()
    with closing(sqlite3.connect(tmp_path / "there", isolation_level=None)) as db:
        db.executescript(f"BEGIN;{schema.TABLES}PRAGMA user_version={schema.SCHEMA};COMMIT;PRAGMA cache_size=1;BEGIN;")
        db.executemany("INSERT INTO meta VALUES (?,?)", ((str(n), "x" * 3000) for n in range(50)))
        for end in ("", "-journal"):
            (tmp_path / "night" / f"ledger.db{end}").write_bytes((tmp_path / f"there{end}").read_bytes())
        db.execute("ROLLBACK")
    with closing(Reader(tmp_path / "night")) as reader:
        assert (reader.damage(), reader.meta("1")) == ("", None)
    with closing(SqliteLedger(tmp_path / "night")) as ledger:
        assert ledger.damage() == ""


def test_a_symlink_of_the_lock_owners_name_is_replaced(tmp_path: Path) -> None:
    """It was followed, and the file of yours that it led to was overwritten."""
    (tmp_path / "mine").write_text("mine")
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / ".lock.owner").symlink_to(tmp_path / "mine")
    SqliteLedger(folder).close()
    assert (tmp_path / "mine").read_text() == "mine"
