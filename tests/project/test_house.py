"""The house rules that a program can check: sizes, tasks, errors, addresses, packaging."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from source import PACKAGE, ROOT, trees

import batchgen
from batchgen.cli.commands.help import TOPICS
from batchgen.providers.models import find

MAX_LINES = 400
MAX_FUNCTION = 50
LOCKS = (".txt", ".lock", ".toml", ".cfg", ".ini")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function of the package with its place."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno} {node.name}", node


def repository_files() -> list[Path]:
    """List what is in the repository: known to git, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """Yield the repository's text files, by their path."""
    for file in repository_files():
        try:
            yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


# --- code ---------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_a_reader_bears() -> None:
    """A file is read in one go."""
    long = {path: lines for path in trees() if (lines := len((ROOT / path).read_text().splitlines())) > MAX_LINES}
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    """The longest function is as a rule the one that matters most."""
    assert not [name for name, node in functions() if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION]


def test_a_class_name_exists_once() -> None:
    """Who searches for a class lands in the right module."""
    places: dict[str, set[str]] = {}
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, set()).add(path)
    assert not {name: paths for name, paths in places.items() if len(paths) > 1}


def test_every_task_has_an_owner() -> None:
    """A task that no group owns loses its exception, and may be collected while it runs."""
    bare = [
        f"{path}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_bare(node.func)
    ]
    assert not bare


def _is_bare(call: ast.Attribute) -> bool:
    owner = ast.unparse(call.value)
    if call.attr == "create_task":
        return "asyncio" in owner or "loop" in owner
    return call.attr == "ensure_future" or (call.attr == "gather" and owner == "asyncio")


def test_no_error_is_swallowed_whole() -> None:
    """`except Exception: pass` hides our own faults."""
    swallowing = [
        f"{path}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    assert not swallowing


def test_every_module_says_what_it_is() -> None:
    """The first line is its single responsibility; CONTRIBUTING's map is made of them."""
    silent = [path for path, tree in trees().items() if not (ast.get_docstring(tree) or "").strip()]
    assert not silent


# --- the repository -----------------------------------------------------------------------------------


def test_no_lock_file_holds_an_address() -> None:
    """A registry's address is a machine's own affair; hashes say what is meant."""
    held = [
        path
        for path, text in texts()
        if path.endswith(LOCKS) and re.search(r"https?://\S*(?:simple|packages|pypi|files\.)|index-url", text)
    ]
    assert not held
    assert "://" not in (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")


def test_constraints_pin_every_dependency_with_hashes() -> None:
    """An install that is to be repeated must not depend on what was published since."""
    pinned = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = {_name(need) for needs in [PROJECT["project"]["dependencies"], *extras.values()] for need in needs}
    assert not [name for name in wanted if not re.search(rf"(?m)^{name}==\S+ .*\\\n    --hash=sha256:", pinned)]


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_nobody_is_told_to_install_a_stranger() -> None:
    """The name in the public registry belongs to somebody else's program."""
    told = re.compile(r"(?:pip|pipx|uv|uvx|tool)\b[^\n`]*\b(?:install|add|run)?\s['\"]?batchgen\b(?![/.:@])")
    here = str(Path(__file__).relative_to(ROOT))
    assert not [(path, found[0]) for path, text in texts() if path != here and (found := told.search(text))]


# --- the package --------------------------------------------------------------------------------------


def test_the_version_stands_in_one_place_or_agrees() -> None:
    """What `--version` says is what was installed."""
    assert PROJECT["project"].get("version", batchgen.__version__) == batchgen.__version__


def test_the_name_can_never_be_uploaded() -> None:
    """It would shadow somebody else's program."""
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_the_wheel_contains_types_clips_and_the_manual() -> None:
    """All files under the package are packed: the types' mark, the sandbox's ready-made clips, the topics of help."""
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["batchgen"]}
    assert (PACKAGE / "py.typed").is_file()
    model = find("wan-2.5-t2v")
    assert model is not None
    sizes, durations = (model.parameters[name].values or () for name in ("size", "duration"))
    clips = {f"{size.replace('*', 'x')}-{seconds}s.mp4" for size in sizes for seconds in durations}
    assert clips <= {file.name for file in (PACKAGE / "sandbox" / "clips").iterdir()}
    listed = {file.resolve() for file in repository_files()}
    assert {PACKAGE / "sandbox" / "clips" / name for name in clips} <= listed
    assert {PACKAGE / "docs" / f"{topic}.md" for topic in TOPICS} <= listed


def test_the_licence_is_the_one_that_is_named() -> None:
    """An empty licence is none."""
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
