"""A new ledger from what is left: nothing that was paid for is forgotten, nothing that may have been is submitted."""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from clip_histories import AT, HOME, LIVES, START, accepted, clips, lead
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, State
from batchgen.errors import LedgerError, LockedError, UsageError
from batchgen.events import Downloaded, FailedForNow, Submitted
from batchgen.ledger import FILE, Reader, SqliteLedger, journal
from batchgen.ledger.evidence import Traced
from batchgen.ledger.recovery.rebuild import BLIND, recover
from batchgen.ledger.recovery.replay import Recorded, Sources, rebuild


@pytest.fixture
def folder(ram: Path) -> Path:
    """A batch that was closed, with a clip in every state."""
    lead(ram / "night").close()
    return ram / "night"


def standing(folder: Path) -> dict[str, Clip]:
    with closing(Reader(folder)) as reader:
        return {clip.wanted.prompt_id: clip for clip in reader.clips()}


def ruin(folder: Path) -> None:
    (folder / FILE).write_bytes(b"dear diary " * 4000)


def resume(folder: Path) -> dict[str, Clip]:
    """What the next run finds."""
    with closing(SqliteLedger(folder)) as ledger:
        ledger.bind(HOME)
        ledger.sync(clips())
        ledger.recover()
        return {clip.wanted.prompt_id: clip for clip in ledger.clips()}


def same(one: Clip, other: Clip) -> None:
    """The same but for the numbers of rows."""
    assert (one.wanted, one.state, one.request, one.attempts, one.failures) == (
        other.wanted, other.state, other.request, other.attempts, other.failures,
    )  # fmt: skip
    assert (one.file, one.bytes, one.sha256, one.flags) == (other.file, other.bytes, other.sha256, other.flags)


@pytest.mark.parametrize("gone", ["ruined", "emptied", "deleted"])
def test_with_its_log_a_ledger_is_built_anew_as_it_was(folder: Path, gone: str) -> None:
    """Every clip, request, reservation and cent; what was on its way is in doubt."""
    before = standing(folder)
    with closing(Reader(folder)) as reader:
        money, events = reader.budget(), reader._db.execute("SELECT seq, at, name, detail FROM event").fetchall()
    if gone == "ruined":
        ruin(folder)
    elif gone == "emptied":
        os.truncate(folder / FILE, 0)
    else:
        (folder / FILE).unlink()
    done = recover(folder, clips())
    after = standing(folder)
    assert set(after) == {*before} - {"pending"}
    for life in {*after} - {"submitting"}:
        same(after[life], before[life])
    assert after["submitting"].state is State.UNCONFIRMED
    assert after["submitting"].request
    assert after["submitting"].request.reserved == START.reserved
    with closing(Reader(folder)) as reader:
        assert (reader.budget().spent, reader.budget().reserved) == (money.spent, money.reserved)
        kept = reader._db.execute("SELECT seq, at, name, detail FROM event").fetchall()
        assert kept[: len(events)] == events
        assert reader.meta("account") == HOME.account
        assert reader.meta("name") == "night"
    assert done.bad_lines == 0
    assert not done.holes
    assert {life: clip.state for life, clip in resume(folder).items()}["pending"] is State.PENDING


def in_folder(folder: Path) -> dict[str, bytes]:
    """All files but SQLite's shared memory, which says nothing."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db-shm"}


def test_the_damaged_files_are_moved_aside_as_they_are(folder: Path) -> None:
    """They may hold more than we could read."""
    ruin(folder)
    (folder / f"{FILE}-wal").write_bytes(b"wal")
    left = {name: (folder / name).read_bytes() for name in (FILE, f"{FILE}-wal", journal.FILE)}
    done = recover(folder, clips())
    assert in_folder(done.aside) == left
    assert done.aside.parent == folder
    ruin(folder)
    again = recover(folder, clips())
    assert again.aside != done.aside
    assert in_folder(done.aside) == left


def test_a_sound_ledger_is_refused_and_a_held_one_too(folder: Path) -> None:
    """There is nothing to gain, and all to lose."""
    before = (folder / FILE).read_bytes()
    with pytest.raises(UsageError, match="is intact"):
        recover(folder, clips())
    with closing(SqliteLedger(folder)), pytest.raises(LockedError):
        recover(folder, clips())
    assert (folder / FILE).read_bytes() == before
    assert not list(folder.glob("ledger-damaged*"))


def test_a_newer_batchgens_ledger_is_not_damaged(folder: Path) -> None:
    """The update mends it, not we."""
    import sqlite3

    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("PRAGMA user_version=99")
        db.commit()
    with pytest.raises(LedgerError, match="newer"):
        recover(folder, clips())


def test_an_older_copy_is_brought_up_to_its_log(folder: Path) -> None:
    """The request that the copy does not know was paid for."""
    with closing(Reader(folder)) as reader:
        newest = reader._db.execute("SELECT max(seq) FROM event").fetchone()[0]
    with (folder / journal.FILE).open("ab") as file:
        key = clips()[list(LIVES).index("pending")].key
        file.write(journal.line("e", newest + 1, key, AT, "SubmitStarted", {"at": AT, "held": 5}))
        file.write(journal.line("e", newest + 2, key, AT, "Submitted", {"request_id": "unknown-to-the-copy", "at": AT}))
    with pytest.raises(LedgerError, match="older"):
        SqliteLedger(folder)
    recover(folder, clips())
    assert resume(folder)["pending"].request_id == "unknown-to-the-copy"


@pytest.mark.parametrize("ended", ["closed", "killed"])
def test_a_re_roll_that_is_only_wished_for_is_not_lost_with_the_ledger(folder: Path, ram: Path, ended: str) -> None:
    """No manifest has it; the user's wish is in the log as soon as the batch is let go of, or next taken up."""
    ledger = SqliteLedger(folder)
    wish = replace(clips()[0], key="c1-reroll", take=2, name="shot0_2", reroll_of=clips()[0].key)
    ledger.reroll([wish])
    killed = ram / "killed"
    shutil.copytree(folder, killed, ignore=shutil.ignore_patterns("*-shm", ".lock*"))
    ledger.close()
    if ended == "killed":
        SqliteLedger(killed).close()
    batch = killed if ended == "killed" else folder
    ruin(batch)
    recover(batch, clips())
    with closing(SqliteLedger(batch)) as again:
        again.sync(clips())
        assert "shot0_2" in [clip.wanted.name for clip in again.clips(State.PENDING, wanted=True)]


