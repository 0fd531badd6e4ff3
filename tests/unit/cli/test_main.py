"""Every exit of every command is one object with `--json`, and what can't be written is never exit 0."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen import manifest as manifests
from batchgen.cli import main, output
from batchgen.cli.commands.help import SYNONYMS, TOPICS
from batchgen.cli.overview import COMMANDS
from batchgen.errors import Exit, OutputError
from batchgen.ledger import SANDBOX_ORIGIN, SqliteLedger

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


EARLY = [
    ["run", "bad.yaml", "--sandbox"],
    ["run", "n", "--sandbox", "--limit", "x"],
    ["run", "n", "--sandbox", "--no-such-option"],
    ["run", "--no-such-option", "n", "--sandbox"],
    ["run", "n", "--sandbox", "--plan", "nosuch"],
    ["run", "n", "--sandbox", "--only", "nosuch"],
    ["run", "n", "--sandbox", "--fault", "nosuch"],
    ["run", "n", "--dir", "n.sandbox", "--sandbox", "--limit", "x"],
    ["status", "n", "--no-such-option"],
]


@pytest.mark.parametrize("args", EARLY, ids=" ".join)
def test_an_early_exit_speaks_of_the_batch_that_was_meant(
    called: Callable[..., tuple[int, str, str]], tmp_path: Path, args: list[str]
) -> None:
    """A script that reads `sandbox: false` or `pending: 0` takes it for the truth, error or not."""
    (tmp_path / "n.yaml").write_text("prompts: [a cat, a dog]\n")
    with closing(SqliteLedger(tmp_path / "n.sandbox")) as ledger:
        ledger.sync(manifests.load(tmp_path / "n.yaml").wanted)
        ledger.remember("origin", SANDBOX_ORIGIN)
        ledger.remember("name", "n")
    code, out, _ = called(*args, "--json")
    told = json.loads(out)
    known = "bad.yaml" not in args
    assert (code, told["exit_code"], told["sandbox"], told["live"]) == (2, 2, True, False)
    assert told["clips_dir"] == str(tmp_path / ("n.sandbox" if known else "bad.sandbox") / "clips")
    assert (told["name"], told["state"]["pending"]) == (("n", 2) if known else ("bad", 0))


def test_of_a_ledger_that_cannot_be_read_nothing_is_counted_as_0(
    called: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """What was spent is unknown then, and never 0."""
    (tmp_path / "n.yaml").write_text("prompts: [a cat]\n")
    (tmp_path / "n.sandbox").mkdir()
    (tmp_path / "n.sandbox" / "ledger.db").write_bytes(b"no ledger")
    for args in (["status", "n"], ["run", "n", "--sandbox"]):
        code, out, _ = called(*args, "--json")
        told = json.loads(out)
        assert (code, told["error"]["code"], told["sandbox"]) == (2, "ledger", True)
        assert (told["spent_usd"], told["paid_clips"], {*told["state"].values()}) == (None, None, {None})


@pytest.mark.parametrize(
    ("options", "following"),
    [
        (["--sandbox"], "batchgen run jobs/n.yaml --sandbox --plan p"),
        ([], "batchgen run jobs/n.yaml --plan p"),
        (["--dir", "jobs/other"], "batchgen run jobs/n.yaml --dir jobs/other --plan p"),
    ],
)
def test_a_saved_plan_is_shown_with_the_command_that_runs_it(
    called: Callable[..., tuple[int, str, str]], tmp_path: Path, options: list[str], following: str
) -> None:
    """To copy as it is: with the manifest, found by its content, and in the batch that the plan was made for."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "n.yaml").write_text("prompts: [a cat]\n")
    (tmp_path / "a copy.yaml").write_text("prompts: [a cat]\n")
    assert called("plan", "n", *options, "--out", "p")[0] == 0
    shown = called("plan", "--show", "p")[1]
    assert "+ cat_1" in shown
    assert shown.endswith(f"Next: {following}\n")
    for copy in ("jobs/n.yaml", "a copy.yaml"):
        (tmp_path / copy).write_text("prompts: [a dog]\n")
    assert "was edited since" in called("plan", "--show", "p")[1]


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
