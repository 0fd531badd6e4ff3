"""One run per batch: what keeps a second one out, and what stops a run whose ledger is not its own any more."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import pytest

from batchgen.errors import Exit, LedgerError, LedgerLostError, LedgerWriteError, LockedError
from batchgen.events import SubmitStarted, Submitted
from batchgen.ledger import FILE, Reader, SqliteLedger
from batchgen.ledger.integrity import BATCH_ID, LastSeen
from batchgen.ledger.lock import holder
from batchgen.testing import wanted

START = SubmitStarted(100.0, reserved=1_250_000)


@pytest.fixture
def folder(ram: Path) -> Path:
    """A batch of three clips that was closed."""
    with closing(SqliteLedger(ram / "night")) as ledger:
        ledger.sync(wanted(n) for n in range(3))
    return ram / "night"


@pytest.mark.parametrize("deleted", [".lock", ".lock.owner", FILE, "*"])
def test_no_deleted_file_lets_a_second_run_in(folder: Path, deleted: str) -> None:
    """People delete a lock that is in their way, and tidy-up scripts do; both runs would pay for every clip."""
    with closing(SqliteLedger(folder)):
        for path in folder.glob(deleted):
            path.unlink()
        with pytest.raises(LockedError, match="another run holds this batch"):
            SqliteLedger(folder)
    if deleted.startswith(".lock"):
        SqliteLedger(folder).close()


def test_an_earlier_release_is_kept_out_by_the_file(folder: Path) -> None:
    """It locks the file alone; so does a run on the other side of a network drive."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            SqliteLedger(folder)
    SqliteLedger(folder).close()


