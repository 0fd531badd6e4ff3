"""Which clock a test gets: virtual where the core is tested, real where sockets and processes are."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from fakes import wanted
from virtual_time import VirtualTimeLoop

from batchgen.ledger import SqliteLedger

pytest_plugins = ["cli_fixtures"]

VIRTUAL = {"flow", "unit"}


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
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: thousands of real fsyncs are not what these tests prove."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=memory, prefix="batchgen-"))
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
