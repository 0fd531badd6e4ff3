"""Keeps the machine awake while a run is at work: `run --awake`. What cannot be kept is one line, never an error.

The system's own tool does it (systemd's `systemd-inhibit`, macOS's `caffeinate`), as a process that ends with ours in
whatever way ours ends: the first reads a pipe of ours, the second watches our process. Suspending by hand and a lid
that the system's settings exempt stay what they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from shutil import which

#: What a tool that is not allowed to needs to say so and end (seconds).
REFUSED_S = 0.5


def tool(platform: str, pid: int) -> Sequence[str]:
    """Give the command that keeps a machine of that platform awake (`sys.platform`); empty: none is known."""
    if platform == "darwin":
        return ("caffeinate", "-is", "-w", str(pid))
    if platform == "linux":
        what = "--what=idle:sleep:handle-lid-switch"
        return ("systemd-inhibit", what, "--who=batchgen", "--why=a run is at work", "--mode=block", "cat")
    return ()


@contextmanager
def kept(
    say: Callable[[str], None], command: Sequence[str] | None = None, *, refused_s: float = REFUSED_S
) -> Iterator[None]:
    """Keep the machine awake until the block is left; `say` gets one line if that is not possible.

    A `command` that ends within `refused_s` seconds has refused; None is the system's own.
    """
    command = tool(sys.platform, os.getpid()) if command is None else command
    process = _started(command, refused_s)
    if process is None:
        missing = f"{command[0]} is missing or was refused" if command else "no tool for this system is known"
        say(f"note: this machine may go to sleep during the run: {missing}")
    try:
        yield
    finally:
        if process is not None:
            _ended(process)


def _started(command: Sequence[str], refused_s: float) -> subprocess.Popen[bytes] | None:
    """Start the tool; None: there is none, or it ended at once."""
    path = which(command[0]) if command else None
    if path is None:
        return None
    null = subprocess.DEVNULL
    try:  # in a session of its own, so that Ctrl-C does not end it while the run still collects
        process = subprocess.Popen(  # noqa: S603 - our own words, and a path that `which` found
            [path, *command[1:]], stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
        )
    except OSError:
        return None
    try:
        process.wait(refused_s)
    except subprocess.TimeoutExpired:
        return process
    _ended(process)
    return None


def _ended(process: subprocess.Popen[bytes]) -> None:
    """End the tool, and wait for that."""
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    process.wait()
