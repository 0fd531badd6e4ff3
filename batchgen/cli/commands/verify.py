"""`batchgen verify`: the files against the ledger; what is missing or damaged is fetched again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from batchgen.cli import common


@click.command("verify")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option("--base-url", envvar="SEGMIND_BASE_URL", help="Another origin in place of https://api.segmind.com.")
@click.option("--deep", is_flag=True, help="Decode every frame, too (needs '.[media]').")
@common.json_option
@common.verbosity_options
def verify(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    base_url: str | None,
    deep: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Check every finished clip: there, whole, and the same bytes as when it came.

    A damaged file is set aside, never deleted. What is missing is fetched again while its link lives (seven
    days), which costs nothing; nothing is ever submitted.
    """
    from batchgen.cli.batch import opened
    from batchgen.views.text import plural

    given = {"sandbox": sandbox or None, "base_url": base_url, "collect_only": True}
    with opened(manifest, folder, given, verbosity=-1 if quiet else verbose) as session:
        checked, bad, states = asyncio.run(session.verify(deep=deep))
    rows = [{"clip": name, "reason": reason, "now": str(states[name])} for name, reason in bad.items()]

    def text() -> str:
        lines = [f"{row['clip']}: {row['reason']} → {row['now']}" for row in rows]
        back = sum(row["now"] == "done" for row in rows)
        summary = f"{plural(checked, 'file')} checked, {checked - len(rows)} sound, {back} fetched again."
        return "\n".join([*lines, summary])

    obj = {"schema_version": 1, "checked": checked, "sound": checked - len(rows), "clips": rows}
    common.answer(obj, text, as_json=as_json)
