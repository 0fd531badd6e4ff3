"""For tests of a second provider or store: the service and the downloads in memory, and nights in virtual time.

`FakeProvider` is the provider of batchgen's own tests: its jobs end by the loop's clock, scripts say what goes wrong,
and its books say what was paid. `VirtualTimeLoop` jumps to the next timer when nothing else can run, so that a night
takes seconds, and takes the same course each time. The program itself never imports this package.

Reading order: `virtual_time`, `jobs` (scripts and books of the service), `provider`, `downloads`.

A night in which the answer to the first submission is lost, and the request history settles the doubt:

    import asyncio
    from pathlib import Path

    from batchgen.ledger import SqliteLedger
    from batchgen.runner.assembly import assemble
    from batchgen.settings import Settings
    from batchgen.testing import FakeDownloads, FakeProvider, VirtualTimeLoop, first, wall, wanted

    async def night(folder: Path, provider: FakeProvider) -> None:
        ledger = SqliteLedger(folder, wall_clock=wall)
        try:
            ledger.sync(wanted(n) for n in range(20))
            (folder / "clips").mkdir()
            run = await assemble(ledger, provider, FakeDownloads(), Settings(), clips_dir=folder / "clips")
            await run.dispatcher.run()
        finally:
            ledger.close()

    provider = FakeProvider(post=first("lost"))
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(night(Path("night"), provider))
    assert len(list(Path("night/clips").glob("*.mp4"))) == provider.paid().total() == 20
"""

from batchgen.testing.downloads import FakeDownloads, Hook, content_of, ok
from batchgen.testing.jobs import (
    COST,
    MODEL,
    TROUBLE,
    FakeJob,
    always,
    done,
    first,
    identity,
    outcome_of,
    trouble,
    wanted,
)
from batchgen.testing.provider import FakeProvider
from batchgen.testing.virtual_time import EPOCH, THREAD_S, DeadlockError, VirtualTimeLoop, wall

__all__ = [
    "COST",
    "EPOCH",
    "MODEL",
    "THREAD_S",
    "TROUBLE",
    "DeadlockError",
    "FakeDownloads",
    "FakeJob",
    "FakeProvider",
    "Hook",
    "VirtualTimeLoop",
    "always",
    "content_of",
    "done",
    "first",
    "identity",
    "ok",
    "outcome_of",
    "trouble",
    "wall",
    "wanted",
]
