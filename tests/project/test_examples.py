"""Every example runs, as its reader would run it, and makes what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forked_cli import Forked
from source import ROOT

from batchgen import manifest as manifests
from batchgen.files.mp4 import inspect

pytestmark = pytest.mark.real_time

EXAMPLES = ROOT / "examples"
#: Manifest → how many clips it makes. In the fast tier the first one is run, and all are loaded.
MANIFESTS = {
    "quickstart.yaml": 6,
    "shibuya-singer.yaml": 1,
    "product-ad.yaml": 7,
    "mail-merge.yaml": 5,
    "social-cuts.yaml": 6,
}

QUICK = next(iter(MANIFESTS))


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Copy the examples to where they may leave their folders."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("*.sandbox")))


def own(cwd: Path) -> dict[str, str]:
    """Give an environment without a key, and away from the user's own settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHGEN_", "SEGMIND_"))}
    return environment | {"HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd)}


def batchgen(*words: str | Path, cwd: Path, **env: str) -> tuple[int, str, str]:
    """Run `batchgen WORDS` to its end; give its exit code and its two outputs."""
    with Forked([*map(str, words)], cwd, own(cwd) | env) as process:
        stdout, stderr = process.communicate(timeout=120)
        return process.wait(), stdout.decode(), stderr.decode()


def test_every_manifest_among_the_examples_is_run() -> None:
    """An example that no test runs goes stale."""
    assert {file.name for file in EXAMPLES.glob("*.yaml")} == MANIFESTS.keys()


@pytest.mark.parametrize(
    "name", [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in MANIFESTS if name != QUICK)]
)
def test_an_example_makes_its_clips(name: str, examples: Path) -> None:
    """People copy examples and change them: they have to begin from what works."""
    code, stdout, stderr = batchgen(
        "run", examples / name, "--sandbox", "--sandbox-latency", "0.3", "--json", cwd=examples
    )
    assert code == 0, stderr
    answer = json.loads(stdout)
    clips = sorted(Path(answer["clips_dir"]).glob("*.mp4"))
    assert answer["state"]["done"] == len(clips) == MANIFESTS[name]
    assert [inspect(clip) for clip in clips] == [""] * len(clips)


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_example_has_no_faults_nor_warnings(name: str) -> None:
    """An example that warns teaches to ignore warnings."""
    assert manifests.load(EXAMPLES / name).warnings == []


def test_the_script_follows_a_batch_to_its_end(examples: Path) -> None:
    """The public API does what the command does."""
    script: list[str | Path] = [sys.executable, examples / "follow_a_batch.py", examples / "shibuya-singer.yaml"]
    done = subprocess.run(
        script, cwd=examples, env=own(examples), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert "1 wanted, 1 new" in done.stdout
    assert "singer_1.mp4" in done.stdout
    assert done.stdout.rstrip().endswith("exit code 0")


def test_the_two_days_of_the_first_page_run_as_they_stand(tmp_path: Path) -> None:
    """README's first night and next morning, from `init` on, in the sandbox: a newcomer types just that."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    days = readme[readme.index("## The first night") : readme.index("## The manifest, by example")]
    shown = dict.fromkeys(re.findall(r"`batchgen ([^`]+)`", days))
    lines = [shlex.split(line) for line in (*shown, "run night")]  # the last one makes the takes that were queued
    assert {"init", "check", "plan", "run", "status", "retry", "reroll", "report", "export", "verify"} <= {
        words[0] for words in lines
    }
    for words in lines:
        if words[0] in {"doctor", "review"}:  # one asks the real service for the balance, the other serves until Ctrl-C
            continue
        rehearsed = [] if {"--sandbox"} & {*words} or words[0] in {"init", "check"} else ["--sandbox"]
        code, *said = batchgen(*words, *rehearsed, cwd=tmp_path, BATCHGEN_SANDBOX_LATENCY="0.2")
        assert code == 0, (words, said)
    assert len(list((tmp_path / "jobs" / "night.sandbox" / "clips").glob("*.mp4"))) == 7
    assert (tmp_path / "night.csv").is_file()
