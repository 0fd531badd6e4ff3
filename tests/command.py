"""`batchgen` as a process: a working folder of its own, an environment of its own, and what came out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forked_cli import Forked

KEY = "SG_0123456789abcdef"
STATES = ("pending", "submitting", "unconfirmed", "generating", "downloading", "done", "failed", "blocked", "lost")


#: A started command: forked from the warm server, or in a Python of its own.
Process = subprocess.Popen[bytes] | Forked


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code and both outputs, as bytes and as text."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        return self.stderr.decode()

    @property
    def obj(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        obj: dict[str, Any] = json.loads(self.stdout)
        return obj

    @property
    def counts(self) -> dict[str, int]:
        """The states that some clip is in."""
        return {state: count for state, count in self.obj["state"].items() if count}

    def expect(self, code: int, **counts: int) -> Ended:
        """Assert the exit code, and the counts by state where some are given."""
        assert self.code == code, f"exit {self.code}\n{self.stdout.decode()}\n{self.said}"
        assert "Traceback" not in self.said
        assert not counts or self.counts == counts, f"{self.counts}\n{self.said}"
        return self


def _hears_signals() -> None:
    """A suite that runs under nohup, or in the background, would hand its deaf ears on."""
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)


@dataclass
class Desk:
    """A working folder with one manifest, `night.yaml`, and an environment without a home of anyone's."""

    folder: Path
    url: str

    @property
    def batch(self) -> Path:
        return self.folder / "night"

    @property
    def clips(self) -> list[Path]:
        return sorted((self.batch / "clips").glob("*.mp4"))

    @property
    def env(self) -> dict[str, str]:
        """A bare environment, with the key."""
        home = str(self.folder / "home")
        bare = {"PATH": os.environ["PATH"], "HOME": home, "XDG_CONFIG_HOME": home, "SEGMIND_API_KEY": KEY, "TZ": "UTC"}
        # The command under test is that of the tree under test, installed or not.
        tree = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return bare | {"LANG": "C.UTF-8"} | tree

    def manifest(self, *prompts: str, more: str = "", name: str = "night.yaml") -> None:
        """Write a manifest of plain prompts; `more` goes before them."""
        lines = "".join(f"  - {json.dumps(prompt)}\n" for prompt in prompts)
        (self.folder / name).write_text(f"{more}\nprompts:\n{lines}")

    def run(self, *options: str, **more: Any) -> Ended:
        """Run `batchgen run night.yaml --yes --json …` to its end."""
        return self.call(*self.paid("--yes", "--json", *options), **more)

    def paid(self, *options: str) -> list[str]:
        """Give the arguments of a quick paid run."""
        return ["run", "night.yaml", "--base-url", self.url, "--rpm", "0", "--expect-latency", "0.1", *options]

    def call(self, *args: str, **more: Any) -> Ended:
        """Run `batchgen ARGS` to its end."""
        return self.end(self.start(*args, **more))

    def start(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        wrap: Sequence[str] = (),
        fresh: bool = False,
        **streams: Any,
    ) -> Process:
        """Start `batchgen ARGS`; `env` adds variables (None takes one away), `wrap` is a command put before.

        A warm Python is forked. One of its own starts where a wrapper is given, and for `fresh`: tests of the start
        itself, or of a variable that is read at the import.
        """
        changed = {name: value for name, value in {**self.env, **(env or {})}.items() if value is not None}
        if not (fresh or wrap):
            return Forked(args, self.folder, changed, **streams)
        command = [*wrap, sys.executable, "-m", "batchgen", *args]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(command, cwd=self.folder, env=changed, preexec_fn=_hears_signals, **streams)

    def end(self, process: Process) -> Ended:
        """Wait for a process and take its outputs."""
        with process:
            try:
                stdout, stderr = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Ended(process.wait(), stdout or b"", stderr or b"")

    def kill(self, process: Process) -> None:
        """Kill -9, and wait until it is gone."""
        process.kill()
        self.end(process)
