"""`batchgen forget`: stop looking for unconfirmed or lost clips; what they may have cost stays in the bill."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.batch import is_sandbox, ledger_folder
from batchgen.cli.options import folder_option, json_option, manifest_argument, sandbox_option, yes_option
from batchgen.clip import State


@click.command("forget")
@manifest_argument
@click.argument(
    "clips",
    metavar="CLIP...",
    nargs=-1,
    required=True,
    shell_complete=candidates.clips_of(State.UNCONFIRMED, State.LOST, by_prompt=False, several=True),
)
@folder_option
@sandbox_option
@yes_option
@json_option
def forget(
    manifest: str, clips: tuple[str, ...], folder: Path | None, *, sandbox: bool, yes: bool, as_json: bool
) -> None:
    """Stop looking for unconfirmed or lost clips, named by their file names or globs. They stay in the bill.

    What is reserved for them stays reserved permanently, since they may have been charged. `retry --forgotten`
    generates such a clip again, and may pay for it again.
    """
    from batchgen.events import Forgotten
    from batchgen.ledger import SqliteLedger
    from batchgen.money import usd
    from batchgen.planning import retakes
    from batchgen.views.text import dollars, one_line, plural

    ledger = SqliteLedger(ledger_folder(manifest, folder, sandbox=sandbox))
    try:
        ledger.recover()  # what a killed run was submitting is unconfirmed, too
        chosen = retakes.in_doubt(ledger.clips(), clips)
        reserved = sum(clip.request.reserved for clip in chosen if clip.request)
        if not yes:
            output.agree(
                f"{plural(len(chosen), 'clip')} may have been paid for; {usd(reserved)} stays reserved in the bill",
                "Stop looking?",
                sandbox=is_sandbox(ledger),
            )

        async def give_up() -> None:
            for clip in chosen:
                await ledger.record(clip, Forgotten(f"given up by the user while {clip.state}"))
            await ledger.settle()

        asyncio.run(give_up())
    finally:
        ledger.close()
    rows = [
        {
            "clip": clip.wanted.name,
            "was": str(clip.state),
            "request_id": clip.request_id,
            "reserved_usd": dollars(clip.request.reserved if clip.request else 0),
        }
        for clip in chosen
    ]

    def text() -> str:
        names = ", ".join(one_line(clip.wanted.name) for clip in chosen)
        return f"No longer looking for {names}. {usd(reserved)} stays reserved permanently: they may have been charged."

    output.answer({"schema_version": 1, "forgotten": rows}, text, as_json=as_json)
