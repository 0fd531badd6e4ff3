"""Imports point one way: what each part may know of the others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from source import ROOT, imports, module_of, trees

#: Packages whose modules are parts, each with its own rule; the others are one part as a whole.
ROOMS = frozenset({"billing", "download", "files", "history", "planning", "polling", "providers", "ratelimit"})
#: Part → the parts that it may import; the name of a package stands for all that is in it.
KNOWS: dict[str, frozenset[str]] = {
    part: frozenset(known.split())
    for part, known in {
        "billing": "",
        "billing.audit": "billing.bill clip providers.base",
        "billing.bill": "billing.budget clip",
        "billing.budget": "clip",
        "billing.prices": "clip events money providers.models",
        "breaker": "retry",
        "clip": "money",
        "download": "download.downloader",
        "download.addresses": "errors",
        "download.body": "download.part errors failpoints files.mp4",
        "download.downloader": (
            "download.addresses download.body download.part errors files.durable files.mp4 network_words proxy retry"
        ),
        "download.part": "errors failpoints files.durable files.mp4",
        "errors": "",
        "events": "",
        "failpoints": "errors",
        "files": "",
        "files.durable": "",
        "files.findings": "files.durable",
        "files.fragments": "",
        "files.media_checks": "files.findings",
        "files.mp4": "files.fragments",
        "files.output_file": "errors",
        "files.renames": "clip events failpoints files.durable files.mp4 files.sidecar ledger",
        "files.sidecar": "clip files.durable files.mp4 money",
        "files.verify": "clip events files.findings files.media_checks files.mp4 ledger",
        "handover": "clip errors files.findings files.media_checks money review views",
        "history": "",
        "history.matching": "clip providers.base",
        "history.other_batches": "errors ledger",
        "history.reconcile": (
            "clip errors history.matching history.report providers.base providers.paced ratelimit.base"
        ),
        "history.report": "",
        "ledger": "billing.budget clip errors events failpoints files.durable money states",
        "locate": "errors redact",
        "manifest": "clip errors money providers.models proxy window",
        "money": "",
        "network_words": "",
        "notify": "errors proxy",
        "planning": "planning.build planning.model planning.pace",
        "planning.build": (
            "billing.prices clip planning.classify planning.cost planning.diff planning.model planning.warnings retry "
            "selection wording"
        ),
        "planning.classify": "clip planning.model selection",
        "planning.cost": "billing.budget billing.prices money planning.model",
        "planning.diff": "clip planning.model",
        "planning.inputs": (
            "billing.budget billing.prices clip errors history.other_batches ledger locate manifest money "
            "planning providers.models ratelimit.memory redact selection settings"
        ),
        "planning.model": "billing.budget billing.prices planning.pace retention window",
        "planning.pace": "",
        "planning.retakes": "clip errors manifest money retry selection",
        "planning.saved": "clip errors money planning.model",
        "planning.saved_files": "errors files.output_file manifest planning planning.inputs planning.saved settings",
        "planning.warnings": "billing.budget billing.prices money planning.model",
        "polling": "",
        "polling.poller": "errors polling.schedule providers.base ratelimit.base retry",
        "polling.schedule": "",
        "providers": "",
        "providers.base": "",
        "providers.models": "money",
        "providers.paced": "providers.base ratelimit.base",
        "providers.segmind": "batchgen errors money network_words providers.base proxy redact retry",
        "ratelimit": "",
        "ratelimit.adaptive_rate": "ratelimit.base",
        "ratelimit.base": "errors",
        "ratelimit.concurrency": "",
        "ratelimit.limiter": "breaker errors ratelimit.adaptive_rate ratelimit.base retry",
        "ratelimit.memory": "settings",
        "ratelimit.setup": "ratelimit.concurrency ratelimit.limiter ratelimit.memory settings",
        "proxy": "errors",
        "redact": "",
        "retention": "clip",
        "review": (
            "billing.budget billing.prices clip errors files.durable files.findings files.media_checks files.sidecar "
            "ledger locate manifest money planning.inputs planning.saved_files providers.models selection settings "
            "views"
        ),
        "selection": "",
        "retry": "",
        "runner": (
            "billing.budget breaker clip errors events failpoints files.mp4 files.sidecar history.matching "
            "history.reconcile history.report ledger money polling.poller polling.schedule providers.base "
            "providers.paced ratelimit.base ratelimit.concurrency retention retry selection states window wording"
        ),
        "sandbox": "errors money providers.models",
        "settings": "billing.budget errors money window",
        "states": "clip errors events",
        "testing": "clip errors files.mp4 providers.base sandbox",
        "torture": "errors failpoints",
        "views": (
            "billing.audit billing.bill billing.budget billing.prices clip errors events files.durable files.verify "
            "history.report ledger money planning polling.schedule providers.models ratelimit.adaptive_rate "
            "ratelimit.memory retention window wording"
        ),
        "window": "",
        "wording": "",
    }.items()
}
#: The modules of `runner` that join parts.
JOINING = frozenset({"runner.assembly", "runner.opening", "runner.session"})
#: These join the parts; everything else knows only what stands above.
JOINERS = frozenset({"batchgen", "__main__", "api", "cli", *JOINING})
HEAVY = ("aiohttp", "aiofiles", "pydantic", "yaml", "jinja2", "av", "PIL", "pyarrow", "rich.console", "apprise")


def part_of(module: str) -> str:
    """Name the part that a module belongs to."""
    names = module.split(".")
    if module.removeprefix("batchgen.") in JOINING:
        return module.removeprefix("batchgen.")
    if len(names) < 3 or names[1] not in ROOMS:
        return names[min(1, len(names) - 1)]
    return f"{names[1]}.{names[2]}"


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


def test_one_module_knows_a_concrete_provider() -> None:
    """Another service is another file under providers/, and a line where a run is joined."""
    knowing = {
        part_of(module)
        for module, others in imports().items()
        if any(part_of(other) == "providers.segmind" for other in others)
    }
    assert knowing - {"providers.segmind"} == {"runner.opening"}


def test_the_program_never_imports_what_is_shipped_for_tests() -> None:
    """A run is never joined with a service that only pretends."""
    assert not {
        module
        for module, others in imports().items()
        if part_of(module) != "testing" and any(part_of(other) == "testing" for other in others)
    }


def test_the_core_does_not_name_the_service() -> None:
    """What is true of one service only must not creep into what is true of all; the key's variable is its name."""
    free = {"providers", "providers.segmind", "sandbox", "runner.opening", "settings", "locate", "cli"}
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
        "batchgen", "batchgen.cli", "batchgen.cli.commands.help", "batchgen.cli.commands.status", "batchgen.clip",
        "batchgen.errors",
        "batchgen.ledger",
    ],
)  # fmt: skip
def test_what_answers_at_once_imports_nothing_heavy(module: str) -> None:
    """`--version`, completion and `status` answer in about 100 ms."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(done.stdout))
