"""Manifests that would take the process down, its memory or the night: told in seconds, within bounds."""

from __future__ import annotations

import subprocess
import sys

import pytest

LAUGHS = "\n".join(
    f"  {new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)
HOSTILE = {
    "mappings nested 50,000 deep": "prompts: " + "{a: " * 50_000,
    "quoted mappings nested 50,000 deep": '{"a":' * 50_000,
    "lists nested 50,000 deep": "prompts: " + "[" * 50_000,
    "list items nested 50,000 deep": "- " * 50_000,
    "two million values": "prompts:\n" + "- a\n" * 2_000_000,
    "a billion laughs": f"vars:\n  a: &a [{', '.join('x' * 9)}]\n{LAUGHS}\nprompts: ['{{{{ k }}}}']\n",
    "a file without an end": "prompts:\n  - file: /dev/zero\n",
    "audio without an end": "prompts:\n  - {prompt: x, audio: /dev/zero}\n",
    "a pipe that nobody writes to": "prompts:\n  - file: pipe.csv\n",
    "ten to the power of a hundred million": "prompts: ['{{ 1.5|round(99999999, \"floor\") }}']\n",
    "the same, and negative": "prompts: ['{{ 15|round(-99999999) }}']\n",
    "a list as a number": "prompts: ['{{ range(1000)|list|join(\"x\" ~ range(1000)|list|string) }}']\n",
}  # fmt: skip
#: Run by itself, with 1 GiB of address space for all it does.
SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
from batchgen.errors import ManifestError
from batchgen.manifest import load
from batchgen.manifest import loader, templates  # what is imported late counts for no case

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for name in sys.argv[1:]:
    if os.fork() == 0:
        signal.alarm(30)
        try:
            load(Path(name))
            print(f"{name}: loaded", flush=True)
        except ManifestError as error:
            print(f"{name}: told {error.faults[0].what}", flush=True)
        os._exit(0)
    _, status = os.wait()
    if status:
        print(f"{name}: died of {status}", flush=True)
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each of them ended."""
    folder = tmp_path_factory.mktemp("hostile")
    import os

    os.mkfifo(folder / "pipe.csv")
    files = {f"m{n}.yaml": name for n, name in enumerate(HOSTILE)}
    for file, name in files.items():
        (folder / file).write_text(HOSTILE[name])
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *files], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    lines = dict(line.split(": ", 1) for line in run.stdout.splitlines())
    return {name: lines.get(file, run.stderr[-300:]) for file, name in files.items()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_manifest_is_told(ends: dict[str, str], name: str) -> None:
    """No crash of the C parser, no file read for ever, no gigabytes."""
    assert ends[name].startswith("told ")
