"""`batchgen set`: other settings for the run at work, or for the next one; the review page goes the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line, is_sandbox, ledger_folder
from batchgen.cli.error_text import did_you_mean
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option
from batchgen.errors import LockedError, UsageError
from batchgen.money import to_micro

if TYPE_CHECKING:
    from batchgen.ledger.wishes import Retune

_PAUSED = {"yes": True, "no": False}


@click.command("set")
@manifest_argument
@click.argument("settings", metavar="SETTING=VALUE...", nargs=-1)
@folder_option
@sandbox_option
@json_option
def set(  # noqa: A001 - the command's name
    manifest: str, settings: tuple[str, ...], folder: Path | None, *, sandbox: bool, as_json: bool
) -> None:
    """Change a run while it is at work: its pace, its cap, or pause it. It obeys within seconds, until it ends.

    Settings: rpm=N (calls a minute, 0: no limit), in-flight=N, max-usd=USD (over all runs of the batch), paused=yes
    or no. With no run at work, the next run takes them up when it starts. To change them permanently, edit the
    manifest.

    A cap below what is spent and reserved stops submissions; what is in flight is collected.
    """
    from batchgen.ledger.lock import holder
    from batchgen.views.status import set_object

    asked = read_settings(settings)
    where = ledger_folder(manifest, folder, sandbox=sandbox)
    now = _queued(where, asked)
    obj = {
        "schema_version": 1,
        "set": set_object(asked),
        "takes_effect": "now" if now else "next run",
        "live": holder(where) is not None,
    }
    more = _consequences(where, asked)
    follow = command_line("status", manifest, folder, sandbox=_sandboxed(where))
    whom = "the run at work obeys within seconds" if now else f"{_why_later(obj)}; the next run takes it up"
    text = "\n".join([f"Set {asked}: {whom}.", *more, f"Next: {follow}"])
    output.answer({**obj, "notes": more}, lambda: text, as_json=as_json)


def read_settings(settings: Iterable[str]) -> Retune:
    """Read what was typed; every name at most once.

    Raises:
        UsageError: a name or a value is none, or there is nothing to set.
    """
    from batchgen.ledger.wishes import Retune

    found: dict[str, Any] = {}
    for text in settings:
        typed, equals, value = text.partition("=")
        name = typed.strip().lower().replace("_", "-")
        if name not in _READ:
            tip = did_you_mean(name, _READ) or f"there are: {', '.join(_READ)}"
            raise UsageError(f"{typed!r} is not a setting of a run", tip=tip)
        what, read = _READ[name]
        if name in found:
            raise UsageError(f"{name} is set twice")
        if (got := read(value.strip())) is None or not equals:
            raise UsageError(f"{text!r}: {name} takes {what}")
        found[name] = got
    if not found:
        raise UsageError("nothing to set", tip=f"there are: {', '.join(_READ)}; as in: batchgen set NAME rpm=30")
    return Retune(**{name.replace("-", "_"): value for name, value in found.items()})


def _rpm(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _in_flight(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and 1 <= len(value) <= 9 and int(value) else None


def _usd(value: str) -> int | None:
    try:
        return to_micro(Decimal(value.removeprefix("$")))
    except InvalidOperation:
        return None


#: By name: what it takes, in words, and what reads it (None: it is not that).
_READ: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "rpm": ("calls a minute: 0 (no limit) or more", _rpm),
    "in-flight": ("a whole number of clips, 1 or more", _in_flight),
    "max-usd": ("an amount of USD, as in 25 or 12.50", _usd),
    "paused": ("yes or no", lambda value: _PAUSED.get(value.lower())),
}


def _queued(folder: Path, asked: Retune) -> bool:
    """Write it to the ledger; True: a run is at work that takes it up."""
    from batchgen.ledger import FILE, SqliteLedger, wishes
    from batchgen.ledger.wishes import CONTROL, Control, QueuedWish

    wish = QueuedWish(retune=asked)
    try:
        ledger = SqliteLedger(folder)
    except LockedError:
        from batchgen.ledger import Reader

        wishes.add(folder / FILE, wish)
        with closing(Reader(folder)) as reader:
            return reader.meta(CONTROL) in (Control.RUNNING, Control.PAUSED)
    with closing(ledger):
        ledger.remember(*wishes.fact_of(wish))
    return False


def _why_later(obj: Mapping[str, Any]) -> str:
    return "the run at work is stopping, or only collects" if obj["live"] else "no run is at work"


def _consequences(folder: Path, asked: Retune) -> list[str]:
    """Say what a cap means next to what is spent already."""
    from batchgen.ledger import Reader
    from batchgen.money import usd

    if asked.max_usd is None:
        return []
    with closing(Reader(folder)) as reader:
        money = reader.budget()
    committed = money.spent + money.exposure(money.seen)
    if asked.max_usd > committed:
        return []
    used = f"{usd(money.spent)} are spent and {usd(committed - money.spent)} reserved"
    return [f"Nothing more is submitted under this cap: {used}. What is in flight is collected, then the run ends."]


def _sandboxed(folder: Path) -> bool:
    from batchgen.ledger import Reader

    with closing(Reader(folder)) as reader:
        return is_sandbox(reader)
