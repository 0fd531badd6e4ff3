"""The live display of a run follows its terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from test_progress import FRAME

from batchgen.cli.monitor import RunMonitor
from batchgen.views.painter import Painter

#: What is written before a frame of another size.
CLEARED = b"\x1b[H\x1b[J"


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """A terminal of 80 columns: the side that reads it, and the one that a program writes to."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    os.set_blocking(ours, False)
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        yield ours, stream
    os.close(ours)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Leave the log as it was: the display sends it to its terminal."""
    logger = logging.getLogger("batchgen")
    before = (list(logger.handlers), logger.propagate, logger.level)
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


def shown(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 20)
    except BlockingIOError:
        return b""


async def noticed(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop hear a signal: it comes by a socket of its own, and no time passes for a frame."""
    os.kill(os.getpid(), signal.SIGWINCH)
    for _ in range(3):
        await asyncio.sleep(0)
    assert loop.is_running()


@pytest.mark.usefixtures("logging_as_before")
def test_a_narrower_window_is_painted_again_at_once_and_without_pieces(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the next frame: until then pieces of the wider one would stand there."""
    ours, stream = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")

    async def resizes() -> tuple[bytes, bytes, bytes]:
        monitor, session = RunMonitor("night", Path("night"), verbosity=0, as_json=False), SimpleNamespace()
        display: Any = monitor
        display._open_display(session)
        painter = display._display
        assert isinstance(painter, Painter)
        painter.update(FRAME)
        before = shown(ours)
        termios.tcsetwinsize(ours, (20, 44))
        await noticed(asyncio.get_running_loop())
        resized = shown(ours)
        display._close_display()
        shown(ours)
        termios.tcsetwinsize(ours, (24, 80))
        await noticed(asyncio.get_running_loop())
        return before, resized, shown(ours)

    before, resized, afterwards = asyncio.run(resizes())
    assert CLEARED not in before
    assert CLEARED in resized
    rows = re.sub(r"\x1b\[[\d;?]*\w", "", resized.split(CLEARED)[1].decode()).split("\r\n")
    assert "shibuya-night" in rows[0]
    assert max(map(len, rows)) < 44
    assert afterwards == b""  # nobody paints when the run is over
