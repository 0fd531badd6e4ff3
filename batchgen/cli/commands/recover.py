"""`batchgen recover`: build a new ledger from the log of a damaged one. Nothing is deleted, nothing is submitted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import common

if TYPE_CHECKING:
    from batchgen.ledger.recovery.rebuild import Recovered


@click.command("recover")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option("--yes", is_flag=True, help="Don't ask.")
@common.json_option
def recover(manifest: str, folder: Path | None, *, sandbox: bool, yes: bool, as_json: bool) -> None:
    """Build a new ledger where the old one is damaged, gone, or an older copy.

    From its log, from what can still be read of it, and from the files beside it. The damaged one is moved aside,
    never deleted. The next run asks the account's history for what may be missing before it submits anything.
    """
    from batchgen import manifest as manifests
    from batchgen.ledger.lock import holder
    from batchgen.ledger.recovery.rebuild import fault_of
    from batchgen.ledger.recovery.rebuild import recover as rebuild
    from batchgen.settings import find_manifest

    where = common.ledger_folder(manifest, folder, sandbox=sandbox)
    if holder(where) is None:  # else the lock says who holds it
        fault = fault_of(where)
        if not yes:
            common.agree(fault, "Build a new one and move this one aside?")
    wanted = manifests.load(find_manifest(manifest)).wanted
    done = rebuild(where, wanted)
    following = common.command_line("run", manifest, folder, sandbox=sandbox)
    common.answer(_object(done), lambda: _text(done, following), as_json=as_json)


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
    lines = [f"A new ledger was built; the damaged one is in {done.aside}", f"Clips: {states}"]
    damaged = f" ({done.bad_lines} of them damaged)" if done.bad_lines else ""
    read = f"Read: {plural(done.log_lines, 'line')} of the log{damaged}, {done.from_ledger} more events of the ledger"
    lines.append(f"{read}; {plural(done.requests, 'request id')} known")
    if done.holes:
        named = ", ".join(done.holes[:10]) + (f" and {len(done.holes) - 10} more" if len(done.holes) > 10 else "")
        lines.append(f"Something is missing of {plural(len(done.holes), 'clip')}: {named}")
    lines.append("The next run collects what was paid for. It asks the history for what may be missing before it")
    lines.append(f"submits anything new. Next: {following}")
    return "\n".join(lines)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
