"""`batchgen sandbox` as a process: it says where it is, and ends when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from command import Desk

pytestmark = pytest.mark.real_time

_RUN = [sys.executable, "-c", "from batchgen.cli.commands.sandbox import sandbox; sandbox()"]


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [*_RUN, "--folder", str(folder), "--no-render", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_tells_its_url_as_json_and_ends_cleanly(tmp_path: Path, signum: signal.Signals, code: int) -> None:
    """A script reads one line, works, and sends a signal."""
    with start(tmp_path, "--json") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer)["service"] == "batchgen sandbox"
        process.send_signal(signum)
        _, errors = process.communicate(timeout=8)
    assert (process.returncode, errors) == (code, "")


def test_jobs_survive_a_kill_9(tmp_path: Path) -> None:
    """What was answered is on disk."""
    ids, urls = [], []
    for _ in range(2):
        with start(tmp_path, "--json") as process:
            assert process.stdout is not None
            urls.append(json.loads(process.stdout.readline())["url"])
            headers = {"x-api-key": "k", "Content-Type": "application/json"}
            call = urllib.request.Request(f"{urls[-1]}/v2/wan-2.5-t2v", data=b'{"prompt": "rain"}', headers=headers)
            with urllib.request.urlopen(call, timeout=5) as answer:
                ids.append(json.load(answer)["request_id"])
            with urllib.request.urlopen(f"{urls[-1]}/sandbox/books", timeout=5) as answer:
                assert [line["request_id"] for line in json.load(answer)["jobs"]] == ids
            process.kill()
            process.communicate(timeout=8)


def test_an_unknown_fault_is_a_usage_error(tmp_path: Path) -> None:
    """Exit 2, and the names that there are."""
    with start(tmp_path, "--fault", "nonsense=1") as process:
        _, errors = process.communicate(timeout=8)
    assert process.returncode == 2
    assert "rate429" in errors


def test_the_help_names_every_fault() -> None:
    """Nobody must read the source to find them."""
    from batchgen.sandbox.faults import Faults

    shown = subprocess.run([*_RUN, "--help"], capture_output=True, text=True, check=True, timeout=8).stdout
    assert all(name in shown for name in Faults.catalogue())


@pytest.mark.slow  # two films are rendered
def test_a_matrix_of_two_models_is_rehearsed_and_billed_by_model(desk: Desk) -> None:
    """Without a key: each with its own parameters, price and shape."""
    (desk.folder / "night.yaml").write_text(
        "by_model:\n  wan-2.5-t2v: {size: 832*480}\n  veo-3.1-fast: {duration: 4, resolution: 240p}\n"
        "matrix: {model: [wan-2.5-t2v, veo-3.1-fast]}\nprompts: [rain]\n"
    )
    ran = desk.call("run", "night.yaml", "--sandbox", "--sandbox-latency", "0.05", "--yes", "--json")
    ran.expect(0, done=2)
    lines = desk.call("report", "night.yaml", "--sandbox", "--bill", "--by", "model", "--json").obj["lines"]
    assert {line["model"]: line["charged_usd"] for line in lines} == {"wan-2.5-t2v": 0.3125, "veo-3.1-fast": 0.4}
