"""`batchgen reconcile`: settle unconfirmed and lost clips from the account's request history. Never submits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchgen.cli import common

if TYPE_CHECKING:
    from batchgen.clip import State
    from batchgen.history.reconcile import Doubt


@click.command("reconcile")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option("--base-url", envvar="SEGMIND_BASE_URL", help="Another origin in place of https://api.segmind.com.")
@click.option("--history-url", envvar="SEGMIND_HISTORY_URL", hidden=True)
@click.option(
    "--history-settle",
    type=common.Finite(0),
    metavar="SECONDS",
    help="How long the history may lag. [default: 7200]",
)
@common.json_option
@common.verbosity_options
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
    """Look for unconfirmed and lost clips in the account's request history.

    What is found goes on its way (the next `run` collects it); what is not stays as it is, with what was
    looked at. Nothing is ever submitted.
    """
    from batchgen.cli.batch import opened
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
        left = doubt_lines([row for row in rows if not _settled(row)], common.width(), time.time(), None)
        summary = f"{plural(len(rows), 'clip')} in doubt, {len(found)} settled."
        following = common.command_line("run" if found else "status", manifest, folder, sandbox=sandbox)
        told = "\n".join([*found, *left, summary, *([f"Next: {following}"] if rows else [])])
        return ascii_only(told) if common.plain_ascii() else told

    common.answer({"schema_version": 1, "clips": rows}, text, as_json=as_json)


def _settled(row: dict[str, Any]) -> bool:
    return bool(row["was"] != row["now"])


def _row(doubt: Doubt, state: State) -> dict[str, Any]:
    from batchgen.views.doubts import look_object
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
        "reserved_usd": dollars(request.held if request else 0),
        "reason": bare_urls(one_line(clip.reason)),
        "looked": look_object(doubt.look),
    }
