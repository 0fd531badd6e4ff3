"""A fault of the user's input: what is wrong, then what to do, on standard error."""

from __future__ import annotations

import re
import sys

import click
import pytest
from click.testing import CliRunner

from batchgen.cli import cli, error_text, output
from batchgen.cli.error_text import source_lines
from batchgen.cli.overview import COMMANDS
from batchgen.clip import Wanted
from batchgen.errors import Fault, ManifestError, UsageError


def reported(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What is printed for a command line that cannot be obeyed."""
    with pytest.raises(click.ClickException) as caught:
        cli.main(list(args), prog_name="batchgen", standalone_mode=False)
    assert caught.value.exit_code == 2
    error_text.show(caught.value)
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize(
    ("args", "error", "tip"),
    [
        (["statsu"], "no such command statsu", "did you mean status?"),
        (["xyzzy"], "no such command xyzzy", "`batchgen --help` lists the commands"),
        (["run", "night", "--lmit", "3"], "no such option --lmit", "did you mean --limit?"),
        (["run", "night", "--xyzzy"], "no such option --xyzzy", "`batchgen run --help` lists the options"),
        (["run"], "missing argument 'MANIFEST...'", "`batchgen run --help` lists the options"),
        (["run", "night", "--rpm", "nan"], "invalid value for '--rpm': 'nan' is not a finite number",
         "`batchgen run --help` lists the options"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_answered_in_two_lines(
    args: list[str], error: str, tip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One style, and the nearest word where there is one."""
    assert reported(capsys, *args) == f"error: {error}\ntip: {tip}\n"


def test_our_own_errors_have_the_same_style(capsys: pytest.CaptureFixture[str]) -> None:
    """A tip stands on a line of its own; in JSON it is part of the message."""
    error = UsageError("there is no manifest nigt", tip="did you mean night?")
    error_text.show(error)
    assert capsys.readouterr().err == "error: there is no manifest nigt\ntip: did you mean night?\n"
    assert str(error) == "there is no manifest nigt; did you mean night?"


def test_a_fault_of_a_manifest_begins_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors and terminals jump to it."""
    error_text.show(ManifestError([Fault("night.yaml", 3, 1, "a"), Fault("night.yaml", 4, 2, "b", "c")]))
    assert capsys.readouterr().err == "night.yaml:3:1: a\nnight.yaml:4:2: b: c\n"


def test_a_misspelt_variable_is_warned_of_and_known_ones_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    """BATCHGEN_RMP=3 would be ignored in silence."""
    context = click.Context(cli)
    commands = {name: command for name in COMMANDS if (command := cli.get_command(context, name))}
    known = {"BATCHGEN_RPM": "3", "BATCHGEN_SANDBOX_SLOTS": "2", "BATCHGEN_DIR": "x", "BATCHGEN_FAILPOINT": "count"}
    error_text.warn_of_unknown_variables(commands, {**known, "OTHER": "1"})
    assert capsys.readouterr().err == ""
    error_text.warn_of_unknown_variables(commands, {**known, "BATCHGEN_RMP": "3"})
    text = "warning: BATCHGEN_RMP is not a known variable and is ignored: did you mean BATCHGEN_RPM?\n"
    assert capsys.readouterr().err == text


def test_the_warning_is_printed_once_for_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command goes on."""
    monkeypatch.setenv("BATCHGEN_XYZZY", "1")
    done = CliRunner().invoke(cli, ["schema"])
    assert done.exit_code == 0
    assert done.stderr.count("BATCHGEN_XYZZY") == 1


CLIPS = [Wanted("k", "courier-oslo", 1, "m", "{}", "courier-oslo_1"), Wanted("l", "cat", 1, "m", "{}", "cat_1")]


def test_a_glob_that_fits_no_clip_is_warned_of_with_the_nearest_names() -> None:
    """Others of the same option fit, so the run is still worth something."""
    assert error_text.check_only(None, CLIPS) == []
    assert error_text.check_only("courier-*, cat_1", CLIPS) == []
    [line] = error_text.check_only("cat,courier-olso*", CLIPS)
    assert line.startswith("warning: --only: no clip matches 'courier-olso*'; there are: courier-oslo")


@pytest.mark.parametrize("only", ["xyz*", "", "xyz,abc"])
def test_an_only_that_fits_nothing_is_refused_with_the_names_that_there_are(only: str) -> None:
    """A typo must not look like obedience."""
    with pytest.raises(UsageError, match="no clip matches --only") as caught:
        error_text.check_only(only, CLIPS)
    assert caught.value.tip.startswith("there are: cat, cat_1")


@pytest.mark.parametrize("cap", ["MAX_USD", "MAX_USD_PER_DAY", "MAX_CLIPS"])
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_cap_in_a_variable_without_a_value_is_refused(
    cap: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`BATCHGEN_MAX_USD=$CAP` under cron, where CAP is not set: the night would have no budget."""
    monkeypatch.setenv(f"BATCHGEN_{cap}", "")
    assert f"invalid value for BATCHGEN_{cap}: it has no value" in reported(capsys, command, "night")


def test_a_fault_shows_its_source_line_with_a_caret(capsys: pytest.CaptureFixture[str]) -> None:
    """Wide characters take two columns, tabs stay, and of a long line the part round the fault is shown."""
    line = "  - 猫 runs: fast"
    error_text.show(ManifestError([Fault("night.yaml", 3, 11, "a", source=line)]))
    assert capsys.readouterr().err == f"night.yaml:3:11: a\n    3 | {line.strip()}\n      |            ^\n".replace(
        line.strip(), line
    )
    shown = source_lines(Fault("n.yaml", 12, 501, "a", source="x" * 500 + "!" + "y" * 500))
    assert max(map(len, shown)) <= 100
    assert shown[0][shown[1].index("^")] == "!"


def test_on_a_terminal_the_first_word_and_the_caret_have_their_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never colour alone, and none where NO_COLOR is set or nobody watches."""
    text = "error: a tab\n    3 | \tsize\n      | ^\ntip: error: is a word, too"
    output.note(text)
    assert capsys.readouterr().err == f"{text}\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.note(text)
    painted = capsys.readouterr().err
    assert re.sub("\x1b\\[[0-9]*m", "", painted) == f"{text}\n"
    assert re.findall("\x1b\\[[1-9][0-9]*m(.*?)\x1b", painted) == ["error", "^", "tip"]
    monkeypatch.setenv("NO_COLOR", "1")
    output.note(text)
    assert "\x1b" not in capsys.readouterr().err
