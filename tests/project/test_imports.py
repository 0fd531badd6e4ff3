"""Imports point one way: what each part may know of the others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from source import ROOT, imports, module_of, trees

#: Packages whose modules are parts, each with its own rule; the others are one part as a whole.
ROOMS = frozenset({"download", "history", "pacing", "polling", "providers", "spending"})
#: Part → the parts that it may import; the name of a package stands for all that is in it.
KNOWS: dict[str, frozenset[str]] = {
    part: frozenset(known.split())
    for part, known in {
        # pure
        "clip": "errors events money",
        "events": "",
        "errors": "",
        "money": "",
        "spending": "",
        "spending.charges": "money",
        "spending.tariff": "clip money providers.models spending.charges",
        "spending.wall": "clip",
        "spending.bill": "clip",
        "spending.audit": "clip providers.base spending.bill",
        "known": "clip",
        "planning": "clip errors known money retry spending.charges spending.wall",
        "retry": "",
        "span": "",
        # stands in everyone's way, and knows nobody
        "failpoints": "errors",
        # the user's files
        "redact": "",
        "settings": "errors money redact spending.wall",
        "manifest": "clip errors providers.models",
        "ledger": "clip errors failpoints folders known money spending.wall",
        "wishes": "clip errors manifest retry",
        # the service
        "providers": "",
        "providers.base": "errors",
        "providers.models": "errors",
        "providers.segmind": "batchgen errors providers.base redact",
        "sandbox": "errors",
        # the run
        "folders": "",
        "media": "errors",
        "download": "download.downloader",
        "download.body": "media",
        "download.hosts": "errors",
        "download.slots": "",
        "download.part": "errors failpoints folders media",
        "download.blocks": "download.part errors failpoints",
        "download.downloader": "download errors folders media retry",
        "sidecar": "clip media",
        "verify": "clip errors ledger media",
        "beside": "",
        "pacing": "",
        "pacing.line": "",
        "pacing.rate": "",
        "pacing.queueing": "",
        "pacing.places": "pacing.queueing",
        "pacing.pacer": "errors pacing.line pacing.rate retry",
        "pacing.answers": "errors pacing.pacer",
        "pacing.pacebook": "",
        "pacing.lessons": "pacing.pacebook",
        "pacing.start": "pacing.lessons settings",
        "pacing.pace": "pacing settings",
        "polling": "",
        "polling.belief": "",
        "polling.schedule": "polling.belief",
        "polling.allowance": "pacing.pacer polling.schedule",
        "polling.poller": (
            "errors pacing.answers pacing.pacer polling.allowance polling.schedule providers.base retention retry"
        ),
        "history": "",
        "history.looks": "",
        "history.matching": "clip providers.base",
        "history.reconcile": ("clip errors history.looks history.matching pacing.answers pacing.pacer providers.base"),
        "history.siblings": "errors ledger",
        "retention": "clip",
        "flow": (
            "clip errors failpoints history.looks history.matching history.reconcile ledger media money pacing.answers "
            "pacing.pacer pacing.places polling providers.base retention retry sidecar span spending.wall"
        ),
        # what people see
        "views": "clip errors history.looks ledger money planning retention span spending",
        # the proof: other processes, and what lies on the disk
        "torture": "errors failpoints",
        # joined from the manifest, the ledger and the prices
        "estimate": (
            "clip errors known ledger manifest money pacing.lessons pacing.start planning providers.models redact "
            "settings spending"
        ),
        # plans as files
        "applying": "errors estimate manifest planning settings",
    }.items()
}
#: These join the parts; everything else knows only what stands above.
JOINERS = frozenset({"batchgen", "__main__", "api", "cli", "session"})
HEAVY = ("aiohttp", "aiofiles", "pydantic", "yaml", "jinja2", "av", "PIL", "pyarrow", "rich.console")


def part_of(module: str) -> str:
    """Name the part that a module belongs to."""
    names = module.split(".")
    if len(names) < 3 or names[1] not in ROOMS:
        return names[min(1, len(names) - 1)]
    return "providers.segmind" if names[2].startswith("segmind") else f"{names[1]}.{names[2]}"


def test_every_part_has_its_place_in_the_rules() -> None:
    """A new module has to say what it may know, and a rule for nothing is no rule."""
    assert {part_of(module) for module in imports()} == KNOWS.keys() | JOINERS


@pytest.mark.parametrize("part", sorted(KNOWS))
def test_a_part_imports_only_what_it_may_know(part: str) -> None:
    """One can read any part with nothing but the parts below it in mind."""
    reached = {
        (module, other)
        for module, others in imports().items()
        for other in others
        if part_of(module) == part and not {part_of(other), part_of(other).split(".")[0]} & {part, *KNOWS[part]}
    }
    assert not reached


def test_no_modules_import_each_other_in_a_circle() -> None:
    """The package itself is left out: it shows the API lazily, and lends its version."""
    graph = {module: others - {"batchgen"} for module, others in imports().items() if module != "batchgen"}
    while leaves := {module for module, others in graph.items() if not others & graph.keys()}:
        graph = {module: others for module, others in graph.items() if module not in leaves}
    assert not graph


def test_only_session_and_commands_know_a_concrete_provider() -> None:
    """Another service is another file under providers/, and a line where a run is joined."""
    knowing = {
        part_of(module)
        for module, others in imports().items()
        if any(part_of(other) == "providers.segmind" for other in others)
    }
    assert knowing - {"providers.segmind"} <= {"session", "cli"}


def test_the_core_does_not_name_the_service() -> None:
    """What is true of one service only must not creep into what is true of all; the key's variable is its name."""
    free = {"providers", "providers.segmind", "sandbox", "session", "settings", "cli"}
    naming = [
        path
        for path in trees()
        if part_of(module_of(path)) not in free
        and "segmind" in (ROOT / path).read_text(encoding="utf-8").replace("SEGMIND_API_KEY", "").lower()
    ]
    assert not naming


@pytest.mark.real_time
@pytest.mark.parametrize(
    "module",
    [
        "batchgen", "batchgen.cli", "batchgen.cli.help", "batchgen.cli.status", "batchgen.clip", "batchgen.errors",
        "batchgen.ledger",
    ],
)  # fmt: skip
def test_what_answers_at_once_imports_nothing_heavy(module: str) -> None:
    """`--version`, completion and `status` answer in about 100 ms."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(done.stdout))
