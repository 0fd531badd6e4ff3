"""Which clock a test gets: virtual where the core is tested, real where sockets and processes are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import fuzz
import pytest

from batchgen.ledger import SqliteLedger
from batchgen.testing import VirtualTimeLoop, wanted

pytest_plugins = ["cli_fixtures"]

VIRTUAL = {"flow", "unit"}
GOLDEN = Path(__file__).parent / "unit" / "golden"
#: A disk in memory, where an fsync costs nothing: a test waits longer for the disk than for the processor. What has to
#: be synced is proved by the order of the calls (`tests/power`, `tests/process/test_durable_order.py`).
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  #: bytes; the tests of both tiers together write less than half of it


def pytest_configure(config: pytest.Config) -> None:
    """Let the fast tier generate fewer cases, and keep the tests' folders in memory where the machine has room."""
    fuzz.choose_tier(config)
    if _roomy(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # the root of pytest's own numbered folders


def _roomy(folder: Path) -> bool:
    """Say whether a folder has room for all that the tests write, and lets their scripts run."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize >= ROOM and not disk.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that renews the golden files: `python -m pytest tests/unit --renew-golden`, then read the diff."""
    parser.addoption("--renew-golden", action="store_true", help="Write the golden files instead of comparing.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the browser's tests, and all that they import, alone where they are not wanted."""
    unwanted = "not e2e" in config.option.markexpr and collection_path == Path(__file__).parent / "e2e"
    return True if unwanted else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run one file in this process, which starts quicker and can be debugged; else None: one worker for each core."""
    files = {Path(arg.partition("::")[0]) for arg in config.args}
    return 0 if len(files) == 1 and files.pop().is_file() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first: a long one at the end would keep one worker busy and the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Do not measure coverage in slow tests: tracing doubles their time, and their shorter versions cover the same."""
    coverage = sys.modules.get("coverage")
    measured = coverage and item.get_closest_marker("slow") and coverage.Coverage.current()
    if not measured:
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop by the test's folder; the mark `real_time` overrules it."""
    if item.path.relative_to(Path(__file__).parent).parts[0] in VIRTUAL and not item.get_closest_marker("real_time"):
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def state_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run in this process remembers of an account is no business of the machine's user."""
    own = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]  # what one test learned is no other's start
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state" / own))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with `tests/unit/golden/NAME.txt`; with `--renew-golden`, write that file."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("renew_golden"):
            path.write_text(text + "\n", "utf-8")
        assert path.read_text("utf-8") == text + "\n", (
            "if the new text is right: python -m pytest tests/unit --renew-golden"
        )

    return check


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: thousands of real fsyncs are not what these tests prove."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=MEMORY, prefix="batchgen-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """A ledger of five wanted clips to which nothing has happened yet."""
    opened = SqliteLedger(tmp_path / "night", wall_clock=lambda: 100.0)
    opened.sync(wanted(n) for n in range(5))
    yield opened
    opened.close()
