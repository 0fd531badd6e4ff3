"""`batchgen forget`: give clips in doubt up; what they may have cost stays in the bill."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from batchgen.cli import common


@click.command("forget")
@common.manifest_argument
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True)
@common.folder_option
@common.sandbox_option
@click.option("--yes", is_flag=True, help="Don't ask.")
@common.json_option
def forget(
    manifest: str, clips: tuple[str, ...], folder: Path | None, *, sandbox: bool, yes: bool, as_json: bool
) -> None:
    """Give unconfirmed or lost clips up, named by their file names or globs: they are looked for no more.

    What is reserved for them stays in the bill, since they may have been charged. `retry --forgotten` makes
    such a clip again, and may pay for it again.
    """
    from batchgen.events import Forgotten
    from batchgen.ledger import SqliteLedger
    from batchgen.money import usd
    from batchgen.planning import selection
    from batchgen.views.text import dollars, one_line, plural

    ledger = SqliteLedger(common.ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        ledger.recover()  # what a killed run was submitting is in doubt, too
        chosen = selection.in_doubt(ledger.clips(), clips)
        held = sum(clip.request.held for clip in chosen if clip.request)
        if not (yes or common.is_sandbox(ledger)):
            common.agree(
                f"{plural(len(chosen), 'clip')} may have been paid for; {usd(held)} stays reserved in the bill",
                "Give up?",
            )

        async def give_up() -> None:
            for clip in chosen:
                await ledger.record(clip, Forgotten(f"given up by the user while {clip.state}"))
            await ledger.settle()

        asyncio.run(give_up())
    finally:
        ledger.close()
    told = [
        {
            "clip": clip.wanted.name,
            "was": str(clip.state),
            "request_id": clip.request_id,
            "reserved_usd": dollars(clip.request.held if clip.request else 0),
        }
        for clip in chosen
    ]

    def text() -> str:
        names = ", ".join(one_line(clip.wanted.name) for clip in chosen)
        return f"Given up: {names}. {usd(held)} stays reserved for them, since they may have been charged."

    common.answer({"schema_version": 1, "forgotten": told}, text, as_json=as_json)
