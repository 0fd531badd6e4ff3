"""A batch of any size that is done but for its last few clips, made at once: `big_ledger.py MANIFEST ORIGIN LEFT`.

The rows are those that a run would have left (a request and four events a clip, the log caught up), but no run
takes hours for them: they are copied from one clip that lived through the ledger's own `record`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tools import KEY

from batchgen.clip import Clip, State
from batchgen.events import Downloaded, Generated, SubmitStarted, Submitted
from batchgen.ledger import FILE, Home, SqliteLedger
from batchgen.manifest import load
from batchgen.redact import Secret, account_of

COST = 625_000
#: Of every done clip as of the first; what must differ has its number in it.
_LIVES = """
UPDATE clip SET state = 'done', n = 1, attempts = 1, file = name || '.mp4', bytes = 3000000,
  sha256 = printf('%064x', id) WHERE id > 1 AND id <= :done;
INSERT INTO request SELECT c.id, r.n, r.grade, r.intent_at + c.id / 10.0, r.held, 'job-old-' || c.id,
  r.submitted_at + c.id / 10.0, r.completed_at + c.id / 10.0, r.cost, r.url || c.id, r.file_size, r.queue_s, r.run_s,
  r.outcome, r.sent, r.estimate, r.looks, r.other_links, r.clock_off FROM clip c, request r
  WHERE r.clip = 1 AND c.id > 1 AND c.id <= :done;
INSERT INTO event(clip, at, name, state, detail) SELECT c.id, e.at + c.id / 10.0, e.name, e.state,
  replace(e.detail, 'job-old-1', 'job-old-' || c.id) FROM clip c, event e
  WHERE e.clip = 1 AND c.id > 1 AND c.id <= :done;
"""


def fill(path: Path, origin: str, left: int) -> Path:
    """Make the batch folder of a manifest, with all of its clips done but the last `left`; gives the folder."""
    folder = path.with_suffix("")
    found = load(path)
    ledger = SqliteLedger(folder)
    try:
        ledger.bind(Home(os.path.relpath(path, folder), origin, account_of(Secret(KEY))))
        ledger.remember("name", found.name)
        ledger.sync(found.wanted)
        asyncio.run(_live(ledger))
    finally:
        ledger.close()
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        for statement in _LIVES.split(";")[:-1]:
            db.execute(statement, {"done": len(found.wanted) - left})
    SqliteLedger(folder).close()  # catches the log up, and marks the ledger as closed
    return folder


async def _live(ledger: SqliteLedger) -> None:
    clip: Clip = ledger.clip(1)
    now = ledger.now() - 86_400.0
    for event in (
        SubmitStarted(now, reserved=2 * COST, estimate=COST),
        Submitted("job-old-1", now + 0.01),
        # As short as the local service's: else the next run waits for as long as it has learned that a clip takes.
        Generated("http://127.0.0.1:9/files/old.mp4", now + 0.02, COST, 3_000_000, 0.0, 0.01),
        Downloaded(f"{clip.wanted.name}.mp4", 3_000_000, "0" * 64),
    ):
        clip = await ledger.record(clip, event)
    assert clip.state is State.DONE


if __name__ == "__main__":
    print(fill(Path(sys.argv[1]).absolute(), sys.argv[2], int(sys.argv[3])))
