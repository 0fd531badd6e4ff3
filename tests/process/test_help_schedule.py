"""`help schedule`: what it says to type is tried, in the bare environment that a timer gives."""

from __future__ import annotations

import configparser
import plistlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "batchgen" / "docs" / "schedule.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?ms)^```\n(.*?)^```$", TEXT)
#: Where the examples have batchgen and the manifest.
FOLDER = "/home/ada/film"


def block(begins: str, holds: str = "") -> str:
    """Give the one example that begins so."""
    [found] = [each for each in BLOCKS if each.startswith(begins) and holds in each]
    return str(found)


@pytest.fixture
def film(desk: Desk) -> Iterator[Desk]:
    """A desk as the examples have it: jobs/night.yaml with `.env`, and batchgen in a virtual environment."""
    desk.manifest("a cat", more="budget: {max_usd_per_day: 40}")
    jobs, command = desk.folder / "jobs", desk.folder / ".venv" / "bin" / "batchgen"
    jobs.mkdir()
    (desk.folder / "night.yaml").rename(jobs / "night.yaml")
    (jobs / ".env").write_text(f"SEGMIND_API_KEY={desk.env['SEGMIND_API_KEY']}\n")
    command.parent.mkdir(parents=True)
    python = f"PYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable}"
    command.write_text(f'#!/bin/sh\n{python} -m batchgen "$@"\n')
    command.chmod(0o755)
    yield desk


def bare(film: Desk) -> list[str]:
    """Give what sets the environment of cron, with our folder as the home."""
    return ["env", "-i", f"HOME={film.folder}", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"]


def with_service(text: str, film: Desk) -> str:
    """Put an example into our folder, and let it speak to a service of our own."""
    pace = f"--base-url {film.url} --rpm 0 --expect-latency 0.1"
    return text.replace(FOLDER, str(film.folder)).replace("--yes", f"--yes {pace}")


def test_the_cron_line_runs_the_batch_in_cron_s_environment(api: FakeApi, film: Desk) -> None:
    """No PATH, no terminal, no key but that of `.env`; what it says is in the log next to it."""
    script = film.folder / "night.sh"
    script.write_text(with_service(block("#!/bin/sh"), film))
    script.chmod(0o755)
    line = block("0 22 * * *").split(maxsplit=5)
    assert len(line) == 6
    command = line[5].strip().replace(FOLDER, str(film.folder))
    ended = subprocess.run(
        [*bare(film), "/bin/sh", "-c", command], cwd="/", capture_output=True, timeout=60, check=False
    )
    log = (film.folder / "cron.log").read_text()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b""), log
    assert "1 of 1 clip done" in log
    assert api.posts == 1
    assert list((film.folder / "jobs" / "night" / "clips").glob("*.mp4"))


def test_the_systemd_units_are_valid_and_their_command_runs(api: FakeApi, film: Desk) -> None:
    """By systemd's own check where it is there; the command is run as the service would."""
    units = film.folder / "units"
    units.mkdir()
    for name, text in (("service", block("[Unit]", "[Service]")), ("timer", block("[Unit]", "[Timer]"))):
        (units / f"batchgen.{name}").write_text(text.replace(FOLDER, str(film.folder)))
    if tool := which("systemd-analyze"):
        files = [str(path) for path in sorted(units.iterdir())]
        run = [tool, "--user", "verify", *files]
        checked = subprocess.run(
            run, env={"XDG_RUNTIME_DIR": str(units)}, capture_output=True, text=True, timeout=60, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")
    service = configparser.ConfigParser(delimiters=("=",))
    service.optionxform = str  # type: ignore[assignment, method-assign]  # as configparser's own documentation has it
    service.read(units / "batchgen.service")
    command = shlex.split(with_service(service["Service"]["ExecStart"], film))
    folder = Path(service["Service"]["WorkingDirectory"])
    ended = subprocess.run([*bare(film), *command], cwd=folder, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert api.posts == 1
    assert service["Service"]["SuccessExitStatus"] == "3 4"


def test_the_launchd_file_is_a_property_list_of_the_same_command() -> None:
    """It was not tried on a Mac; its form and its words are those of the others."""
    plist = plistlib.loads(block("<?xml").encode())
    assert plist["ProgramArguments"][1:] == ["run", "jobs/night.yaml", "--yes", "--awake"]
    assert plist["StartCalendarInterval"] == {"Hour": 22, "Minute": 0}
