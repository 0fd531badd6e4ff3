"""`run --awake`: the system's tool runs as long as the run does, and its absence is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_service import until

from batchgen.cli import awake


def script(folder: Path, text: str) -> list[str]:
    """Write a tool, and give the command that starts it."""
    path = folder / "keeper"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path), "sleep"]


def test_the_tool_runs_until_the_run_has_ended(tmp_path: Path) -> None:
    """It reads a pipe of ours, so that it ends with us even when we are killed."""
    log = tmp_path / "log"
    command = script(tmp_path, f"echo $1 > {log}.new; mv {log}.new {log}; cat; echo end > {log}")
    said: list[str] = []
    with awake.kept(said.append, command, refused_s=0.01):
        until(log.exists)
        assert log.read_text() == "sleep\n"
    assert said == []


def test_a_tool_that_is_refused_or_missing_is_one_line(tmp_path: Path) -> None:
    """A container has none, and a session without a seat may not use it."""
    for command in (script(tmp_path, "exit 1"), ["/nowhere/keeper"]):
        said: list[str] = []
        with awake.kept(said.append, command, refused_s=30.0):
            pass
        [line] = said
        assert line == f"note: this machine may go to sleep during the run: {command[0]} is missing or was refused"


@pytest.mark.parametrize(
    ("platform", "begins"),
    [
        ("linux", ["systemd-inhibit", "--what=idle:sleep:handle-lid-switch"]),
        ("darwin", ["caffeinate", "-is", "-w", "42"]),
        ("haiku", []),
    ],
)
def test_each_system_has_its_own_tool(platform: str, begins: list[str]) -> None:
    """`sleep` alone leaves the lid out; `caffeinate` watches our process."""
    assert list(awake.tool(platform, 42))[: len(begins) or None] == begins


def test_a_system_without_a_known_tool_is_one_line() -> None:
    """And the run goes on."""
    said: list[str] = []
    with awake.kept(said.append, ()):
        pass
    assert said == ["note: this machine may go to sleep during the run: no tool for this system is known"]
