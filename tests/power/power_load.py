"""The ledger alone under load, for a trace: many clips through their lives at once, each step told once it is durable.

    python power_load.py FOLDER CLIPS

What it prints is what it was promised: `ACK clip event`, after `record` has returned, and `SPILL id` after a request
id went to the spill file because the ledger could not take it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from batchgen.clip import Wanted
from batchgen.errors import LedgerWriteError
from batchgen.events import Downloaded, Event, Generated, SubmitStarted, Submitted
from batchgen.ledger import SqliteLedger

TOGETHER = 6
SPILLED = 12


def wanted(n: int) -> Wanted:
    """One clip, with a prompt of the usual length."""
    params = json.dumps({"prompt": f"shot {n} " + "of a courier at dawn " * 12, "seed": n})
    return Wanted(f"k{n}", f"shot{n}", 1, "wan-2.5-t2v", params, f"shot{n}_1", order=n)


def life(n: int) -> list[Event]:
    """What happens to a clip, in order."""
    return [
        SubmitStarted(10.0, reserved=1_250_000),
        Submitted(f"id-{n}", 11.0),
        Generated(f"https://files.example/{n}.mp4", 70.0, 625_000, 9, 1.0, 59.0),
        Downloaded(f"shot{n}_1.mp4", 3, "ab", "", 5.0),
    ]


def tell(text: str) -> None:
    """Say one line, at once."""
    os.write(1, f"{text}\n".encode())


async def work(ledger: SqliteLedger, clips: int) -> None:
    """Carry all clips through their lives, some at a time."""
    rows = iter(range(1, clips + 1))

    async def carry() -> None:
        for row in rows:
            clip = ledger.clip(row)
            for event in life(row):
                clip = await ledger.record(clip, event)
                tell(f"ACK {clip.wanted.name} {type(event).__name__}")

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(carry())


async def spill(ledger: SqliteLedger, clips: int) -> None:
    """Let the ledger fail while submissions are on their way."""
    begun = []
    for row in range(clips + 1, clips + SPILLED + 1):
        begun.append(await ledger.record(ledger.clip(row), SubmitStarted(10.0, reserved=1)))
        tell(f"ACK {begun[-1].wanted.name} SubmitStarted")
    await ledger.settle()
    ledger._commits.broken = LedgerWriteError("no room")
    for clip in begun:
        with suppress(LedgerWriteError):
            await ledger.record(clip, Submitted(f"id-{clip.row}", 11.0))
        tell(f"SPILL id-{clip.row}")


def main() -> None:
    """Do all of it."""
    folder, clips = Path(sys.argv[1]), int(sys.argv[2])
    ledger = SqliteLedger(folder, wall_clock=lambda: 100.0)
    tell("ACK open")
    ledger.sync(wanted(n) for n in range(1, clips + SPILLED + 1))
    tell("ACK sync")
    asyncio.run(work(ledger, clips))
    asyncio.run(spill(ledger, clips))
    ledger.close()


if __name__ == "__main__":
    main()
