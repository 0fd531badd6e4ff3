"""The parts of the documents that are made from the program or from kept results: options, faults, modules, figures.

`python tests/project/doc_blocks.py` writes them; a test fails when one of them is stale.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a command, too

import doc_figures
from conformance_table import GROUPS

from batchgen.cli import cli
from batchgen.cli.overview import COMMANDS
from batchgen.clip import State
from batchgen.providers.models import find, known_names
from batchgen.sandbox.faults import Faults
from batchgen.states import NEXT
from batchgen.views.models import brief_object

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
TOPIC_FOLDER = ROOT / "batchgen" / "docs"
#: Every document that may have made blocks.
DOCUMENTS = (README, CONTRIBUTING, *sorted(TOPIC_FOLDER.glob("*.md")))
#: Results that take minutes to make are kept, and shown from there.
BENCH = ROOT / "tests" / "bench"
_BLOCK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_VALUES = {"integer": "N", "integer range": "N", "float": "N", "float range": "N", "directory": "DIR", "path": "DIR"}


def fresh(text: str) -> str:
    """Return a document's text with every made block as it should be now."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", text)


def blocks_in(text: str) -> list[str]:
    """Name the made blocks of a text, in order."""
    return [found[2] for found in _BLOCK.finditer(text)]


# --- the life of a clip -------------------------------------------------------------------------------


def diagram() -> str:
    """Draw `NEXT` as a mermaid state diagram: one arrow for each pair of states, with its events."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> pending"]
    for state in State:
        for target in State:
            events = [event.__name__ for event, reached in NEXT[state].items() if reached is target]
            if events:
                lines.append(f"    {state} --> {target}: {' / '.join(events)}")
    return "\n".join([*lines, "```"])


# --- commands -----------------------------------------------------------------------------------------


def command(name: str) -> click.Command:
    """Return one command of the program."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, name
    return found


def visible_options(of: click.Command) -> list[click.Option]:
    """Return the options that `--help` shows."""
    return [param for param in of.params if isinstance(param, click.Option) and not param.hidden]


def commands() -> str:
    """Make the reference of all commands: what each does, and its options."""
    return "\n\n".join(_reference(name) for name in COMMANDS)


def _reference(name: str) -> str:
    found = command(name)
    arguments = [
        param.metavar or str(param.name).upper() for param in found.params if isinstance(param, click.Argument)
    ]
    about = " ".join((found.help or "").split("\n\n", 1)[0].split())
    parts = [f"## `{' '.join(['batchgen', name, *arguments])}`", about]
    options = [_option(option) for option in visible_options(found)]
    return "\n\n".join([*parts, *([_table(("option", ""), options)] if options else [])])


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join(sorted(option.opts, key=len))
    taken = "" if option.is_flag or option.count else option.metavar or _VALUES.get(option.type.name, "TEXT")
    default = f" [default: {option.default}]" if option.show_default and option.default is not None else ""
    return f"`{names}{taken and ' ' + taken}`", " ".join((option.help or "").split()) + default


# --- tables -------------------------------------------------------------------------------------------


def faults() -> str:
    """List the faults that the sandbox can be asked for."""
    return _table(("fault", "what goes wrong"), [(f"`{name}`", what) for name, what in Faults.catalogue().items()])


def modules() -> str:
    """List the modules and packages, each with the first line of its docstring."""
    return _table(("module", "is"), [(f"`{name}`", line) for name, line in _first_lines()])


def _first_lines() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "batchgen").iterdir()):
        file = path / "__init__.py" if path.is_dir() else path
        if file.suffix == ".py" and file.is_file() and path.name != "__init__.py":
            doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            yield path.name + ("/" if path.is_dir() else ""), doc.partition("\n")[0]


def conformance() -> str:
    """Sum the table of the vendor's client and ours up, a line a group."""
    head = ("case", "cases", "the vendor's SDK", "batchgen", "so that")
    rows = [(group.about, str(len(group.cases)), group.sdk, group.ours, group.safer) for group in GROUPS]
    total = ("all", str(sum(len(group.cases) for group in GROUPS)), "", "", "")
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * 5, *rows, total])


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *rows]
    return "\n".join(f"| {left} | {right.replace('|', chr(92) + '|')} |" for left, right in lines)


def nights() -> str:
    """Show what simulated nights came to, by our policy and by others, from the results that are kept."""
    found = json.loads((BENCH / "nights" / "results.json").read_text(encoding="utf-8"))
    others = ("ours", "oracle", "doubling", "every 5 s", "every 1 s")
    rows = [_night(name, by, others) for name, by in found["nights"].items()]
    shapes = [_shape(name, of) for name, of in found["shapes"].items()]
    shape_head = (
        "run times", "status checks per clip", "lag mean / p95, s", "of the optimum", "after 20 / 60 clips",
        "of fixed intervals", "the least there is",
    )  # fmt: skip
    head = ("night", *others, "status checks per clip", "lag p50 / p95 / p99, s", "429s", "expired")
    return f"{_wide(head, rows)}\n\n{_wide(shape_head, shapes)}"


def _shape(name: str, of: dict[str, float]) -> tuple[str, ...]:
    early = f"{of['of_optimal_20']:.2f} / {of['of_optimal_60']:.2f}"
    judged = (f"{of['of_optimal']:.2f}", early, f"{of['of_fixed']:.2f}", f"{of['least_of_fixed']:.2f}")
    return (name, f"{of['polls']:.2f}", f"{of['lag']:.0f} / {of['p95']:.0f}", *judged)


