"""A small batch of mixed fates that is run step by step: killed, or its disk failing, at the Nth step of a run.

One clip that ends well, one whose POST is accepted with the answer lost, and one that is blocked. The files are
long enough to be written block by block.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from aiohttp import web
from bad_replies import accepted_but, drop
from command import Desk, Ended
from scripted_service import Answer, Call, FakeApi

from batchgen.download.body import BLOCK

PROMPTS = ("a cat", "a dog", "an owl")
LONG = BLOCK + 40 * 2**10  #: more than one block
_QUICK = ("--rpm", "0", "--expect-latency", "0.01", "--in-flight", "1", "--yes", "--json")


class Steps:
    """The batch, its service, and what must hold of it at all times."""

    def __init__(self, folder: Path) -> None:
        self.api = FakeApi(run_s=0.0, error=lambda params: "content policy" if params["prompt"] == "an owl" else None)
        self.api.file += (LONG + 8).to_bytes(4, "big") + b"free" + bytes(LONG)
        self.api.scripts = {"submit": self._submit}
        self.desk = Desk(folder, "")

    async def _submit(self, call: Call, answer: Answer) -> web.StreamResponse:
        return await (accepted_but(drop)(call, answer) if call.params["prompt"] == "a dog" else answer())

    def afresh(self) -> None:
        """Forget everything: no batch, no books."""
        shutil.rmtree(self.desk.batch, ignore_errors=True)
        shutil.rmtree(self.desk.folder / "home", ignore_errors=True)  # where this machine remembers the batch
        self.api.jobs.clear()
        self.api.calls.clear()

    def run(self, *options: str, **env: str) -> Ended:
        """Run the batch; never a traceback, whatever happens to it."""
        ended = self.desk.call("run", "night.yaml", "--base-url", self.api.url, *_QUICK, *options, env=env)
        assert "Traceback" not in ended.said, ended.said
        return ended

    def to_the_end(self) -> Ended:
        """Resume until nothing is left to do; with the user's word where a clip is in doubt."""
        ended = self.run()
        if ended.code == 5:
            ended = self.run("--resubmit-unconfirmed", "--history-settle", "0")
        return ended

    # --- what must hold ---------------------------------------------------------------------------------------

    def all_well(self, ended: Ended) -> None:
        """Two done and one blocked, each paid for once, both files whole, the bill as the service has it."""
        ended.expect(3, done=2, blocked=1)
        assert self.api.prompts == Counter(PROMPTS)
        assert ended.obj["spent_usd"] == self.api.charged == 1.0
        assert ended.obj["reserved_usd"] == 0.0
        self.files_whole()
        assert len(self.desk.clips) == 2
        assert not list(self.desk.batch.glob("clips/*.part*"))

    def files_whole(self) -> None:
        """A file with its final name is one that the service has, to the byte."""
        whole = {self.api.content(job) for job in self.api.jobs.values()}
        assert all(clip.read_bytes() in whole for clip in self.desk.clips)

    def nothing_unknown(self, *, killed: bool) -> None:
        """Whatever was accepted is known by its id, in ledger or spill file; else it is told as in doubt.

        In doubt may be the clip whose answer was lost and, after a kill, what was being submitted.
        """
        spilt = (self.desk.batch / "ledger.spill").read_text() if self.api.jobs else ""
        known = self._ask("SELECT request_id FROM request")
        query = "SELECT json_extract(params, '$.prompt') FROM clip WHERE state IN ('submitting', 'unconfirmed')"
        doubts = self._ask(query) if killed else ["a dog"]
        jobs = self.api.jobs.values()
        unknown = {job.params["prompt"] for job in jobs if job.id not in known and job.id not in spilt}
        assert unknown <= set(doubts)

    def intents_before_posts(self) -> None:
        """No POST left without its intent on disk."""
        started = Counter(self._ask(
            "SELECT json_extract(c.params, '$.prompt') FROM event e JOIN clip c ON c.id = e.clip "
            "WHERE e.name = 'SubmitStarted'"
        ))  # fmt: skip
        assert Counter(call.params["prompt"] for call in self.api.of("submit")) <= started

    def _ask(self, query: str) -> list[str]:
        if not (self.desk.batch / "ledger.db").exists():
            return []
        with closing(sqlite3.connect(self.desk.batch / "ledger.db")) as db:
            try:
                return [value for (value,) in db.execute(query)]
            except sqlite3.OperationalError:  # its tables were never made
                return []


def in_service(folder: Path) -> Iterator[Steps]:
    """Serve the batch from `folder` for the length of a test."""
    steps = Steps(folder)
    steps.desk.manifest(*PROMPTS)
    with steps.api as api:
        steps.desk.url = api.url
        yield steps