# --- no log, or half of one -----------------------------------------------------------------------------------


def test_without_a_log_what_sqlite_still_reads_is_taken(ram: Path) -> None:
    """One table's pages are damaged, the others are there."""
    lead(ram / "night", times=20).close()
    folder = ram / "night"
    before = standing(folder)
    (folder / journal.FILE).unlink()
    data = bytearray((folder / FILE).read_bytes())
    for page in range(len(data) // 4096 // 2 + 1, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 2048] = random.Random(page).randbytes(2048)
    (folder / FILE).write_bytes(data)
    with pytest.raises(LedgerError):
        SqliteLedger(folder)
    done = recover(folder, [clip.wanted for clip in before.values()])
    assert done.from_ledger > 0
    assert done.log_lines == 0
    assert done.requests > 3


@pytest.mark.parametrize("source", ["events.jsonl", "sidecar"])
def test_without_log_and_ledger_the_files_beside_it_still_know_ids(folder: Path, source: str) -> None:
    """A paid clip is found by its id, whatever else is lost."""
    ruin(folder)
    (folder / journal.FILE).unlink()
    wanted = clips()[0]
    if source == "sidecar":
        (folder / "clips").mkdir()
        (folder / "clips" / "shot0_1.mp4").write_bytes(b"abc")
        told = {"key": wanted.key, "request_id": "r-1", "submitted_at": "2027-01-15T08:00:00+00:00", "bytes": 3,
                "sha256": "ab", "url": "https://cdn.example.com/1.mp4", "cost_usd": 0.625}  # fmt: skip
        (folder / "clips" / "shot0_1.json").write_text(json.dumps(told, indent=1))
        (folder / "clips" / "torn.json").write_text("{")
    else:
        told = {"t": "2027-01-15T08:00:00.000Z", "key": wanted.key, "event": "Submitted", "request_id": "r-1"}
        made = {**told, "event": "Generated", "url": "https://cdn.example.com/1.mp4", "cost_usd": 0.625}
        (folder / "events.jsonl").write_text(f"{json.dumps(told)}\n{{torn\n{json.dumps(made)}\n[]\n")
    done = recover(folder, clips())
    clip = standing(folder)["done"]
    assert clip.state is (State.DONE if source == "sidecar" else State.DOWNLOADING)
    assert clip.request_id == "r-1"
    assert clip.request
    assert clip.request.cost == 625_000
    assert done.requests == 1


def test_with_nothing_left_the_new_ledger_says_that_it_knows_nothing(folder: Path) -> None:
    """The history of a month is asked before anything is submitted."""
    ruin(folder)
    (folder / journal.FILE).unlink()
    done = recover(folder, clips())
    assert not standing(folder)
    assert done.until - done.since >= 31 * 86400
    with closing(Reader(folder)) as reader:
        assert json.loads(reader.meta(BLIND) or "")["since"] == done.since


@pytest.mark.parametrize("stop", ["before the new one is in", "before the log is moved", "with the new one half made"])
def test_a_recovery_that_was_killed_is_made_again(folder: Path, stop: str) -> None:
    """As the files lie after each of its steps."""
    before = standing(folder)
    ruin(folder)
    if stop == "with the new one half made":
        (folder / "ledger.new").mkdir()
        (folder / "ledger.new" / FILE).write_bytes(b"half")
    elif stop == "before the new one is in":
        (folder / "ledger-damaged-x").mkdir()
        (folder / FILE).rename(folder / "ledger-damaged-x" / FILE)
    else:
        shutil.copy(folder / journal.FILE, folder / "kept")
        recover(folder, clips())
        (folder / "kept").rename(folder / journal.FILE)
    if stop != "before the log is moved":
        recover(folder, clips())
    after = resume(folder)
    for life in {*before} - {"submitting", "pending"}:
        same(after[life], before[life])


# --- holes ----------------------------------------------------------------------------------------------------


def whole() -> Sources:
    """The log of a batch in which every life was led."""
    sources, seq = Sources(), 0
    for clip in clips():
        sources.wanted[clip.key] = clip
        for event in LIVES[clip.prompt_id]:
            seq += 1
            sources.recorded[seq] = Recorded(clip.key, AT, event, seq)
    return sources


LINES = sum(len(life) for life in LIVES.values())


@fuzz(300)
@given(st.sets(st.integers(1, LINES)))
def test_whatever_lines_are_lost_no_id_that_is_left_is_forgotten_and_no_accepted_clip_waits(lost: set[int]) -> None:
    """The rest of its story is enough to know that it was submitted."""
    sources = whole()
    ids = {}
    for seq in lost:
        del sources.recorded[seq]
    for entry in sources.recorded.values():
        if isinstance(entry.event, Submitted):
            ids[entry.event.request_id] = entry.key
    rebuilt = rebuild(sources, [])
    assert rebuilt.request_ids() == ids.keys()
    for key, clip in rebuilt.clips.items():
        assert clip.state is not State.SUBMITTING
        if clip.state is State.PENDING:
            left = [type(entry.event).__name__ for entry in sources.recorded.values() if entry.key == key]
            assert left[-1] in ("SubmitDeferred", "FailedForNow")


def test_a_second_request_is_kept_though_the_end_of_the_first_is_lost() -> None:
    """It was only ever made because the first had failed, for free."""
    sources = whole()
    seq = next(seq for seq, entry in sources.recorded.items() if isinstance(entry.event, FailedForNow))
    key = sources.recorded.pop(seq).key
    rebuilt = rebuild(sources, [])
    assert rebuilt.clips[key].state is State.GENERATING
    assert rebuilt.clips[key].request_id == accepted(10).request_id
    assert rebuilt.clips[key].attempts == 2
    assert rebuilt.holes == {key}


@pytest.mark.parametrize("ends", [False, True], ids=["the first has no end", "both are known to the end"])
def test_two_requests_that_only_files_know_of_are_two_requests(ends: bool) -> None:
    """The second id in the place of the first was refused as an older ledger by each run, also after `recover`."""
    clip = clips()[0]
    done = Downloaded(f"{clip.name}.mp4", 5, "0" * 64) if ends else None
    traced = [Traced(clip.key, "r1", AT), Traced(clip.key, "r2", AT + 60.0, "https://host/r2.mp4", 100, done)]
    rebuilt = rebuild(Sources(traced=traced), [clip])
    assert rebuilt.request_ids() == {"r1", "r2"}
    assert rebuilt.clips[clip.key].request_id == "r2"
    assert rebuilt.clips[clip.key].state is (State.DONE if ends else State.DOWNLOADING)


def test_a_clip_whose_description_is_lost_is_still_collected() -> None:
    """By its id; its prompt may be in no manifest any more."""
    sources = whole()
    gone = clips()[1].key
    del sources.wanted[gone]
    assert rebuild(sources, []).clips[gone].request_id == accepted(2).request_id
    assert rebuild(sources, clips()).clips[gone].wanted == clips()[1]


def damage(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    kind = dice.randrange(3)
    if kind == 0:
        del data[dice.randrange(len(data)) :]
    elif kind == 1:
        for _ in range(dice.randrange(1, 20)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    else:
        at = dice.randrange(len(data))
        data[at : at + 4096] = bytes(min(4096, len(data) - at))
    path.write_bytes(data)


def test_after_any_damage_to_ledger_and_log_the_history_is_asked_of_the_whole_time(folder: Path, ram: Path) -> None:
    """What neither knows may have been accepted; what either knows is known, and no error ends it."""
    began = min(entry.at for entry in whole().recorded.values())
    dice = random.Random(7)
    for _ in range(60):
        copy = ram / "copy"
        shutil.copytree(folder, copy)
        damage(copy / FILE, dice)
        damage(copy / journal.FILE, dice)
        lines = [values for values in journal.lines(copy / journal.FILE) if values and "Submitted" in values]
        whole_ids = {values[5]["request_id"] for values in lines}
        try:
            recover(copy, clips())
        except UsageError:  # a bit that nothing looks at
            shutil.rmtree(copy)
            continue
        resume(copy)
        with closing(Reader(copy)) as reader:
            span = json.loads(reader.meta(BLIND) or "")
            assert whole_ids <= reader.request_ids()
        assert began <= span["until"]
        assert span["since"] - 1 <= began or span["until"] - span["since"] >= 31 * 86400
        shutil.rmtree(copy)
