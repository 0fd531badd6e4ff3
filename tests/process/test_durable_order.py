"""The order of system calls in a run: nothing leaves, and nothing gets its name, before it is on disk."""

from __future__ import annotations

import re
import shutil

import pytest
from command import Desk
from scripted_service import FakeApi

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which shows the system calls, is not installed"),
]
CALLS = "fsync,fdatasync,rename,renameat,renameat2,pwrite64,sendto,sendmsg,write,writev"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All calls of a run of one clip that touch disk or network, in the order in which they ended."""
    folder = tmp_path_factory.mktemp("traced")
    log = folder / "trace"
    strace = ["strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(log)]
    with FakeApi() as api:
        desk = Desk(folder, api.url)
        desk.manifest("a cat")
        desk.call(*desk.paid("--yes", "--json"), wrap=strace).expect(0, done=1)
        assert api.posts == 1
    return [line for line in log.read_text(errors="replace").splitlines() if "<unfinished" not in line]


def first(trace: list[str], pattern: str, since: int = 0) -> int:
    """Give the number of the first line that matches, from a line on."""
    found = next((i for i, line in enumerate(trace[since:], since) if re.search(pattern, line)), None)
    assert found is not None, f"no {pattern} after line {since}"
    return found


def test_the_intent_is_synced_before_the_post_leaves_and_the_id_before_the_first_poll(trace: list[str]) -> None:
    """Promise 1: a power cut in between loses no knowledge of what may have been paid."""
    post = first(trace, r"POST /v2/wan-2\.5-t2v")
    writes = [i for i, line in enumerate(trace[:post]) if re.search(r"pwrite64\(.*ledger\.db-wal", line)]
    assert writes, "the intent was not written"
    synced = first(trace, r"(fsync|fdatasync).*ledger\.db-wal", writes[-1])
    assert synced < post, "the POST left before the intent was on disk"
    poll = first(trace, r"GET /v2/requests/", post)
    saved = first(trace, r"pwrite64\(.*ledger\.db-wal", post)
    assert first(trace, r"(fsync|fdatasync).*ledger\.db-wal", saved) < poll, "polled before the id was on disk"


def test_cost_and_link_are_synced_before_the_download(trace: list[str]) -> None:
    """Promise 2: the link outlives the record only if we have it."""
    result = first(trace, r"GET /v2/requests/[^/ ]+ HTTP")
    download = first(trace, r"GET /files/", result)
    assert first(trace, r"(fsync|fdatasync).*ledger\.db-wal", result) < download


def test_a_file_is_synced_before_it_has_its_name_and_its_folder_after(trace: list[str]) -> None:
    """Promise 3: after a power cut a file with its final name is whole."""
    named = first(trace, r'rename.*\.mp4\.part.*\.mp4"')
    assert first(trace, r"fsync\(.*\.mp4\.part") < named
    done = first(trace, r"pwrite64\(.*ledger\.db-wal", named)
    assert named < first(trace, r"fsync\(.*/clips>", named) < done
