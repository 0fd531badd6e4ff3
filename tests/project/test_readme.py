"""README is true of the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from readme_blocks import BLOCKS, README, ROOT, blocks_in, command, fresh, visible_options

import batchgen
from batchgen import settings
from batchgen.billing.audit import Audit, Item
from batchgen.billing.bill import By, make_bill
from batchgen.billing.prices import PriceSource, Quote
from batchgen.cli import COMMANDS, cli
from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.planning import Conditions, make_plan
from batchgen.sandbox.faults import Faults
from batchgen.views.bill import audit_object, bill_object
from batchgen.views.doubts import ClipProblem
from batchgen.views.export import columns
from batchgen.views.plan import plan_object
from batchgen.views.status import Facts, status_object

TEXT = README.read_text(encoding="utf-8")
TRY = (
    "python3 -m venv .venv && .venv/bin/pip install '.[media]'"
    " && .venv/bin/batchgen run examples/quickstart.yaml --sandbox"
)
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[media,test]' && .venv/bin/python -m pytest"


def section(title: str) -> str:
    """Return the text below the heading that begins so, up to the next one of its rank."""
    found = re.search(rf"(?ms)^(#+) {re.escape(title)}[^\n]*\n(.*?)(?=^\1 |\Z)", TEXT)
    assert found, title
    return found[2]


@pytest.mark.parametrize("line", [TRY, TEST])
def test_the_two_commands_stand_there_to_be_copied(line: str) -> None:
    """They are what a newcomer types, and what CI runs."""
    assert TEXT.count(f"\n{line}\n") == 1


def test_what_is_made_from_the_program_is_fresh() -> None:
    """Else: python tests/project/readme_blocks.py."""
    assert fresh(TEXT) == TEXT


def test_every_made_block_is_used_once() -> None:
    """A block without its marks would never be made again."""
    assert sorted(blocks_in(TEXT)) == sorted(BLOCKS)


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Return what `--help` of every command says, without colour, 100 columns wide."""
    runner = CliRunner(env={"NO_COLOR": "1", "TERMINAL_WIDTH": "100"})
    return {name: runner.invoke(cli, [name, "--help"], catch_exceptions=False).output for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_the_help_is_in_the_reference(name: str, helps: dict[str, str]) -> None:
    """What `--help` shows, README shows, and the other way round."""
    in_help = set(re.findall(r"(?m)^[ │]*(--[a-z][a-z-]+)", helps[name])) - {"--help"}
    in_readme = set(re.findall(r"(?m)^\| `(?:-\w, )?(--[a-z][a-z-]+)", section(f"`batchgen {name}")))
    assert in_help == in_readme == {max(option.opts, key=len) for option in visible_options(command(name))}


@pytest.mark.real_time
@pytest.mark.parametrize("width", ["80", "100"])
def test_the_help_names_every_command_and_how_to_go_on(width: str) -> None:
    """The help is the first page that most people read."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": width, "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "batchgen", "--help"], capture_output=True, text=True, check=True, env=environment
    )
    assert all(re.search(rf"(?m)^[ │|]*{name}\b", done.stdout) for name in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= int(width)
    assert "\x1b" not in done.stdout


def test_every_exit_code_is_told() -> None:
    """Scripts rely on them."""
    told = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", section("Exit codes"))}
    assert told == {int(code) for code in Exit}


def test_every_environment_variable_is_told() -> None:
    """A variable that nobody knows of is a fault at three in the morning."""
    said = section("Environment")
    given = {option.envvar for name in COMMANDS for option in command(name).params if isinstance(option.envvar, str)}
    own = {name for name in given if not name.startswith("BATCHGEN_")}
    assert not [
        name
        for name in {settings.KEY_VARIABLE, settings.KEY_FILE_VARIABLE, *own, *settings.CONFIGURABLE}
        if f"`{name}`" not in said
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_options_variable_has_its_name(name: str) -> None:
    """`--in-flight` is BATCHGEN_IN_FLIGHT: what README says of all options holds for each."""
    for option in visible_options(command(name)):
        told = option.envvar or f"BATCHGEN_{str(option.name).upper()}"
        long = max(option.opts, key=len).removeprefix("--").replace("-", "_").upper()
        assert told in {f"BATCHGEN_{long}", f"SEGMIND_{long}"}


def test_every_field_of_the_json_answers_is_told() -> None:
    """Fields are stable, and so they have to be known."""
    said = section("JSON")
    problems = [ClipProblem("a", State.FAILED, "why"), ClipProblem("b", State.LOST, "why")]
    facts = Facts("n", {}, 0, 0, 0, None, None, "clips", problems, "n")
    status = status_object(facts, now=0.0)
    unpriced = Quote(None, PriceSource.UNKNOWN)
    plan = plan_object(make_plan([], [], quote=lambda _m, _p: unpriced, conditions=Conditions()))
    fields = {*status, *plan, *status["state"], *status["failures"][0], *status["attention"][0]}
    assert not [field for field in sorted(fields) if f"`{field}`" not in said]


def test_every_column_of_the_export_is_told() -> None:
    """Spreadsheets and programs are built on them."""
    said = section("Export")
    assert not [column for column in columns(urls=True) if f"`{column}`" not in said]


def test_every_field_of_the_bill_is_told() -> None:
    """As those of the other answers."""
    said = section("JSON")
    bill = bill_object(make_bill([], By.CLIP), name="n", sandbox=False, cap=None)
    audit = audit_object(Audit(differ=[Item("r", None, None, None, None)]))
    fields = {*bill, *bill["total"], *audit, *audit["differ"][0]}
    assert not [field for field in sorted(fields) if f"`{field}`" not in said]


def test_every_name_of_the_public_api_is_told() -> None:
    """What is not told is not public."""
    said = section("From Python")
    assert not [name for name in batchgen.__all__ if f"`batchgen.{name}" not in said]


def test_every_fault_of_the_sandbox_is_told() -> None:
    """People rehearse with them."""
    assert not [name for name in Faults.catalogue() if f"`{name}`" not in section("The sandbox")]


def test_every_promise_says_where_it_is_tested() -> None:
    """Nine promises, each with folders that are there."""
    promises = re.findall(r"(?ms)^\d\. \*\*(.*?)(?=^\d\. |^#)", section("What it promises"))
    assert len(promises) == 9
    for promise in promises:
        folders = re.findall(r"`(tests/\w+)`", promise)
        assert folders
        assert all((ROOT / folder).is_dir() for folder in folders)


def test_every_link_to_a_file_leads_somewhere() -> None:
    """A dead link on the first page is a bad first night."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_example_is_told() -> None:
    """An example that nobody finds teaches nobody."""
    shown = {file.name for file in (ROOT / "examples").iterdir() if file.suffix in {".yaml", ".py"}}
    assert not [name for name in shown if f"(examples/{name})" not in section("Examples")]
