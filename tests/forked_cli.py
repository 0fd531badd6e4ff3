"""`batchgen` as a process of its own without the half second of imports: one server has imported it, and forks.

A forked run is real: its own process, files, signals, environment and folder, and it ends as Python ends. What it does
not show is the start of an interpreter: import order, `-W`, `PYTHON*` variables. As a program, this file is the server.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

_NUMBER = struct.Struct("i")  #: a process id, an exit code


class Forked:
    """A running `batchgen ARGS`, used as a `subprocess.Popen` is; an output that is not given is a pipe."""

    def __init__(
        self,
        args: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.args = ["batchgen", *args]
        self.returncode: int | None = None
        self._keeper, theirs = socket.socketpair()
        source = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin)
        (self.stdout, out), (self.stderr, err) = _outlet(stdout), _outlet(stderr)
        with theirs:
            socket.send_fds(_server(), [b"."], [theirs.fileno(), source, out, err])
        for fd in (source, out, err):
            os.close(fd)
        self._keeper.sendall(json.dumps({"args": self.args, "folder": str(folder), "env": dict(env)}).encode())
        self._keeper.shutdown(socket.SHUT_WR)
        self.pid = self._number()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        self.wait()

    @property
    def _pipes(self) -> list[BinaryIO]:
        return [pipe for pipe in (self.stdout, self.stderr) if pipe]

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raise `subprocess.TimeoutExpired` after so many seconds."""
        if self.returncode is None:
            self._keeper.settimeout(timeout)
            try:
                self.returncode = self._number()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
            self._keeper.close()
        return self.returncode

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Read both outputs to their end, and wait for the process; what is no pipe gives nothing."""
        until = time.monotonic() + timeout
        outputs = {pipe.fileno(): b"" for pipe in self._pipes}
        with selectors.DefaultSelector() as open_ones:
            for fd in outputs:
                open_ones.register(fd, selectors.EVENT_READ)
            while open_ones.get_map():
                ready = open_ones.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, timeout)
                for key, _ in ready:
                    piece = os.read(key.fd, 2**16)
                    outputs[key.fd] += piece
                    if not piece:
                        open_ones.unregister(key.fd)
        self.wait(max(0.1, until - time.monotonic()))
        stdout, stderr = (outputs[pipe.fileno()] if pipe else b"" for pipe in (self.stdout, self.stderr))
        return stdout, stderr

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        try:
            self.wait(0)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Kill -9."""
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        received = self._keeper.recv(_NUMBER.size)
        assert received, "the server of forked runs has died"
        number: int = _NUMBER.unpack(received)[0]
        return number


def _outlet(given: int | None) -> tuple[BinaryIO | None, int]:
    """Give our end of a new pipe, and the other one; or no pipe, and a copy of what is given."""
    if given is not None:
        return None, os.dup(given)
    ours, theirs = os.pipe()
    return os.fdopen(ours, "rb"), theirs


@functools.cache
def _server() -> socket.socket:
    """Start this process's server at the first run; it ends when its socket is closed."""
    ours, theirs = socket.socketpair()
    bare = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            env={**bare, "LANG": "C.UTF-8"},
        )  # fmt: skip

    @atexit.register
    def _stop() -> None:
        ours.close()
        server.wait()

    return ours


# --- the server -----------------------------------------------------------------------------------------------------


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; return in the forked run, with the request, and at the end, with None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the tests is for pytest
    while True:
        _, fds, _, _ = socket.recv_fds(control, 1, 4)
        _reap()
        if not fds:
            return None
        if os.fork() == 0:
            control.close()
            return _keep(socket.socket(fileno=fds[0]), fds[1:])
        for fd in fds:
            os.close(fd)


def _reap() -> None:
    """Bury the keepers that have ended, so that their CPU time counts as the server's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(client: socket.socket, streams: list[int]) -> dict[str, Any]:
    """Fork the run and report its process id and, when it has ended, its exit code; return in the run only."""
    with client.makefile("rb") as request:
        asked: dict[str, Any] = json.load(request)
    child = os.fork()
    for number, fd in enumerate(streams):
        if child == 0:
            os.dup2(fd, number)
        os.close(fd)
    if child == 0:
        client.close()
        return asked
    client.sendall(_NUMBER.pack(child))
    _, status = os.waitpid(child, 0)
    client.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(asked: dict[str, Any]) -> None:
    """Take over folder, environment and signals, as a process that has just started has them."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
    sys.argv = asked["args"]
    sys.path[0] = asked["folder"]
    importlib.reload(importlib.import_module("batchgen.failpoints"))  # which reads its variable at the import


def _import_all() -> None:
    from batchgen.cli.overview import COMMANDS

    late = ("dotenv", "encodings.utf_8_sig", "jinja2.sandbox", "platformdirs", "zoneinfo")
    for module in (*(f"batchgen.cli.commands.{name}" for name in COMMANDS), *_LATE, *late):
        importlib.import_module(module)
    gc.freeze()


#: What commands import only when they need it.
_LATE = tuple(f"batchgen.{name}" for name in (
    "api", "cli.frame", "cli.monitor", "manifest.loader", "manifest.templates", "runner.session", "views.events_file",
    "views.facts", "views.painter", "views.plan", "views.status",
))  # fmt: skip


def _main() -> None:
    from batchgen import cli

    _import_all()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        asked = _serve(control)
    if asked is not None:
        _become(asked)
        cli.main()


if __name__ == "__main__":
    _main()
