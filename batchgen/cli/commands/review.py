"""`batchgen review`: the page to watch, compare and choose, served on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.batch import ledger_folder
from batchgen.cli.options import folder_option, sandbox_option
from batchgen.errors import Exit, UsageError

if TYPE_CHECKING:
    from batchgen.review.batches import Batches

#: Ctrl-C is how one ends it, so that is no failure.
_EXITS = {signal.SIGINT: Exit.OK, signal.SIGTERM: Exit.TERMINATED}
_HOST = "127.0.0.1"


@click.command("review")
@click.argument("manifest", metavar="[MANIFEST]", required=False, shell_complete=candidates.batches)
@folder_option
@sandbox_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port; 0: any free one.")
@click.option(
    "--host",
    default=_HOST,
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen at; 0.0.0.0: every one of this machine, for a phone.",
)
@click.option("--no-open", is_flag=True, help="Do not open the browser.")
@click.option("--json", "as_json", is_flag=True, envvar="BATCHGEN_JSON", help="Print one JSON object when ready.")
def review(
    manifest: str | None, folder: Path | None, *, sandbox: bool, port: int, host: str, no_open: bool, as_json: bool
) -> None:
    """Serve a page to watch, compare and choose the clips of a batch, until Ctrl-C. It never spends.

    Works during a run. Without a manifest it shows every batch under jobs/.
    """
    from batchgen.review.batches import Batches, every_one_in

    if manifest is not None or folder is not None:
        where = ledger_folder(manifest or "", folder, sandbox=sandbox).absolute()
        batches = Batches(lambda: {where.name: where})
        _warn_of_cut(batches, where.name)
    else:
        if not Path("jobs").is_dir():
            raise UsageError("there is no folder jobs/ here", tip="name a batch, or go to the folder that has jobs/")
        batches = Batches(every_one_in(Path("jobs").absolute()))
    try:
        code = asyncio.run(_serve(batches, host, port, as_json=as_json, opens=not (no_open or as_json)))
    except OSError as fault:
        what = f"the page can't be served at {host}{f' port {port}' if port else ''}: {_why(fault)}"
        raise UsageError(what, tip="choose another --port, or an address of this machine as --host") from None
    sys.exit(code)


def _why(fault: OSError) -> str:
    """Say what the system said, without what asyncio puts around it."""
    return os.strerror(fault.errno) if fault.errno and fault.errno > 0 else fault.strerror or str(fault)


def _warn_of_cut(batches: Batches, name: str) -> None:
    picks = batches.get(name).picks
    if picks.cut:
        click.echo(f"warning: {picks.path}: a torn last line ({picks.cut} bytes) was cut off", err=True)


async def _serve(batches: Batches, host: str, port: int, *, as_json: bool, opens: bool) -> Exit:
    from batchgen.review.server import ReviewServer

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what is no HTTP is its sender's trouble
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Exit] = loop.create_future()
    for signum, code in _EXITS.items():
        loop.add_signal_handler(signum, _end, ended, code)
    async with ReviewServer(batches, host=host, port=port).serving() as url:
        output.put(json.dumps({"url": url}) if as_json else _welcome(url, host))
        if opens:
            await asyncio.to_thread(webbrowser.open, _reachable(url, _HOST))
        return await ended


def _end(ended: asyncio.Future[Exit], code: Exit) -> None:
    if not ended.done():
        ended.set_result(code)


def _reachable(url: str, address: str) -> str:
    """Give an address that leads to the server, where it listens at every one of this machine."""
    return url.replace("//0.0.0.0:", f"//{address}:").replace("//[::]:", f"//{address}:")


def _welcome(url: str, host: str) -> str:
    from batchgen.review.guard import addresses, is_loopback

    lines = [f"The page is at {_reachable(url, _HOST)} (Ctrl-C ends it)."]
    if not is_loopback(host):
        outside = _reachable(url, next(iter(addresses()), _HOST))
        lines = [f"{lines[0]}\nFrom another device in this network: {outside}\n"]
        lines += [_qr(outside), "Who has this address can see the batch and choose; nobody can spend."]
    return "\n".join(lines)


def _qr(text: str) -> str:
    """Draw a QR code for the camera of a phone."""
    import io

    import segno

    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, border=2, compact=not output.plain_ascii())
    return out.getvalue().rstrip("\n")
