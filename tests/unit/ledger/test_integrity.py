"""A ledger damaged by hand: a sound run or one clear message, and not a byte of it changed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from clip_histories import HOME, clips, lead

from batchgen.clip import State
from batchgen.errors import BatchgenError, Exit
from batchgen.ledger import FILE, Reader, SqliteLedger, agreement, integrity, journal
from batchgen.views.facts import facts_of
from batchgen.views.status import status_object, status_text

#: Each in a fresh copy; in the ledger, and in the WAL that a kill left. A few in the fast tier.
FLIPS = [60, pytest.param(300, marks=pytest.mark.slow)]
PAID = {"done", "generating", "downloading", "unconfirmed", "lost", "again", "submitting"}


@pytest.fixture
def folder(ram: Path) -> Path:
    """A batch that was closed."""
    lead(ram / "night").close()
    return ram / "night"


@pytest.fixture
def killed(ram: Path) -> Path:
    """A batch as kill -9 leaves it: all that happened is in the WAL."""
    ledger = lead(ram / "live")
    shutil.copytree(ledger.folder, ram / "night", ignore=shutil.ignore_patterns("*-shm", ".lock*"))
    ledger.close()
    return ram / "night"


def on_disk(folder: Path) -> dict[str, bytes]:
    files = {name: (folder / name).read_bytes() for name in (FILE, f"{FILE}-wal") if (folder / name).is_file()}
    return {name: data for name, data in files.items() if data or name == FILE}  # an empty WAL comes with any reader


def look(folder: Path) -> None:
    """What `status` does."""
    with closing(Reader(folder)) as reader:
        facts = facts_of(reader, "night")
        status_text(status_object(facts, now=0.0))


def start(folder: Path) -> None:
    """What a run does before its first request; nothing that may have been paid for may wait for a submission."""
    with closing(SqliteLedger(folder)) as ledger:
        ledger.bind(HOME)
        ledger.sync(clips())
        ledger.recover()
        wanted = {clip.wanted.prompt_id for clip in ledger.clips(State.PENDING, wanted=True)}
        assert not wanted & PAID, wanted
        for clip in ledger.clips(State.PENDING, State.GENERATING, State.DOWNLOADING):
            ledger.clip(clip.row)


def outcome(folder: Path, what: Callable[[Path], None]) -> str:
    """Say how it ended; any error but ours, and any byte that was changed before one, is a failure of the test."""
    before = on_disk(folder)
    try:
        what(folder)
    except BatchgenError as error:
        assert error.exit_code in (Exit.USAGE, Exit.STOPPED)
        assert "\n" not in str(error)
        assert on_disk(folder) == before
        return "told"
    return "ran"


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_no_flipped_bit_makes_a_traceback_or_pays_twice(
    state: str, flips: int, ram: Path, request: pytest.FixtureRequest
) -> None:
    """In any page, and in the WAL; some are harmless, the others are told and left as they are."""
    source: Path = request.getfixturevalue("folder" if state == "closed" else "killed")
    dice = random.Random(20261123)
    ended: Counter[str] = Counter()
    for number in range(flips):
        folder = ram / "copy"
        shutil.copytree(source, folder)
        path = folder / (f"{FILE}-wal" if state == "killed" and number % 4 else FILE)
        data = bytearray(path.read_bytes())
        at = dice.randrange(len(data))
        data[at] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        for what in (look, start):
            ended[outcome(folder, what)] += 1
        shutil.rmtree(folder)
    assert ended["told"] > flips // 10


def _cut(share: float) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * share))

    return cut


def _version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
        db.commit()


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE photos(id)")
        db.commit()


def _text(path: Path) -> None:
    path.write_bytes(b"dear diary " * 4000)


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "zero bytes": _cut(0.0),
    "half of it": _cut(0.5),
    "all but a page": _cut(0.97),
    "a page and a half": lambda path: os.truncate(path, 6000),
    "text in its place": _text,
    "zeros in its place": _zeros,
    "a newer version": _version,
    "another program's database": _foreign,
    "a folder in its place": _folder,
    "nothing in its place": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_in_one_message_and_left_as_it_is(folder: Path, damage: str) -> None:
    """It may be all that is left of what was paid for."""
    DAMAGE[damage](folder / FILE)
    for what in (look, start, look):
        assert outcome(folder, what) == "told"


@pytest.mark.parametrize("damage", ["half of it", "text in its place", "zero bytes"])
def test_damage_under_a_live_run_is_told_by_it_and_by_status(folder: Path, damage: str) -> None:
    """No POST goes out on a ledger that can't be written."""
    ledger = SqliteLedger(folder)
    DAMAGE[damage](folder / FILE)
    (folder / f"{FILE}-wal").unlink(missing_ok=True)
    try:
        with pytest.raises((BatchgenError, sqlite3.DatabaseError)):
            look(folder)
        with pytest.raises((BatchgenError, sqlite3.DatabaseError)):
            ledger.sync(clips())
            list(ledger.clips())
    finally:
        ledger.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who owns nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("file", "place", "seen"),
    [(0o600, 0o755, "can't be"), (0o644, 0o755, "can't be written"), (0o600, 0o700, "can't be")],
    ids=["unreadable", "read-only", "in a closed folder"],
)
def test_another_users_ledger_is_told(file: int, place: int, seen: str) -> None:
    """Exit 2 or 4, in words."""
    with tempfile.TemporaryDirectory() as name:
        lead(Path(name)).close()
        Path(name).chmod(place)
        for path in Path(name).iterdir():
            path.chmod(file)
        with nobody(), pytest.raises(BatchgenError, match=seen):
            start(Path(name))


