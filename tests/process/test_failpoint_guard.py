"""Whom fail-points obey: a test on this machine, and nobody in a run for money."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import Desk

pytestmark = pytest.mark.real_time


def test_a_run_for_money_ignores_it_and_says_so(tmp_path: Path) -> None:
    """The variable may have been left behind in a shell; the night must not die of it."""
    desk = Desk(tmp_path, "https://api.invalid")
    desk.manifest("a cat")
    ended = desk.call(*desk.paid("--yes", "--limit", "0"), env={"BATCHGEN_FAILPOINT": "kill@1"}).expect(0)
    assert "BATCHGEN_FAILPOINT: ignored" in ended.said


def test_a_nonsense_wish_is_told_without_a_traceback(tmp_path: Path) -> None:
    """Exit 2, in words."""
    desk = Desk(tmp_path, "http://127.0.0.1:9")
    desk.manifest("a cat")
    ended = desk.call(*desk.paid("--yes"), env={"BATCHGEN_FAILPOINT": "kill"}, fresh=True).expect(2)
    assert "want count, kill@N" in ended.said


def test_asked_for_it_kills(tmp_path: Path) -> None:
    """A real SIGKILL: no handler runs, nothing is flushed."""
    steps = "[f.reach('post.before') for _ in 'ab']; print(1)"
    code = f"from batchgen import failpoints as f; f.permit(loopback=True); {steps}"
    environ = {**os.environ, "BATCHGEN_FAILPOINT": "kill@2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stdout) == (-9, "")
    assert "is obeyed" in done.stderr
