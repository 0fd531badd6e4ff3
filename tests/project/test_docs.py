"""README, the manual and CONTRIBUTING are true of the program."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from doc_blocks import (
    BLOCKS,
    CONTRIBUTING,
    DOCUMENTS,
    README,
    ROOT,
    TOPIC_FOLDER,
    blocks_in,
    command,
    fresh,
    visible_options,
)

import batchgen
from batchgen import locate, settings
from batchgen import manifest as manifests
from batchgen.billing.audit import Audit, Item
from batchgen.billing.bill import By, make_bill
from batchgen.billing.prices import PriceSource, Quote
from batchgen.cli import cli
from batchgen.cli.commands.help import TOPICS, summary, topic_text
from batchgen.cli.overview import COMMANDS
from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.planning import Conditions, make_plan
from batchgen.sandbox.faults import Faults
from batchgen.views.bill import audit_object, bill_object
from batchgen.views.doubts import ClipProblem
from batchgen.views.export import columns
from batchgen.views.facts import Facts
from batchgen.views.plan import plan_object
from batchgen.views.status import status_object

TEXT = README.read_text(encoding="utf-8")
GUIDE = CONTRIBUTING.read_text(encoding="utf-8")
TRY = (
    "python3 -m venv .venv && .venv/bin/pip install '.[media]'"
    " && .venv/bin/batchgen run examples/quickstart.yaml --sandbox"
)
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[media,test]' && .venv/bin/python -m pytest"
#: Words of an older, private language; what the program itself prints may still have some.
PRIVATE = re.compile(
    r"(?i)\b(tells?|telling|told|mend(s|ed)?|bears?|for ever|anew|held against|beside|its own affair|say --\w+|grade"
    r"|wants? your word)\b"
)


def section(title: str, text: str) -> str:
    """Return the part of a document below the heading that begins so, up to the next one of its rank."""
    found = re.search(rf"(?ms)^(#+) {re.escape(title)}[^\n]*\n(.*?)(?=^\1 |\Z)", text)
    assert found, title
    return found[2]


def prose(text: str) -> str:
    """Leave out what is made from the program, what it printed, and what stands in code."""
    for pattern in (r"(?s)<!-- made: .*?<!-- end -->", r"(?ms)^ *```.*?^ *```$", r"`[^`\n]+`"):
        text = re.sub(pattern, "", text)
    return text


@pytest.mark.parametrize("line", [TRY, TEST])
def test_the_two_commands_can_be_copied(line: str) -> None:
    """They are what a newcomer types, and what CI runs."""
    assert TEXT.count(f"\n{line}\n") == 1


def test_the_first_page_can_be_read_in_one_go() -> None:
    """Beyond that nobody reads it; the reference has topics of its own."""
    assert len(TEXT.splitlines()) <= 250


def test_the_picture_is_small_and_loads_nothing() -> None:
    """It is part of every clone, and no reader of README may be made to call a stranger's server."""
    picture = (ROOT / ".github" / "live-display.svg").read_text(encoding="utf-8")
    assert len(picture) < 60_000
    assert re.findall(r"https?://[^\s\"<]+", picture) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_made_from_the_program_is_fresh(document: Path) -> None:
    """Else: python tests/project/doc_blocks.py."""
    text = document.read_text(encoding="utf-8")
    assert fresh(text) == text


