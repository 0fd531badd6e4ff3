"""`batchgen sandbox`: the stand-in service in a process of its own, to explore and to script against."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.options import Finite
from batchgen.errors import Exit, UsageError
from batchgen.sandbox.faults import Faults

_EXITS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}
_EPILOG = "\n\n".join(["Faults:", *(f"{name}: {what}" for name, what in Faults.catalogue().items())])


@click.command("sandbox", epilog=_EPILOG)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("sandbox"),
    show_default=True,
    metavar="DIR",
    help="Folder of its jobs.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port; 0: any free one.")
@click.option("--latency", type=Finite(0), default=2.0, show_default=True, metavar="SECONDS", help="Run time of a job.")
@click.option("--slots", type=click.IntRange(1), default=4, show_default=True, metavar="N", help="Jobs at once.")
@click.option(
    "--record-ttl",
    type=Finite(0),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it keeps status and result.",
)
@click.option("--rpm", type=Finite(0), default=0.0, metavar="N", help="Calls per minute before a 429; 0: no limit.")
@click.option(
    "--credits",
    "credits_usd",
    envvar="BATCHGEN_CREDITS",
    default="100",
    show_default=True,
    metavar="USD",
    help="Credits in the account.",
)
@click.option(
    "--fault",
    "faults",
    envvar="BATCHGEN_FAULT",
    multiple=True,
    metavar="NAME=RATE",
    shell_complete=candidates.faults,
    help="Make it misbehave: 0.1 is a rate, 3 the first three times. Repeatable.",
)
@click.option(
    "--history-lag", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Delay of the request history."
)
@click.option("--clock-skew", type=float, default=0.0, metavar="SECONDS", help="How far its clock is off.")
@click.option("--seed", type=int, default=0, metavar="N", help="Seed of run times and faults.")
@click.option("--no-render", is_flag=True, help="Serve ready-made clips, do not render.")
@click.option("--json", "as_json", is_flag=True, envvar="BATCHGEN_JSON", help="Print one JSON object when ready.")
def sandbox(
    *,
    folder: Path,
    port: int,
    latency: float,
    slots: int,
    record_ttl: float,
    rpm: float,
    credits_usd: str,
    faults: tuple[str, ...],
    history_lag: float,
    clock_skew: float,
    seed: int,
    no_render: bool,
    as_json: bool,
) -> None:
    """Serve a local stand-in for the video service until Ctrl-C.

    It speaks the service's protocol, renders real MP4s, takes no money, and misbehaves on request.
    Its jobs are kept in the folder and survive a restart.
    """
    options = {
        "latency_s": latency,
        "slots": slots,
        "record_ttl_s": record_ttl,
        "rpm": rpm,
        "credits": _credits(credits_usd),
        "faults": _faults(faults),
        "seed": seed,
        "history_lag_s": history_lag,
        "skew_s": clock_skew,
        "render": False if no_render else None,
        "port": port,
    }
    try:
        code = asyncio.run(_serve(folder, options, as_json=as_json))
    except OSError as fault:
        raise UsageError(f"the sandbox cannot start: {fault.strerror or fault}") from None
    sys.exit(code)


async def _serve(folder: Path, options: dict[str, Any], *, as_json: bool) -> Exit:
    from batchgen.sandbox.server import Sandbox

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Exit] = loop.create_future()
    for signum, code in _EXITS.items():
        loop.add_signal_handler(signum, _end, ended, code)
    async with Sandbox(folder, **options) as url:
        output.put(json.dumps({"url": url, "folder": str(folder)}) if as_json else _welcome(url))
        return await ended


def _end(ended: asyncio.Future[Exit], code: Exit) -> None:
    if not ended.done():
        ended.set_result(code)


def _welcome(url: str) -> str:
    line = f"SEGMIND_API_KEY=sandbox batchgen run NAME --base-url {url} --yes"
    return f"Sandbox at {url} (Ctrl-C ends it). To use it:\n\n  {line}\n\nIts books: {url}/sandbox/books"


def _credits(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise click.BadParameter(f"{text!r} is not an amount of USD", param_hint="--credits") from None
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"{text!r} is not an amount of USD", param_hint="--credits")
    return amount


def _faults(texts: tuple[str, ...]) -> Faults:
    try:
        return Faults.parse(",".join(texts))
    except UsageError as fault:
        raise click.BadParameter(str(fault), param_hint="--fault") from None
