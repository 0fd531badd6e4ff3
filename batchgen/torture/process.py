"""The processes of a torture: the service, and the command that is tortured; each the real thing, as a subprocess."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from batchgen.errors import UsageError

_START_S = 30.0


def environment(home: Path) -> dict[str, str]:
    """Give a bare environment: no key, no proxy, no configuration of anyone's."""
    kept = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    bare = {name: os.environ[name] for name in kept if name in os.environ}
    return bare | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home),
                   "XDG_DATA_HOME": str(home), "LANG": "C.UTF-8"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended; a signal's number is negative."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON object on its standard output; empty when there is none."""
        try:
            answer = json.loads(self.stdout)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}


class Command:
    """Calls `batchgen ARGS` in a folder."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = dict(env)

    async def start(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        """Start it, in a process group of its own."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "batchgen", *args, cwd=self._folder, env=self._env | env, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def end(self, process: asyncio.subprocess.Process, *, kill_s: float, gentle: bool = False) -> Ended:
        """Wait for its end; after `kill_s` seconds it is killed, or first asked to go."""
        async with asyncio.TaskGroup() as group:
            outputs = group.create_task(process.communicate())
            _, left = await asyncio.wait({outputs}, timeout=kill_s)
            if left and gentle:
                _signal(process, signal.SIGTERM)
                _, left = await asyncio.wait({outputs}, timeout=3.0)
            if left:
                _signal(process, signal.SIGKILL)
            stdout, stderr = await outputs
        return Ended(process.returncode or 0, stdout, stderr)

    async def call(self, *args: str, timeout_s: float = 120.0) -> Ended:
        """Call it and wait for its end."""
        return await self.end(await self.start(*args), kill_s=timeout_s)


def _signal(process: asyncio.subprocess.Process, signum: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(signum)


class Service:
    """The fault sandbox in a process of its own; it keeps folder, port and jobs over its restarts."""

    def __init__(self, folder: Path, home: Path, seed: int) -> None:
        self.folder = folder
        self._command = Command(home, environment(home))
        self._seed = seed
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def start(self, doses: str, skew_s: float) -> None:
        """Start it in a mood.

        Raises:
            UsageError: it does not come up.
        """
        options = [arg for dose in doses.split(",") if dose for arg in ("--fault", dose)]
        self._process = await self._command.start(
            "sandbox", "--folder", str(self.folder), "--port", str(self.port), "--latency", "0.3", "--slots", "64",
            "--credits", "100000", "--no-render", "--json", "--seed", str(self._seed), "--clock-skew", str(skew_s),
            *options,
        )  # fmt: skip
        stdout = self._process.stdout
        line = await asyncio.wait_for(stdout.readline(), _START_S) if stdout else b""
        if not line:
            raise UsageError("the sandbox could not be started")
        self.port = int(json.loads(line)["url"].rpartition(":")[2])

    async def stop(self) -> None:
        """Kill it as rudely as the command is: its jobs are on disk."""
        process, self._process = self._process, None
        if process is not None:
            _signal(process, signal.SIGKILL)
            await process.communicate()

    async def books(self) -> dict[str, Any]:
        """Ask what it thinks it was paid."""
        return await asyncio.to_thread(self._books)

    def _books(self) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self.port}/sandbox/books", timeout=30) as answer:
            books: dict[str, Any] = json.load(answer)
            return books
