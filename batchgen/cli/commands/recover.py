"""`batchgen recover`: rebuild a damaged ledger from its journal. Nothing is deleted, nothing is submitted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line, ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option, yes_option

if TYPE_CHECKING:
    from batchgen.ledger.recovery.rebuild import Recovered


@click.command("recover")
@manifest_argument
@folder_option
@sandbox_option
@yes_option
@json_option
def recover(manifest: str, folder: Path | None, *, sandbox: bool, yes: bool, as_json: bool) -> None:
    """Build a new ledger when the old one is damaged, gone, or an older copy.

    It is built from the journal, from what can still be read of the old ledger, and from the files next to it. The old
    one is moved aside, never deleted. The next run checks the account's history before it submits anything.
    """
    from batchgen import manifest as manifests
    from batchgen.ledger.lock import holder
    from batchgen.ledger.recovery.rebuild import fault_of
    from batchgen.ledger.recovery.rebuild import recover as rebuild
    from batchgen.locate import find_manifest

    where = ledger_folder(manifest, folder, sandbox=sandbox)
    wanted = manifests.load(find_manifest(manifest)).wanted
    if holder(where) is None:  # else the lock says who holds it
        fault = fault_of(where, wanted)
        if not yes:
            output.agree(fault, "Build a new one and move this one aside?")
    done = rebuild(where, wanted)
    following = command_line("run", manifest, folder, sandbox=sandbox)
    output.answer(_object(done), lambda: _text(done, following), as_json=as_json)


def _object(done: Recovered) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "fault": done.fault,
        "moved_to": str(done.aside),
        "state": done.states,
        "requests": done.requests,
        "log_lines": done.log_lines,
        "damaged_lines": done.bad_lines,
        "from_ledger": done.from_ledger,
        "incomplete": list(done.holes),
        "history_from": _iso(done.since),
        "history_to": _iso(done.until),
    }


def _text(done: Recovered, following: str) -> str:
    from batchgen.views.text import plural

    states = ", ".join(f"{count} {state}" for state, count in done.states.items()) or "none"
    lines = [f"Built a new ledger. The old one was moved to {done.aside}", f"Clips: {states}"]
    damaged = f" ({done.bad_lines} of them damaged)" if done.bad_lines else ""
    more = plural(done.from_ledger, "more event")
    read = f"Read: {plural(done.log_lines, 'line')} of the journal{damaged}, {more} from the old ledger"
    lines.append(f"{read}; {plural(done.requests, 'request id')}")
    if done.holes:
        named = ", ".join(done.holes[:10]) + (f" and {len(done.holes) - 10} more" if len(done.holes) > 10 else "")
        lines.append(f"Incomplete: {plural(len(done.holes), 'clip')}: {named}")
    lines.append("The next run downloads what was paid for. It checks the account history for missing requests")
    lines.append("before it submits anything new.")
    lines.append(f"Next: {following}")
    return "\n".join(lines)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
