"""A warmed `batchgen`: imported once, forked for every run, so that hundreds of real runs and kills fit a test.

Each run is a process of its own with real files and real signals; only the half second of imports is saved. Run as a
program, this file is the server that forks; `Warm` is its client.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from command import Ended

_MODULES = (
    "batchgen.runner.session", "batchgen.cli.commands.run", "batchgen.cli.monitor", "batchgen.manifest.loader",
    "batchgen.views.events_file", "batchgen.views.status", "batchgen.views.plan", "batchgen.views.facts",
    "batchgen.api", "dotenv", "platformdirs", "batchgen.cli.frame", "batchgen.cli.commands.reconcile",
    "batchgen.manifest.templates", "encodings.utf_8_sig", "zoneinfo",
)  # fmt: skip


class Warm:
    """Runs `batchgen ARGS` in a folder; enter it to start the server."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = dict(env)

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "error", __file__]
        pythonpath = os.pathsep.join([str(Path(__file__).parent), self._env.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._folder,
            env={**self._env, "PYTHONPATH": pythonpath},
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._server as server:
            assert server.stdin is not None
            server.stdin.close()

    def call(self, *args: str, **env: str) -> Ended:
        """Run it to its end; a signal's number comes back negative, as from `subprocess`."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"args": args, "env": env}) + "\n")
        self._server.stdin.flush()
        told: dict[str, Any] = json.loads(self._server.stdout.readline())
        return Ended(told["code"], told["stdout"].encode(), told["stderr"].encode())


def _serve() -> None:
    for module in _MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        outputs = [os.memfd_create("out"), os.memfd_create("err")]
        child = os.fork()
        if child == 0:
            _be(asked, outputs)
        _, status = os.waitpid(child, 0)
        texts = [_whole(output) for output in outputs]
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "stdout": texts[0], "stderr": texts[1]}))
        sys.stdout.flush()


def _be(asked: dict[str, Any], outputs: list[int]) -> None:
    """Become a run of its own: what the environment asks for is read again, as at the import of a new process."""
    from batchgen import cli, failpoints

    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for fd, output in enumerate(outputs, 1):
            os.dup2(output, fd)
        os.environ.update(asked["env"])
        sys.argv = ["batchgen", *asked["args"]]
        importlib.reload(failpoints)
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _whole(output: int) -> str:
    with os.fdopen(output, "rb") as file:
        file.seek(0)
        return file.read().decode("utf-8", "replace")


if __name__ == "__main__":
    _serve()
