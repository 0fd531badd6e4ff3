"""The commands in their groups, and the one screen that bare `batchgen` and `batchgen --help` show."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

#: Group → command → what it does, in at most 29 characters: two columns fit 80, all of it 24 rows.
GROUPS = {
    "Everyday": {
        "init": "write an example manifest",
        "check": "validate a manifest",
        "plan": "show what a run makes, costs",
        "run": "generate; safe to repeat",
        "status": "progress, failures, next step",
        "set": "change pace, cap; pause a run",
        "review": "a page to watch and choose",
        "picks": "list what was chosen, choose",
        "reroll": "queue extra takes of clips",
    },
    "Trouble": {
        "retry": "queue failed clips again",
        "reconcile": "find clips with no answer",
        "forget": "stop looking for clips",
        "recover": "rebuild a damaged ledger",
        "verify": "check files, re-download",
        "doctor": "key, balance, disk, clock",
    },
    "Money and hand-over": {
        "report": "the night in numbers; --bill",
        "deliver": "hand the picks over",
        "export": "every request as a table",
        "notify": "whom a run informs; --test",
    },
    "Around it": {
        "models": "inputs, price, run time",
        "sandbox": "local stand-in, free",
        "torture": "stress test, free",
        "schema": "schema of the manifest",
        "completion": "completion for your shell",
        "help": "the manual, by topic",
    },
}
COMMANDS = tuple(name for group in GROUPS.values() for name in group)
_TITLE = "Run a night of paid text-to-video prompts and wake up to checked MP4s."
_COLUMN = 40


def overview(width: int, *, coloured: bool = False) -> str:
    """Write the screen: two groups side by side where 80 columns are free, else one below the other."""
    lines = ["Usage: batchgen COMMAND [OPTIONS]", "", _TITLE]
    blocks = [list(_block(title, group)) for title, group in GROUPS.items()]
    if width < 2 * _COLUMN:
        lines += [line for block in blocks for line in ["", *block]]
    else:
        for left, right in zip(blocks[::2], blocks[1::2], strict=True):
            pairs = zip_longest(left, right, fillvalue="")
            lines += ["", *(f"{one:<{_COLUMN}}{two}".rstrip() for one, two in pairs)]
    text = "\n".join([*lines, "", "The manual: batchgen help. Options of a command: batchgen COMMAND --help."])
    return _bold(text) if coloured else text


def _block(title: str, group: dict[str, str]) -> Iterator[str]:
    yield title
    room = max(map(len, group))
    yield from (f"  {name:<{room}}  {line}" for name, line in group.items())


def _bold(text: str) -> str:
    for title in GROUPS:
        text = text.replace(title, f"\x1b[1m{title}\x1b[0m", 1)
    return text
