"""Every exit of every command is one object with `--json`, and what can't be written is never exit 0."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgen.cli import main, output
from batchgen.cli.commands.help import SYNONYMS, TOPICS
from batchgen.cli.overview import COMMANDS
from batchgen.errors import Exit, OutputError

JSON = [name for name in COMMANDS if name not in {"init", "schema", "completion", "help", "sandbox", "torture"}]


class Broken(io.StringIO):
    """A stream whose disk is full, or whose reader has gone."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        """Fail as the system does."""
        raise OSError(self.number, "x") if self.number != errno.EPIPE else BrokenPipeError(errno.EPIPE, "x")

    def fileno(self) -> int:
        """Have none."""
        raise io.UnsupportedOperation


@pytest.fixture
def called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in an empty folder: exit code and both outputs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("promts: [a cat]\n")

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["batchgen", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(str(ended.value.code)), *capsys.readouterr()

    return call


@pytest.mark.parametrize("command", JSON)
@pytest.mark.parametrize("args", [["--no-such-option"], ["nosuch", "clip"]])
def test_a_command_that_fails_answers_with_one_object(
    called: Callable[..., tuple[int, str, str]], command: str, args: list[str]
) -> None:
    """A script that reads one object must not have to read standard error, too."""
    code, out, err = called(command, *args, "--json")
    told: dict[str, Any] = json.loads(out)
    assert (code, told["exit_code"], told["error"]["code"], told["error"]["faults"]) == (2, 2, "usage", [])
    assert told["schema_version"] == 1
    assert err.startswith("error: ")
    assert told["error"]["message"] in err.replace("error: ", "").replace("\ntip: ", "; ")


@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_faults_of_a_manifest_are_objects(called: Callable[..., tuple[int, str, str]], command: str) -> None:
    """An editor jumps to the line; no script parses text for it."""
    code, out, _ = called(command, "bad.yaml", "--sandbox"[: 9 * (command != "check")] or "--json", "--json")
    told = json.loads(out)["error"]
    assert (code, told["code"], told["faults"][0]["line"]) == (2, "manifest", 1)


@pytest.mark.parametrize("name", ["key", "crash", "caps", "csv", "rate", "resume", "cost", "proxy", "CSV"])
def test_help_knows_the_words_that_people_use(called: Callable[..., tuple[int, str, str]], name: str) -> None:
    """Nobody knows that prices are under `money` before having read it."""
    code, out, _ = called("help", name)
    assert code == 0
    assert out.startswith("# ")


@pytest.mark.parametrize("name", ["export", "sandbox", "recover"])
def test_help_of_a_topic_that_is_a_command_too_names_the_commands_own(
    called: Callable[..., tuple[int, str, str]], name: str
) -> None:
    """Both have the name; neither hides the other."""
    assert called("help", name)[1].endswith(f"Options of the command: `batchgen {name} --help`\n")


def test_every_word_leads_somewhere() -> None:
    """To a topic or a command that there is, and no topic or command is hidden by a word."""
    assert set(SYNONYMS.values()) <= {*TOPICS, *COMMANDS}
    assert not SYNONYMS.keys() & {*TOPICS, *COMMANDS}


def test_a_full_disk_behind_the_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file with exit 0 would be taken for an answer; a reader who has gone is no error."""
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"^cannot write the output: disk full$") as caught:
        output.put("an answer")
    assert caught.value.exit_code == Exit.STOPPED
    monkeypatch.setattr(sys, "stdout", Broken(errno.EPIPE))
    output.put("an answer")


@pytest.mark.parametrize("args", [["--help"], ["help"], ["schema"], ["plan", "--help"], ["status", "--json"]])
def test_no_command_ends_well_when_its_output_is_lost(
    called: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    """The same for each, also for what click prints by itself."""
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    code, _, err = called(*args)
    assert (code, err) == (Exit.STOPPED, "error: cannot write the output: disk full\n")
