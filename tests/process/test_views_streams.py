"""A closed stderr in a real process: the program goes on, and its exit code stays its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.real_time

# Unbuffered streams keep nothing for the last flush, and would hide what is tested here.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
PROGRAM = """
import logging, sys
from batchgen.views.log import setup_logging
setup_logging(0, str, sys.stderr)
for _ in range(3):
    logging.getLogger("batchgen").warning("a line")
print("went on")
sys.exit(3)
"""

DISPLAY = """
import sys
from batchgen.clip import State
from batchgen.views.log import setup_logging
from batchgen.views.painter import Painter
from batchgen.views.progress import Frame
frame = Frame("night", {State.DONE: 1}, 0, 0, 0, None, 0, 0, 1.0, None, None, 0, 0, 4, None)
painter = Painter(sys.stderr, now=iter(range(100)).__next__)
handler = setup_logging(0, str, painter)
painter.update(frame)
print("painted", flush=True)
sys.stdin.read()
for _ in range(3):
    painter.update(frame)
    painter.write("a line\\n")
painter.close()
print("went on", flush=True)
sys.exit(3)
"""


def test_a_terminal_that_hangs_up_under_the_display_changes_no_exit_code() -> None:
    """The laptop is closed at midnight; the night's work and its exit code are the same."""
    master, slave = pty.openpty()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", DISPLAY], stdin=pipe, stdout=pipe, stderr=slave, env=BUFFERED
    ) as child:
        os.close(slave)
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"painted\n"
        os.close(master)
        child.stdin.close()
        assert child.stdout.read() == b"went on\n"
    assert child.returncode == 3


def test_a_pipe_closed_by_its_reader_changes_no_exit_code() -> None:
    """`batchgen run 2>&1 | head` and a logout: Python itself would end with 120 at its last flush."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=writer, env=BUFFERED, check=False
        )
    finally:
        os.close(writer)
    assert ran.returncode == 3
    assert ran.stdout == b"went on\n"


def test_a_stderr_closed_from_the_start_is_no_trouble() -> None:
    """`2>&-` leaves sys.stderr None."""
    program = PROGRAM.replace("sys.stderr)", "sys.stderr or sys.__stdout__)").replace('print("went on")', "")
    ran = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, program],
        stdout=subprocess.PIPE,
        env=BUFFERED,
        check=False,
    )
    assert ran.returncode == 3
