"""`batchgen reconcile`: find unconfirmed and lost clips in the account's request history. Never submits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import output
from batchgen.cli.batch import command_line, opened
from batchgen.cli.options import (
    folder_option,
    history_settle_option,
    json_option,
    manifest_argument,
    sandbox_option,
    service_options,
    verbosity_options,
)

if TYPE_CHECKING:
    from batchgen.clip import State
    from batchgen.history.reconcile import Doubt


@click.command("reconcile")
@manifest_argument
@folder_option
@sandbox_option
@service_options
@history_settle_option
@json_option
@verbosity_options
def reconcile(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    base_url: str | None,
    history_url: str | None,
    history_settle: float | None,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Look for unconfirmed and lost clips in the account's request history. Never submits anything.

    The known link of a lost clip is tried once. The next `run` downloads what is found; what is not found stays as it
    is, with a note of what was checked.
    """
    from batchgen.views.doubts import doubt_lines
    from batchgen.views.text import ascii_only, plural

    given = {
        "sandbox": sandbox or None,
        "base_url": base_url,
        "history_url": history_url,
        "history_settle": history_settle,
    }
    with opened(manifest, folder, given, verbosity=-1 if quiet else verbose) as session:
        settled = asyncio.run(session.reconcile())
    rows = [_row(doubt, state) for doubt, state in settled]

    def text() -> str:
        found = [f"{row['clip']}: {row['was']} → {row['now']} ({row['note']})" for row in rows if _settled(row)]
        left_over = [row for row in rows if not _settled(row)]
        left = doubt_lines(left_over, output.width(), time.time(), None)
        if not rows:
            return "Nothing to check: no clip is unconfirmed or lost."
        summary = f"Checked {plural(len(rows), 'clip')}: {len(found)} resolved, {len(left_over)} open."
        following = command_line("run" if found else "status", manifest, folder, sandbox=sandbox)
        lines = "\n".join([*found, *left, summary, f"Next: {following}"])
        return ascii_only(lines) if output.plain_ascii() else lines

    output.answer({"schema_version": 1, "clips": rows}, text, as_json=as_json)


def _settled(row: dict[str, Any]) -> bool:
    return bool(row["was"] != row["now"])


def _row(doubt: Doubt, state: State) -> dict[str, Any]:
    from batchgen.views.doubts import check_object
    from batchgen.views.text import bare_urls, dollars, one_line, stamp_utc

    clip = doubt.clip
    request = clip.request
    return {
        "clip": clip.wanted.name,
        "was": str(clip.state),
        "now": str(state),
        "note": bare_urls(one_line(doubt.note)),
        "request_id": clip.request_id or (doubt.row.request_id if doubt.row else None),
        "sent_at": stamp_utc(request.submitted_at or request.intent_at) if request else None,
        "reserved_usd": dollars(request.reserved if request else 0),
        "reason": bare_urls(one_line(clip.reason)),
        "looked": check_object(doubt.check),
    }