def test_a_link_in_the_place_of_the_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """It may lead to a file of the user's."""
    victim = tmp_path / "letter.txt"
    victim.write_text("dear diary")
    for name in (".lock", ".lock.owner"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(victim)
        with closing(SqliteLedger(folder)), pytest.raises(LockedError):
            SqliteLedger(folder)
    assert victim.read_text() == "dear diary"


def test_the_one_that_let_go_does_not_take_the_name_of_the_next_away(folder: Path) -> None:
    """Else `status` would say that nobody is at work."""
    first = SqliteLedger(folder)
    (folder / ".lock.owner").write_text("1 since 2027-01-15 08:00:00")
    first.close()
    assert holder(folder) == "process 1 since 2027-01-15 08:00:00"


# --- the fence --------------------------------------------------------------------------------------------------


def _moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def _replaced(folder: Path) -> None:
    shutil.copy(folder / FILE, folder / "copy")
    (folder / "copy").replace(folder / FILE)


def _folder_replaced(folder: Path) -> None:
    """As when a backup is brought back: another folder of this name, with the same files."""
    shutil.copytree(folder, folder.with_name("copy"))
    folder.rename(folder.with_name("elsewhere"))
    folder.with_name("copy").rename(folder)


def _after(
    monkeypatch: pytest.MonkeyPatch, module: object, call: str, times: int, act: Callable[[], object]
) -> list[str]:
    """Act once when a function of the system was called so many times; gives a list that is empty until then."""
    real, calls, acted = getattr(module, call), iter(range(1, 1_000)), list[str]()

    def called(*args: object, **options: object) -> object:
        found = real(*args, **options)
        if next(calls) == times:
            acted.append(call)
            act()
        return found

    monkeypatch.setattr(module, call, called)
    return acted


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda folder: (folder / FILE).unlink(),
    "folder deleted": shutil.rmtree,
    "folder moved": _moved,
    "folder replaced": _folder_replaced,
    "replaced": _replaced,
    "log of the database deleted": lambda folder: (folder / f"{FILE}-wal").unlink(),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_ledger_is_noticed_at_the_next_commit(
    folder: Path, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing goes into an unlinked file. What is in flight is on the screen, and in the spill if that is there."""
    ledger = SqliteLedger(folder)
    flying = await ledger.record(await ledger.record(ledger.clip(1), START), Submitted("r-1", 101.0))
    second = await ledger.record(ledger.clip(2), START)
    LOSSES[loss](folder)
    with caplog.at_level(logging.CRITICAL), pytest.raises(LedgerLostError) as lost:
        await ledger.record(second, Submitted("r-2", 102.0))
    assert lost.value.exit_code is Exit.STOPPED
    assert "ledger.db" in str(lost.value) and "recover" in str(lost.value)
    assert {word for word in caplog.text.split() if word.startswith("r-")} == {"r-1;", "r-2;"}
    assert ("write it down" in caplog.text) == (loss == "folder deleted")
    with pytest.raises(LedgerLostError):  # nothing more is begun
        await ledger.record(ledger.clip(3), START)
    with pytest.raises(LedgerLostError):
        await ledger.set_facts({"some": "fact"})
    ledger.close()
    spilled = b"".join(spill.read_bytes() for spill in folder.parent.glob("*/ledger.spill"))
    assert loss == "folder deleted" or {b"r-1", b"r-2"} <= {*spilled.split(b'"')}
    assert flying.request_id == "r-1"


async def test_a_run_that_lives_on_after_another_took_the_ledger_writes_nothing(folder: Path) -> None:
    """Where a drive's locks do not hold, the token in the ledger does: one of the two stops before its next request."""
    first = SqliteLedger(folder)
    clip = await first.record(first.clip(1), START)
    first._lock.release()
    second = SqliteLedger(folder)
    await second.record(second.clip(2), START)
    with pytest.raises(LedgerLostError, match="taken over by another run"):
        await first.record(clip, Submitted("r-1", 101.0))
    with pytest.raises(LedgerLostError):
        await first.record(first.clip(3), START)
    await second.record(second.clip(3), START)
    first.close()
    second.close()
    with closing(Reader(folder)) as reader:
        assert [clip.state.value for clip in reader.clips()] == ["submitting"] * 3
        assert not reader.request_ids()


async def test_of_two_that_opened_at_once_only_the_first_to_write_goes_on(folder: Path) -> None:
    """The other one's view of the batch is out of date."""
    first = SqliteLedger(folder)
    first._lock.release()
    second = SqliteLedger(folder)
    await second.record(second.clip(2), START)
    with pytest.raises(LedgerLostError, match="taken over"):
        await first.record(first.clip(1), START)
    first.close()
    second.close()


async def test_what_another_command_writes_next_to_a_run_does_not_stop_it(folder: Path) -> None:
    """A wish that is queued during a run is no theft."""
    ledger = SqliteLedger(folder)
    clip = await ledger.record(ledger.clip(1), START)
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("INSERT INTO meta VALUES ('wish', 'retry')")
        db.commit()
    assert (await ledger.record(clip, Submitted("r-1", 101.0))).request_id == "r-1"
    ledger.close()


@pytest.mark.parametrize("loss", ["replaced", "folder replaced", "folder deleted"])
@pytest.mark.parametrize("call", ["write", "pwrite"])
async def test_a_ledger_that_is_lost_during_a_commit_is_noticed_by_that_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loss: str, call: str
) -> None:
    """What was written went into a file that is nobody's ledger any more: no request may follow it.

    The last check comes after the log (`write`) and this machine's memory (`pwrite`) have the event, so that a run that
    begins in an older copy after that is refused by them.
    """
    with closing(SqliteLedger(folder)) as ledger:
        ledger.keep_memory()
        strikes = _after(monkeypatch, os, call, 1, lambda: LOSSES[loss](folder))
        with pytest.raises(LedgerLostError, match=r"ledger\.db was (replaced|deleted)"):
            await ledger.record(ledger.clip(1), START)
        assert strikes
        seen = LastSeen.of(folder, ledger.meta(BATCH_ID))
    assert seen and seen.events == 1


# --- while it is opened -----------------------------------------------------------------------------------------

#: After which steps of opening a ledger something happens: so many locks were taken, so many connections made. The
#: first connection checks the ledger, the second one is to write it, the third one to read it.
OPENING = [("flock", 1), ("flock", 2), ("connect", 1), ("connect", 2), ("connect", 3)]


@pytest.mark.parametrize("loss", ["deleted", "replaced", "folder moved", "folder replaced"])
@pytest.mark.parametrize(("call", "times"), OPENING, ids=lambda value: str(value))
async def test_a_ledger_that_is_lost_while_it_is_opened_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loss: str, call: str, times: int
) -> None:
    """Else a run pays into a file without a name, while another one pays for the same clips in its place."""
    module = fcntl if call == "flock" else sqlite3
    strikes = _after(monkeypatch, module, call, times, lambda: LOSSES[loss](folder))
    not_yet_read = call == "flock" and loss == "replaced"  # what is read then is what will be used
    with nullcontext() if not_yet_read else pytest.raises((LedgerError, LedgerWriteError)):
        SqliteLedger(folder).close()
    assert strikes
    with suppress(LedgerError):  # that it is gone is one; that it is locked is none
        SqliteLedger(folder).close()


# --- copies -----------------------------------------------------------------------------------------------------


def test_a_copy_of_a_batch_is_no_second_batch_to_run_at_the_same_time(folder: Path) -> None:
    """It may have all events so far, as that of a run that waits for its window; both would pay for what comes."""
    with closing(SqliteLedger(folder)) as first:
        first.keep_memory()
        shutil.copytree(folder, folder.with_name("copy"))
        with closing(SqliteLedger(folder.with_name("copy"))) as second, pytest.raises(LockedError) as refused:
            second.keep_memory()
        assert f"process {os.getpid()}, in {folder}" in str(refused.value)
    with closing(SqliteLedger(folder.with_name("copy"))) as second:
        second.keep_memory()


async def test_what_this_machine_remembers_of_a_batch_is_kept_again_when_it_was_deleted(folder: Path) -> None:
    """Else an older copy of the folder that comes later would be used."""
    with closing(SqliteLedger(folder)) as ledger:
        ledger.keep_memory()
        shutil.rmtree(os.environ["XDG_STATE_HOME"])
        await ledger.record(ledger.clip(1), START)
        seen = LastSeen.of(folder, ledger.meta(BATCH_ID))
        shutil.copytree(folder, folder.with_name("copy"))
        with closing(SqliteLedger(folder.with_name("copy"))) as second, pytest.raises(LockedError):
            second.keep_memory()
    assert seen and (seen.events, seen.folder) == (1, folder)
