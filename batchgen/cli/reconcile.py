"""`batchgen reconcile`: settle unconfirmed and lost clips from the account's request history. Never submits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from batchgen.cli import common


@click.command("reconcile")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option("--base-url", envvar="SEGMIND_BASE_URL", help="Another origin in place of https://api.segmind.com.")
@click.option("--history-url", envvar="SEGMIND_HISTORY_URL", hidden=True)
@click.option(
    "--history-settle",
    type=click.FloatRange(0),
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
    from batchgen.cli.steps import opened
    from batchgen.views.words import plural

    given = {
        "sandbox": sandbox or None,
        "base_url": base_url,
        "history_url": history_url,
        "history_settle": history_settle,
    }
    with opened(manifest, folder, given, verbosity=-1 if quiet else verbose) as session:
        settled = asyncio.run(session.reconcile())
    rows = [
        {"clip": doubt.clip.wanted.name, "was": str(doubt.clip.state), "now": str(state), "note": doubt.note}
        for doubt, state in settled
    ]

    def text() -> str:
        lines = [
            f"{row['clip']}: {row['was']} → {row['now']}" + (f" ({row['note']})" if row["note"] else "") for row in rows
        ]
        found = sum(row["was"] != row["now"] for row in rows)
        summary = f"{plural(len(rows), 'clip')} in doubt, {found} settled."
        following = common.command_line("run", manifest, folder, sandbox=sandbox)
        return "\n".join([*lines, summary] + ([f"Next: {following}"] if found else []))

    common.answer({"schema_version": 1, "clips": rows}, text, as_json=as_json)
