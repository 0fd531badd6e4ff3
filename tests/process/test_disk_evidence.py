"""What is on the disk, and what the account has made, is asked before anything is paid for."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_replies import says
from command import KEY, Desk
from scripted_service import FakeApi

import batchgen
from batchgen.errors import LedgerError, UsageError
from batchgen.ledger.recovery.rebuild import recover

pytestmark = pytest.mark.real_time


def night(desk: Desk, name: str = "night.yaml", **settings: object) -> int:
    """Run the batch in this process, to its end; gives the exit code."""

    async def run() -> int:
        manifest = batchgen.load(desk.folder / name)
        given = {"key": KEY, "base_url": desk.url, "rpm": 0.0, "expect_latency": 0.1, **settings}
        async with batchgen.run(manifest, **given) as running:  # type: ignore[arg-type]
            async for _ in running:
                pass
        return int(running.outcome.exit_code)

    return asyncio.run(run())


def recovered(desk: Desk) -> None:
    recover(desk.batch, batchgen.load(desk.folder / "night.yaml").wanted)


def forget() -> None:
    """Let this machine remember no batch, as another machine does."""
    shutil.rmtree(Path(os.environ["XDG_STATE_HOME"]) / "batchgen" / "batches")


def lose(desk: Desk, *names: str) -> None:
    for name in names:
        for path in desk.batch.glob(name):
            path.unlink()


LEFT: dict[str, list[str]] = {
    "sidecars": ["ledger.*", "events.jsonl"],
    "events": ["ledger.*", "clips/*"],
    "spill": ["ledger.db*", "ledger.log", "clips/*", "events.jsonl"],
}


@pytest.mark.parametrize("left", LEFT)
def test_a_ledger_that_is_gone_is_not_begun_again(api: FakeApi, desk: Desk, left: str) -> None:
    """Whatever is left of the batch says that it has run; `recover` uses it, and nothing is paid for twice."""
    desk.run().expect(0, done=3)  # the command, which writes events.jsonl
    lose(desk, *LEFT[left])
    plan = desk.call("plan", "night.yaml", env=dict(os.environ)).expect(2)  # where this machine remembers nothing
    assert "recover" in plan.said
    with pytest.raises(LedgerError, match="recover"):
        night(desk)
    assert not (desk.batch / "ledger.db").exists()
    recovered(desk)
    assert night(desk, history_settle=0.0) == 0
    assert api.posts == 3


def _ledger_only(batch: Path, kept: Path) -> None:
    for path in batch.glob("ledger.*"):
        path.unlink()
    for path in kept.glob("ledger.*"):
        shutil.copy2(path, batch)


def _whole(batch: Path, kept: Path) -> None:
    shutil.rmtree(batch)
    shutil.copytree(kept, batch)


@pytest.mark.parametrize("restored", [_ledger_only, _whole])
@pytest.mark.parametrize("remembers", [True, False])
def test_an_older_copy_is_not_the_ledger(
    api: FakeApi, desk: Desk, restored: Callable[[Path, Path], None], *, remembers: bool
) -> None:
    """By the files next to it, or by what this machine remembers; where neither knows, the account does."""
    desk.manifest("a cat")
    assert night(desk) == 0
    kept = desk.folder / "backup"
    shutil.copytree(desk.batch, kept)
    desk.manifest("a cat", "a dog", "an owl")
    assert night(desk) == 0
    restored(desk.batch, kept)
    if not remembers:
        forget()
    if remembers or restored is _ledger_only:
        with pytest.raises(LedgerError, match="recover"):
            night(desk)
        assert api.posts == 3
        recovered(desk)
    assert night(desk, history_settle=0.0) == 0
    assert api.posts == 3


@pytest.mark.parametrize("remembers", [True, False])
def test_a_folder_that_is_gone_is_not_paid_for_again(api: FakeApi, desk: Desk, *, remembers: bool) -> None:
    """Deleted, or moved away and run at the old place; moved back, it is as it was."""
    assert night(desk) == 0
    desk.batch.rename(desk.folder / "moved")
    if not remembers:
        forget()
        with pytest.raises(LedgerError, match="/moved"):  # found next to it, by its manifest
            night(desk)
        shutil.rmtree(desk.folder / "moved")
    else:
        with pytest.raises(LedgerError, match="move it back"):
            night(desk)
        assert "move it back" in desk.call("status", "night.yaml", env=dict(os.environ)).expect(2).said
        (desk.folder / "moved").rename(desk.batch)
        assert night(desk) == 0
        shutil.rmtree(desk.batch)
        with pytest.raises(LedgerError, match="recover"):
            night(desk)
        recovered(desk)
    assert night(desk, history_settle=0.0) == 0
    assert api.posts == 3


def test_a_copy_on_another_machine_goes_on(api: FakeApi, desk: Desk) -> None:
    """Its state folder knows nothing, which proves nothing."""
    desk.manifest("a cat")
    assert night(desk) == 0
    forget()
    desk.manifest("a cat", "a dog")
    assert night(desk) == 0
    assert api.posts == 2


def test_a_history_without_an_answer_stops_no_ordinary_run(api: FakeApi, desk: Desk) -> None:
    """It is asked once, for free; a service without one is used all the same."""
    api.scripts["history"] = says(404, "down")
    assert night(desk) == 0
    assert api.posts == 3


def test_one_manifest_under_two_names_is_one_batch(api: FakeApi, desk: Desk) -> None:
    """A link to it, with its table next to the real file."""
    (desk.folder / "night.csv").write_text("id,prompt\na,a cat\nb,a dog\n")
    (desk.folder / "night.yaml").write_text("prompts:\n  - file: night.csv\n")
    links = desk.folder / "links"
    links.mkdir()
    (links / "tonight.yaml").symlink_to(desk.folder / "night.yaml")
    assert night(desk, "links/tonight.yaml") == 0
    assert night(desk) == 0
    assert api.posts == 2
    assert desk.call("status", "links/tonight.yaml", "--json").expect(0).counts == {"done": 2}
    assert desk.batch.is_dir() and not (links / "tonight").exists()


def test_a_batch_next_to_a_link_is_used_and_never_a_second_one(api: FakeApi, desk: Desk) -> None:
    """An earlier release began it there."""
    (desk.folder / "real").mkdir()
    (desk.folder / "night.yaml").rename(desk.folder / "real" / "night.yaml")
    assert night(desk, "real/night.yaml") == 0
    (desk.folder / "night.yaml").symlink_to(desk.folder / "real" / "night.yaml")
    (desk.folder / "real" / "night").rename(desk.batch)
    ended = desk.run("--moved", env=dict(os.environ)).expect(0, done=3)
    assert ended.counts == {"done": 3}
    assert api.posts == 3


# --- what the system lets a run do -----------------------------------------------------------------------------


def test_where_hardly_a_file_can_be_opened_nothing_is_paid_for(api: FakeApi, desk: Desk) -> None:
    """Each clip would be paid for, and none could be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 8, hard))
    try:
        with pytest.raises(UsageError, match="ulimit -n"):
            night(desk)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert api.posts == 0
    assert not desk.batch.exists()