def test_every_made_block_is_used_once() -> None:
    """A block without its marks would never be made again."""
    used = [name for document in DOCUMENTS for name in blocks_in(document.read_text(encoding="utf-8"))]
    assert sorted(used) == sorted(BLOCKS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_prose_has_no_private_words(document: Path) -> None:
    """A reader who has to translate gives up."""
    assert not [found[0] for found in PRIVATE.finditer(prose(document.read_text(encoding="utf-8")))]


# --- the manual ---------------------------------------------------------------------------------------


def test_every_topic_is_a_file_and_every_file_a_topic() -> None:
    """A file that no topic names is never read."""
    assert {path.stem for path in TOPIC_FOLDER.glob("*.md")} == set(TOPICS)
    assert len(TOPICS) == len(set(TOPICS))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_a_title_a_summary_and_a_link_from_the_first_page(topic: str) -> None:
    """`batchgen help` lists the summary; README is the other way in."""
    title, about = topic_text(topic).split("\n\n", 2)[:2]
    assert re.fullmatch(r"# \S.*", title)
    assert about == summary(topic)
    assert about.endswith(".")
    assert len(about) <= 120
    assert f"](batchgen/docs/{topic}.md)" in TEXT


@pytest.mark.parametrize("topic", TOPICS)
def test_code_of_a_topic_fits_on_a_terminal(topic: str) -> None:
    """A line that is broken at 80 columns can't be read as YAML, nor copied."""
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```$", topic_text(topic))
    assert not [line for block in blocks for line in block.splitlines() if len(line) > 78]


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Return what `--help` of every command says, without colour, 100 columns wide."""
    runner = CliRunner(env={"NO_COLOR": "1", "TERMINAL_WIDTH": "100"})
    return {name: runner.invoke(cli, [name, "--help"], catch_exceptions=False).output for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_the_help_is_in_the_reference(name: str, helps: dict[str, str]) -> None:
    """What `--help` shows, options.md shows, and the other way round."""
    in_help = set(re.findall(r"(?m)^ *(?:-\w +)?(--[a-z][a-z-]+)", helps[name])) - {"--help"}
    listed = section(f"`batchgen {name}", topic_text("options"))
    in_reference = set(re.findall(r"(?m)^\| `(?:-\w, )?(--[a-z][a-z-]+)", listed))
    assert in_help == in_reference == {max(option.opts, key=len) for option in visible_options(command(name))}


@pytest.mark.real_time
@pytest.mark.parametrize("width", ["80", "100"])
def test_the_help_names_every_command_and_how_to_go_on(width: str) -> None:
    """The help is the first page that most people read."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": width, "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "batchgen", "--help"], capture_output=True, text=True, check=True, env=environment
    )
    assert all(re.search(rf"(?m)^(?:.{{40}})? +{name}  ", done.stdout) for name in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) < int(width)
    assert len(done.stdout.splitlines()) <= 24
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("text", [TEXT, topic_text("options")], ids=["README", "options"])
def test_every_exit_code_is_explained(text: str) -> None:
    """Scripts rely on them."""
    listed = re.findall(r"(?m)^\| ([\d, ]+) \|", section("Exit codes", text))
    assert sorted(int(code) for codes in listed for code in codes.split(", ")) == sorted(int(code) for code in Exit)


def test_every_command_is_on_the_first_page_once() -> None:
    """In a group, with what it is for."""
    groups = section("Commands", TEXT).split("| topic |")[0]
    named = re.findall(r"(?:\| |· )`(\w+)` ", groups)
    assert sorted(named) == sorted(COMMANDS)


def test_every_environment_variable_is_explained() -> None:
    """A variable that nobody knows of is a fault at three in the morning."""
    said = topic_text("environment")
    given = {option.envvar for name in COMMANDS for option in command(name).params if isinstance(option.envvar, str)}
    own = {name for name in given if not name.startswith("BATCHGEN_")}
    assert not [
        name
        for name in {locate.KEY_VARIABLE, locate.KEY_FILE_VARIABLE, *own, *settings.CONFIGURABLE}
        if f"`{name}`" not in said
    ]


def shown_commands() -> list[tuple[str, str]]:
    """List every command line that a document shows, with the document's name; `\\` continues a line."""
    shown = re.compile(r"(?m)(?:`|^ *(?:\$ )?|bin/)batchgen ([a-z]+\b[^`\n]*)")
    texts = {path.name: path.read_text("utf-8").replace("\\\n", " ") for path in DOCUMENTS}
    return sorted({(name, found[1]) for name, text in texts.items() for found in shown.finditer(text)})


@pytest.mark.parametrize(("document", "line"), shown_commands())
def test_every_command_that_is_shown_is_understood(document: str, line: str) -> None:
    """A command that is copied from a document must not be answered with "no such option"."""
    del document
    name, *words = shlex.split(re.split(r" && | \\\\?\| ", line)[0].rstrip(" &"))
    assert name in COMMANDS
    if not words or "--help" in words or words[0].isupper() or any("…" in word for word in words):
        return
    command(name).make_context(name, words, parent=click.Context(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_options_variable_has_its_name(name: str) -> None:
    """`--in-flight` is BATCHGEN_IN_FLIGHT: what environment.md says of all options holds for each."""
    for option in visible_options(command(name)):
        told = option.envvar or f"BATCHGEN_{str(option.name).upper()}"
        long = max(option.opts, key=len).removeprefix("--").replace("-", "_").upper()
        assert told in {f"BATCHGEN_{long}", f"SEGMIND_{long}"}


def test_every_field_of_the_json_answers_is_explained() -> None:
    """Fields are stable, and so they have to be known."""
    said = topic_text("json")
    problems = [ClipProblem("a", State.FAILED, "why"), ClipProblem("b", State.LOST, "why")]
    facts = Facts("n", {}, 0, 0, 0, None, None, "clips", problems, "n")
    status = status_object(facts, now=0.0)
    plan = plan_object(
        make_plan([], [], quote=lambda _m, _p: Quote(None, PriceSource.UNKNOWN), conditions=Conditions())
    )
    fields = {*status, *plan, *status["state"], *status["failures"][0], *status["attention"][0]}
    assert not [field for field in sorted(fields) if f"`{field}`" not in said]


def test_every_column_of_the_export_is_explained() -> None:
    """Spreadsheets and programs are built on them."""
    said = topic_text("export")
    assert not [column for column in columns(urls=True) if f"`{column}`" not in said]


def test_every_field_of_the_bill_is_explained() -> None:
    """As those of the other answers."""
    said = topic_text("json")
    bill = bill_object(make_bill([], By.CLIP), name="n", sandbox=False, cap=None)
    audit = audit_object(Audit(differ=[Item("r", None, None, None, None)]))
    fields = {*bill, *bill["total"], *audit, *audit["differ"][0]}
    assert not [field for field in sorted(fields) if f"`{field}`" not in said]


def test_every_name_of_the_public_api_is_explained() -> None:
    """What is not documented is not public."""
    said = topic_text("python")
    assert not [name for name in batchgen.__all__ if f"`batchgen.{name}" not in said]


def test_every_fault_of_the_sandbox_is_explained() -> None:
    """People rehearse with them."""
    assert not [name for name in Faults.catalogue() if f"`{name}`" not in topic_text("sandbox")]


def test_every_promise_says_where_it_is_tested() -> None:
    """Nine promises, each with folders that exist; README has the same nine, in the same words."""
    promises = re.findall(r"(?ms)^\d\. \*\*(.*?)(?=^\d\. |^#)", topic_text("guarantees"))
    assert len(promises) == 9
    for promise in promises:
        folders = re.findall(r"`(tests/\w+)`", promise)
        assert folders
        assert all((ROOT / folder).is_dir() for folder in folders)
    short = re.findall(r"(?m)^\d\. \*\*(.*?)\*\*", section("What it promises", TEXT))
    assert short == [promise.partition("**")[0] for promise in promises]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    """A dead link on the first page is a bad first night."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8"))
    assert not [link for link in links if not (document.parent / link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_of_the_repository_in_a_document_exists(document: Path) -> None:
    """A command with a folder that is gone is the first thing that a contributor copies."""
    paths = re.findall(r"(?<![\w./-])(?:tests|examples)/[\w./*-]*\w", document.read_text(encoding="utf-8"))
    assert not [path for path in paths if not any(ROOT.glob(path))]


def test_every_example_is_explained() -> None:
    """An example that nobody finds teaches nobody."""
    shown = {file.name for file in (ROOT / "examples").iterdir() if file.suffix in {".yaml", ".py"}}
    assert not [name for name in shown if f"(examples/{name})" not in TEXT]
    assert not [name for name in shown if f"(../../examples/{name})" not in topic_text("manifest")]


@pytest.mark.parametrize(("text", "clips"), [(TEXT, 7), (topic_text("manifest"), 10)], ids=["README", "manifest"])
def test_the_manifest_that_is_shown_has_no_faults(text: str, clips: int, tmp_path: Path) -> None:
    """It is what people copy first."""
    (shown,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", text)
    (tmp_path / "night.yaml").write_text(shown, encoding="utf-8")
    (tmp_path / "shots.csv").write_text(
        "prompt,duration\nA boat leaves {{ city }} at {{ time }},10\n", encoding="utf-8"
    )
    manifest = manifests.load(tmp_path / "night.yaml")
    assert manifest.warnings == []
    assert len(manifest.wanted) == clips


def test_every_folder_of_tests_is_explained() -> None:
    """A test in the wrong folder gets the wrong clock."""
    folders = {file.parent.name for file in (ROOT / "tests").glob("*/test_*.py")}
    assert not [name for name in folders if f"| `tests/{name}` |" not in GUIDE]
