"""A power cut at any moment: what was acted upon is known, and what has its final name is whole.

Unlike a kill, a power cut takes what the system had not brought to disk yet; only a replay shows that. A real run and
the ledger alone under load are traced once, and cut at a thousand moments each, see `power_cuts`.
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import power_cuts
import pytest
from power_cuts import CLIPS_OF_LOAD, PROMPTS, SEED, Result, Traced, changed_tree, cut, traced_load, traced_run
from power_disk import Disk, Truncate, Write
from power_trace import STRACE, Told


def _may_trace() -> bool:
    """Some containers have strace and forbid its use."""
    return (
        STRACE is not None and subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not _may_trace(), reason="strace, which shows every write and sync, is missing or forbidden"),
]
#: Cuts of each trace: a few in the fast tier.
CUTS = [30, pytest.param(1000, marks=pytest.mark.slow)]
#: Cuts of a control: a fault that shows in none of so many would show in a thousand only by chance.
FEW = 80


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("power")


@pytest.fixture(scope="module")
def run(root: Path) -> Traced:
    return traced_run(root / "run")


@pytest.fixture(scope="module")
def load(root: Path) -> Traced:
    return traced_load(root / "load")


def told(result: Result) -> str:
    return f"{dict(result.lost)} lost, {result.unreadable} unreadable, {result.torn} torn; {result.first}"


# --- the promise --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", CUTS)
def test_a_real_run_loses_nothing_it_acted_upon(run: Traced, root: Path, cuts: int) -> None:
    """Intents before POSTs, ids before polls, cost and link before the download, the file before `done`."""
    result = cut(run, root / "run", cuts, SEED)
    assert result.sound, told(result)
    assert result.cuts == cuts and result.facts > 10 * cuts


@pytest.mark.parametrize("cuts", CUTS)
def test_the_ledger_under_load_loses_no_commit(load: Traced, root: Path, cuts: int) -> None:
    """Group commits, a checkpoint on the way, a new write-ahead log after it, and ids in the spill file."""
    result = cut(load, root / "load", cuts, SEED)
    assert result.sound, told(result)
    assert result.facts > 100 * cuts


@pytest.mark.parametrize("n", range(4))
def test_the_real_command_goes_on_after_a_cut(run: Traced, root: Path, tmp_path: Path, n: int) -> None:
    """Nothing is paid for twice, and all that was paid for arrives."""
    dice = random.Random(SEED + n)
    moment = dice.randrange(len(run.steps) * n // 4, len(run.steps) * (n + 1) // 4) + 1
    ended, api = power_cuts.resumed(run, moment, root / "run", tmp_path / "desk", dice)
    counts = ended.counts
    # An intent whose POST never left is in doubt all the same: nobody can know.
    assert ended.code == (5 if counts.get("unconfirmed") else 0), ended.said
    assert counts.get("done", 0) + counts.get("unconfirmed", 0) == PROMPTS
    assert counts.get("done", 0) == len(api.jobs)
    assert set(api.prompts.values()) == {1}


# --- the proof is one ---------------------------------------------------------------------------------


def test_every_kind_of_deed_is_seen_in_the_trace(run: Traced, load: Traced) -> None:
    """A proof that looks at nothing finds nothing."""
    words = [words for _, words, _ in run.facts]
    for kind in ("the intent of", "the id", "cost and link of", "submitting of", "generating of", "done of"):
        assert sum(text.startswith(kind) for text in words) >= PROMPTS, kind
    assert sum("spilt" in words for _, words, _ in load.facts) == 12
    assert sum("Downloaded of" in words for _, words, _ in load.facts) == CLIPS_OF_LOAD


def test_the_log_was_brought_into_the_database_on_the_way(load: Traced) -> None:
    """A checkpoint, and the new log after it, is where a state file is most easily hurt."""
    written = [getattr(step, "keywords", {}).get("path", "") for step in load.steps]
    pages = [number for number, path in enumerate(written) if path.endswith("ledger.db")]
    assert any(path.endswith("ledger.db-wal") for path in written[pages[len(pages) // 2] :])


@pytest.mark.parametrize("name", ["run", "load"])
def test_the_model_agrees_with_the_real_disk_when_the_power_stays(
    name: str, request: pytest.FixtureRequest, root: Path
) -> None:
    """Every byte that is in the folder at the end was seen on its way."""
    traced: Traced = request.getfixturevalue(name)
    disk = Disk(str(root / name))
    for step in traced.steps:
        if not isinstance(step, Told):
            step(disk)
    real = {file.relative_to(root / name): file.read_bytes() for file in (root / name).rglob("*") if file.is_file()}
    real.pop(Path("night.yaml"), None)  # written before
    assert {Path(path) for path in disk.files()} == set(real)
    assert [path for path, content in disk.files().items() if real[Path(path)] != content] == []


#: name → (what is cut, the syncs that are taken out as text → file, and what must show)
CONTROLS = {
    "synchronous=NORMAL": ("load", {'synchronous=FULL" if': "ledger/schema.py"}, "lost"),
    "no sync of the file before its rename": (
        "run",
        {
            "            os.fsync(handle)\n": "download/part.py",
            "        os.fsync(writer.fileno())\n": "download/part.py",
        },
        "torn",
    ),
    "no sync of the folder after the rename": (
        "run",
        {"            self._folders.sync(self.target.parent)\n": "download/part.py"},
        "lost",
    ),
    "no sync of a new folder's name": ("load", {"        sync(each.parent)\n": "files/durable.py"}, "lost"),
    "no sync of the spill file's name": ("load", {"        durable.sync(path.parent)\n": "ledger/journal.py"}, "lost"),
    "no sync of the spill file": ("load", {"self._end)\n        os.fsync(self._file)\n": "ledger/journal.py"}, "lost"),
}
#: The one control of the fast tier.
QUICK = "no sync of the folder after the rename"
#: What stands in place of such a text, where a gap would be no program.
INSTEAD = {
    'synchronous=FULL" if': 'synchronous=NORMAL" if',
    "        sync(each.parent)\n": "        pass\n",
    "self._end)\n        os.fsync(self._file)\n": "self._end)\n",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.slow) for name in CONTROLS]
)
def test_a_run_without_one_of_its_syncs_fails_the_proof(name: str, root: Path, tmp_path: Path) -> None:
    """Else the proof would pass whatever the program did; a kill -9 shows none of these."""
    of, texts, shows = CONTROLS[name]
    changes = [(file, text, INSTEAD.get(text, "")) for text, file in texts.items()]
    tree = changed_tree(tmp_path / "tree", changes)
    folder = tmp_path / of
    traced = (traced_run if of == "run" else traced_load)(folder, tree=tree)
    spilt = [number for number, words, _ in traced.facts if "spilt" in words and "spill" in name]
    result = cut(traced, folder, FEW, SEED, since=min(spilt, default=0))
    assert getattr(result, shows), told(result)


@pytest.mark.parametrize(
    ("level", "cuts"),
    [("EXTRA", 30), *(pytest.param(level, FEW, marks=pytest.mark.slow) for level in ("EXTRA", "FULL"))],
)
def test_where_there_is_no_wal_only_a_synced_deletion_of_the_journal_commits(
    level: str, cuts: int, tmp_path: Path
) -> None:
    """On a synchronised folder or a network drive; with FULL, a journal that comes back takes a commit back."""
    changes = [("ledger/schema.py", '"PRAGMA synchronous=EXTRA"', f'"PRAGMA synchronous={level}"')]
    tree = changed_tree(tmp_path / "tree", changes)
    traced = traced_load(tmp_path / "Dropbox", tree=tree)
    result = cut(traced, tmp_path / "Dropbox", cuts, SEED)
    assert result.sound == (level == "EXTRA"), told(result)


# --- the disk -----------------------------------------------------------------------------------------


def test_what_was_synced_is_there_and_the_rest_may_be_dropped_or_torn() -> None:
    """The three fates of a write, at the border of sectors."""
    seen = set()
    for n in range(200):
        disk = Disk("/d")
        disk.make("/d/f")
        disk.change("/d/f", Write(0, b"a" * 1024))
        for by, path in ((1, "/d/f"), (1, "/d")):
            disk.sync_begins(by, path)
            disk.sync_ends(by)
        disk.change("/d/f", Write(0, b"b" * 1024))
        (content,) = (content for _, content in disk.cut(random.Random(n)))
        assert content is not None
        seen.add((content[:512], content[512:]))
    assert {(one[:1], two[:1]) for one, two in seen} == {(one, two) for one in (b"a", b"b") for two in (b"a", b"b")}


def test_a_sync_covers_only_what_was_there_when_it_was_called() -> None:
    """A write by another thread while a sync runs is covered by the next one."""
    disk = Disk("/d")
    disk.make("/d/f")
    disk.change("/d/f", Write(0, b"one"))
    disk.sync_begins(1, "/d/f")
    disk.change("/d/f", Truncate(1))
    disk.sync_ends(1)
    disk.sync_begins(2, "/d")
    disk.sync_ends(2)
    lefts = {content for n in range(50) for _, content in disk.cut(random.Random(n))}
    assert lefts == {b"one", b"o"}


def test_a_name_without_a_sync_of_its_folder_is_there_or_not() -> None:
    """And a rename is one step: both names, or neither, never show."""
    seen = set()
    for n in range(100):
        disk = Disk("/d")
        disk.make("/d/f.part")
        disk.sync_begins(1, "/d")
        disk.sync_ends(1)
        disk.rename("/d/f.part", "/d/f")
        seen.add(tuple(str(path) for path, _ in disk.cut(random.Random(n))))
    assert seen == {("f.part",), ("f",)}