@pytest.mark.slow
def test_little_memory_is_enough(api: FakeApi, desk: Desk) -> None:
    """Nothing asks for the most that it might need at once, and threads have small stacks."""
    wrap = ["sh", "-c", 'ulimit -v 300000; exec "$@"', "sh"]
    desk.end(desk.start(*desk.paid("--yes", "--json"), wrap=wrap)).expect(0, done=3)
    assert api.posts == 3


def test_nobody_else_may_read_what_holds_links(desk: Desk) -> None:
    """Whoever has a link has the film; files of an earlier release are tightened."""
    names = ("ledger.db", "ledger.log", "ledger.spill", "events.jsonl")
    for _ in range(2):
        desk.run().expect(0, done=3)
        assert {name: (desk.batch / name).stat().st_mode & 0o777 for name in names} == dict.fromkeys(names, 0o600)
        for name in names:
            (desk.batch / name).chmod(0o644)


def test_sigterm_while_the_program_is_still_loaded_has_its_own_exit_code() -> None:
    """A scheduler that stops the job at once reads 143, as it does later."""
    early = (
        "import os, signal, sys\n"
        "class Now:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'batchgen.cli':\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Now())\n"
        "import batchgen.__main__ as entry\n"
        "entry.main()\n"
    )
    assert subprocess.run([sys.executable, "-c", early], check=False, timeout=30).returncode == 143


def test_a_folder_that_is_deleted_under_a_run_stops_it_and_nothing_is_paid_for_twice(api: FakeApi, desk: Desk) -> None:
    """It says what happened, with the ids on the screen; and the same command typed again does not pay again."""
    api.run_s = 1.0
    desk.manifest(*(f"shot {number}" for number in range(8)))
    process = desk.start(*desk.paid("--yes", "--json", "--in-flight", "3"), env=dict(os.environ))
    api.until(lambda: len(api.of("status")) >= 3)
    shutil.rmtree(desk.batch)
    ended = desk.end(process)
    assert ended.code == 4, ended.said
    assert "deleted or moved" in ended.said
    assert "Nothing is lost" not in ended.said
    assert all(job in ended.said for job in list(api.jobs)[:3])
    accepted = api.posts
    with pytest.raises(LedgerError, match="recover"):
        night(desk)
    desk.batch.mkdir(exist_ok=True)
    recovered(desk)
    assert night(desk, history_settle=0.0) == 0
    assert set(api.prompts.values()) == {1}
    assert accepted < 8 == api.posts
