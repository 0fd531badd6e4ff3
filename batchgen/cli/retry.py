"""`batchgen retry`: wish failed clips anew; the next run submits them."""

from __future__ import annotations

import asyncio
import fnmatch
from pathlib import Path

import rich_click as click

from batchgen.cli import common
from batchgen.cli.facts import SANDBOX_ORIGIN


@click.command("retry")
@common.manifest_argument
@common.folder_option
@common.sandbox_option
@click.option("--blocked", is_flag=True, help="Blocked clips too: the same prompt is likely to be blocked again.")
@click.option("--only", metavar="ID-GLOB", help="Only clips whose id or name fits.")
@common.json_option
def retry(
    manifest: str,
    folder: Path | None,
    *,
    sandbox: bool,
    blocked: bool,
    only: str | None,
    as_json: bool,
) -> None:
    """Put failed clips back to pending; `run` then submits them. A failure was free, a success is charged."""
    from batchgen.clip import Clip, Retried, State
    from batchgen.ledger import Ledger
    from batchgen.views.words import plural

    def fits(clip: Clip) -> bool:
        return only is None or any(
            fnmatch.fnmatchcase(text, only) for text in (clip.wanted.prompt_id, clip.wanted.name)
        )

    states = (State.FAILED, State.BLOCKED) if blocked else (State.FAILED,)
    ledger = Ledger(common.ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        chosen = [clip for clip in ledger.clips(*states, wanted=True) if fits(clip)]

        async def put_back() -> None:
            for clip in chosen:
                await ledger.record(clip, Retried())
            await ledger.settle()

        asyncio.run(put_back())
        sandbox = ledger.meta("origin") == SANDBOX_ORIGIN
    finally:
        ledger.close()
    following = common.command_line("run", manifest, folder, sandbox=sandbox)
    names = [clip.wanted.name for clip in chosen]
    common.answer(
        {"schema_version": 1, "retried": names},
        lambda: f"{plural(len(names), 'clip')} put back to pending." + (f" Next: {following}" if names else ""),
        as_json=as_json,
    )
