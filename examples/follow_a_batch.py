"""A batch from Python: load a manifest, see what it would cost, run it, and follow every event.

    .venv/bin/python examples/follow_a_batch.py [MANIFEST]

Uses the sandbox: no key, no money. Take `sandbox=True` away to mean it; the run then asks nobody.
"""

import asyncio
import sys
from pathlib import Path

import batchgen
from batchgen.clip import State
from batchgen.events import Downloaded, Failed

MANIFEST = Path(__file__).with_name("quickstart.yaml")


async def main(path: Path) -> int:
    """Run a manifest and return the exit code that the command would give."""
    manifest = batchgen.load(path)
    plan = batchgen.plan(manifest, sandbox=True)
    print(f"{manifest.name}: {plan.wanted} wanted, {plan.new} new")

    async with batchgen.run(manifest, sandbox=True) as run:
        async for happened in run:
            clip, event = happened.clip, happened.event
            if isinstance(event, Downloaded):
                print(f"{clip.wanted.name}: {event.file}, {event.bytes:,} bytes")
            elif isinstance(event, Failed):
                print(f"{clip.wanted.name} failed: {event.reason}")
            elif clip.state is State.GENERATING:
                print(f"{clip.wanted.name}: the service works on it (request {clip.request_id})")

    print(f"after {run.outcome.elapsed_s:.0f} s, exit code {run.outcome.exit_code:d}")
    return run.outcome.exit_code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else MANIFEST)))