def test_a_letter_that_sqlite_does_not_miss_is_seen_by_the_log(folder: Path) -> None:
    """A request id that was changed would be asked for, and not be found: a paid clip lost."""
    assert agreement.compare(folder) == agreement.Agreement(agreement.compare(folder).events, 0, 0, 0, 0)
    data = (folder / FILE).read_bytes()
    detail = b'{"request_id": "00000000-0000-4000-8000-000000000002"'
    assert data.count(detail) == 1
    (folder / FILE).write_bytes(data.replace(detail, detail.replace(b"0002", b"0009")))
    assert agreement.compare(folder).other == 1
    with (folder / "ledger.spill").open("r+b") as file:
        file.write(b'{"key": "k", "request_id": "only-here", "at": 1.0}\n')
    assert agreement.compare(folder).spilled == 1
    log_file = folder / journal.FILE
    log_file.write_bytes(b"".join(log_file.read_bytes().splitlines(keepends=True)[:-6]) + b"torn")
    assert agreement.compare(folder).missing > 0
    assert agreement.compare(folder).damaged == 1


@pytest.mark.parametrize("small", [0, integrity.SMALL], ids=["a large ledger", "a small one"])
def test_a_key_that_only_its_index_still_knows_is_damage(folder: Path, small: int) -> None:
    """The clip would be taken for a new one, and paid for again; the quick walk of a large ledger sees it, too."""
    data = bytearray((folder / FILE).read_bytes())
    key = clips()[0].key.encode()
    assert data.count(key) >= 2  # in its row, and in the index
    with closing(sqlite3.connect(folder / FILE)) as db:
        assert not integrity.fault_in(db, small)
    data[data.index(key)] ^= 1
    (folder / FILE).write_bytes(data)
    with closing(sqlite3.connect(folder / FILE)) as db:
        assert integrity.fault_in(db, small)


def test_a_sound_ledger_is_not_walked_again(folder: Path) -> None:
    """A second for 100,000 clips is spent only where there is a reason."""
    SqliteLedger(folder).close()
    assert integrity.untouched(folder, journal.tail(folder / journal.FILE)[1])
    os.utime(folder / FILE, (0, 0))
    assert not integrity.untouched(folder, journal.tail(folder / journal.FILE)[1])


@pytest.mark.parametrize("opens", [Reader, SqliteLedger])
@pytest.mark.parametrize("version", [0, 1_000_000], ids=["damaged", "of a newer release"])
def test_a_ledger_that_is_refused_is_closed(folder: Path, opens: type[Reader], version: int) -> None:
    """`status` on many folders, or a test run under Python 3.13, must not gather open files."""
    if version:
        with closing(sqlite3.connect(folder / FILE)) as db:
            db.execute(f"PRAGMA user_version={version}")
    else:
        (folder / FILE).write_bytes(b"no database" * 1000)
    before = sorted(Path("/dev/fd").iterdir())
    with pytest.raises(BatchgenError):
        opens(folder)
    assert sorted(Path("/dev/fd").iterdir()) == before