def _night(name: str, by: dict[str, dict[str, Any]], policies: Iterable[str]) -> tuple[str, ...]:
    ours = by["ours"]
    lags = " / ".join(f"{lag:.0f}" for lag in ours["lags"])
    over = [f"{by[policy]['over']:.2f}" for policy in policies]
    return (name, *over, f"{ours['polls']:.2f}", lags, str(ours["limited"]), str(ours["expired"]))


def torture() -> str:
    """Show what the last long torture came to, promise by promise."""
    report = json.loads((BENCH / "torture.json").read_text(encoding="utf-8"))
    rows = [
        (each["promise"], each["how"], f"{each['checked']:,}", "held" if each["ok"] else "**broken**")
        for each in report["promises"]
    ]
    pairs, faults = report["combinations"], sum(report["faults"].values())
    summary = (
        f"The last long one ({report['at'][:10]}, seed {report['seed']}): {report['clips']:,} clips, "
        f"{report['kills']:,} kills, {faults:,} faults in all, {pairs['count']} of {pairs['of']} pairs of fault and "
        f"step, {report['elapsed_s'] / 60:.0f} minutes; {report['accepted_under_fire']} of {report['accepted']} jobs "
        "were accepted before the calm end."
    )
    return f"{summary}\n\n{_wide(('promise', 'how it is checked', 'checks', 'result'), rows)}"


def simulation() -> str:
    """Show what the last campaign of simulated nights came to, promise by promise, and what happened in it."""
    found = json.loads((BENCH / "simulation.json").read_text(encoding="utf-8"))
    rows = [
        (name, f"{of['checked']:,}", f"**{of['broken']:,}**" if of["broken"] else "0")
        for name, of in found["promises"].items()
    ]
    took = f"{found['elapsed_s'] / 60:.0f} minutes" if found["elapsed_s"] >= 120 else f"{found['elapsed_s']} seconds"
    summary = (
        f"The last campaign ({found['at']}, from seed {found['seed']}): {found['nights']:,} nights, "
        f"{found['clips']:,} clips, {found['runs']:,} runs in {found['virtual_hours']:,} simulated hours, "
        f"{found['deaths']:,} kills and power cuts, {sum(found['faults'].values()):,} other faults of "
        f"{len(found['faults'])} kinds; {took} on {found['cores']} processor cores with Python {found['python']}. "
        f"Once all was well, the slowest night needed {found['healed_within_s'] / 60:.0f} simulated minutes until "
        "every clip had come to its end."
    )
    return f"{summary}\n\n{_wide(('promise', 'checks', 'broken'), rows)}\n\n{_happened(found)}"


def _happened(found: dict[str, Any]) -> str:
    """List what happened to the nights, the kinds together that are one word here."""
    deaths: Counter[str] = Counter()
    for name, count in found["deaths_at"].items():
        deaths[name.partition(" at ")[0]] += count
    happened = Counter(found["faults"]) + deaths
    names = [f"{name} {count:,}" for name, count in sorted(happened.items())]
    return f"What happened, and how often: {', '.join(names)}."


def figures() -> str:
    """Show what the figures of raw speed and size came to, from the results that are kept."""
    found = json.loads((BENCH / "figures.json").read_text(encoding="utf-8"))
    table = _wide(("figure", "wanted", "seen"), doc_figures.rows(found))
    days = sorted({each["at"] for each in found.values()})
    return f"Seen {' to '.join(dict.fromkeys((days[0], days[-1])))}, on 2 noisy cores.\n\n{table}"


def downloads() -> str:
    """Compare downloads with other programs, from the results that are kept."""
    found = json.loads((BENCH / "downloads.json").read_text(encoding="utf-8"))
    names = {"one": "one of 1 GB", "many": "64 of 16 MB, 8 at once"}
    rows = [
        (names[contest], name, f"{of['seconds']:.2f}", f"{of['cpu_s']:.2f}", f"{of['ratio']:.2f}")
        for contest in names
        for name, of in found[contest].items()
    ]
    others = max(each["others"] for contest in names for of in found[contest].values() for each in of["rounds"])
    summary = (
        f"Medians of {found['rounds']} rounds by turns ({found['at'][:10]}, {found['cores']} processor cores, of which "
        f"other programs had up to {others:.0%}); the last column is theirs over ours, round by round: above 1, ours "
        "is faster."
    )
    return f"{summary}\n\n{_wide(('files', 'by', 'seconds', 'CPU seconds', 'its time over ours'), rows)}"


def _wide(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def models() -> str:
    """List the models that are known, from their files; nothing in it depends on the day."""
    rows = []
    for model in filter(None, map(find, known_names())):
        brief = brief_object(model, "", model.as_of)
        price = " to ".join(dict.fromkeys(f"${brief[end]:.2f}" for end in ("usd_low", "usd_high") if brief[end]))
        run = "" if model.mean_latency_s is None else f"{model.mean_latency_s:.0f} s"
        makes = "picture" if model.kind == "image" else model.kind
        rows.append((f"`{model.slug}`", makes, ", ".join(brief["inputs"]), price or "not known", run, str(model.as_of)))
    return _wide(("model", "makes", "from", "list price of a clip", "mean run time", "facts of"), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "diagram": diagram,
    "commands": commands,
    "faults": faults,
    "modules": modules,
    "conformance": conformance,
    "nights": nights,
    "torture": torture,
    "simulation": simulation,
    "figures": figures,
    "downloads": downloads,
    "models": models,
}

if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(fresh(document.read_text(encoding="utf-8")), encoding="utf-8")
