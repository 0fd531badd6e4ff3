"""Fail-points: nothing without being asked, nothing in a run for money, and exactly the step that was named."""

from __future__ import annotations

import errno
import re
import sqlite3
from pathlib import Path

import pytest

from batchgen import failpoints
from batchgen.errors import UsageError
from batchgen.failpoints import STEPS, Failpoints, Wish


def armed(text: str, log: Path | None = None) -> Failpoints:
    points = Failpoints([Wish.parse(part) for part in text.split(",")], str(log) if log else None)
    points.permitted = True
    return points


def test_off_it_is_a_function_that_does_nothing() -> None:
    """A run for money pays nothing for the tests' convenience, not even a look at the environment."""
    failpoints.reach("commit.before")
    assert failpoints.reach.__name__ == "_nothing"


@pytest.mark.parametrize("text", ["1", "kill", "kill@0", "kill@-1", "hang@3", "kill@commit.before", "enospc@x y:1"])
def test_a_wish_that_makes_no_sense_is_refused(text: str) -> None:
    """A test that silently tests nothing is the worst of all."""
    with pytest.raises(UsageError, match="BATCHGEN_FAILPOINT"):
        Wish.parse(text)


def test_only_writes_are_counted_where_writes_shall_fail() -> None:
    """`eio@2` is the second write, whatever lies between."""
    points = armed("eio@2")
    for step in ("post.before", "post.after"):
        points.reach(step)
    points.reach("rename.before")
    with pytest.raises(OSError) as failed:
        points.reach("file.before")
    assert failed.value.errno == errno.EIO
    points.reach("file.before")


def test_a_disk_that_is_full_stays_full() -> None:
    """`+` is what a real full disk does; a ledger sees SQLite's own error."""
    points = armed("enospc@1+")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="full") as failed:
            points.reach("commit.before")
        assert failed.value.sqlite_errorname == "SQLITE_FULL"


def test_a_step_is_found_by_its_name(tmp_path: Path) -> None:
    """Rare steps are as easy to reach as common ones; the log tells what struck."""
    points = armed("eio@rename.before:2", tmp_path / "log")
    for step in ("rename.before", "file.before"):
        points.reach(step)
    with pytest.raises(OSError, match="error"):
        points.reach("rename.before")
    assert (tmp_path / "log").read_text() == "eio rename.before\n"


def test_nothing_strikes_before_it_is_permitted() -> None:
    """Only a session that knows its service to be on this machine permits it."""
    Failpoints([Wish.parse("kill@1")], None).reach("commit.before")


def test_wishes_are_counted_one_by_one(tmp_path: Path) -> None:
    """The spill file is written only after a commit failed: both can be asked for at once."""
    points = armed("count,eio@commit.before:1,eio@rename.before:1", tmp_path / "log")
    with pytest.raises(sqlite3.OperationalError):
        points.reach("commit.before")
    with pytest.raises(OSError, match="error"):
        points.reach("rename.before")
    assert (tmp_path / "log").read_text().split() == [
        "count", "commit.before", "eio", "commit.before", "count", "rename.before", "eio", "rename.before",
    ]  # fmt: skip


def test_every_step_on_the_way_is_listed() -> None:
    """Torture strikes at each listed step; one that is not there would be a KeyError under test, not in a paid run."""
    package = Path(failpoints.__file__).parent
    reached = re.findall(r"failpoints\.reach\(\"([a-z.]+)\"\)", "".join(map(Path.read_text, package.rglob("*.py"))))
    assert set(reached) == set(STEPS)
