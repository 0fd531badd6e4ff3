"""The one screen of all commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import batchgen.cli.commands
from batchgen.cli import cli
from batchgen.cli.overview import COMMANDS, overview


@pytest.mark.parametrize("width", [40, 79, 80, 200])
def test_every_command_has_one_line(width: int) -> None:
    """Whatever the terminal."""
    lines = overview(width).splitlines()
    for name in COMMANDS:
        assert sum(bool(re.match(rf"(.{{40}})? +{name}  ", line)) for line in lines) == 1
    assert width < 80 or (len(lines) <= 24 and max(map(len, lines)) < 80)


def test_every_module_of_a_command_is_in_a_group() -> None:
    """A command that no screen names is not there."""
    modules = {path.stem for path in Path(batchgen.cli.commands.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_bare_batchgen_and_help_are_the_same(args: list[str]) -> None:
    """A newcomer types either."""
    assert CliRunner().invoke(cli, args).stdout == overview(80) + "\n"


def test_colour_adds_nothing_but_escapes() -> None:
    """Whoever can't see it reads the same."""
    assert re.sub(r"\x1b\[\d+m", "", overview(80, coloured=True)) == overview(80)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_and_has_no_types_in_it(name: str) -> None:
    """`INTEGER RANGE` and `x>=0` are words of a library; N says it."""
    text = CliRunner(env={"NO_COLOR": "1", "TERMINAL_WIDTH": "80", "GITHUB_ACTIONS": "true"}).invoke(
        cli, [name, "--help"], catch_exceptions=False
    ).stdout  # fmt: skip
    assert not re.search(r"RANGE|INTEGER|FLOAT|TEXT|BOOLEAN|x>=|\x1b", text)
    assert max(map(len, text.splitlines())) <= 80
