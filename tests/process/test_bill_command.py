"""The commands about money as processes: the bill, the report. They submit nothing and change nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bad_replies import Gate, drop, first, says
from command import Desk
from scripted_service import FakeApi

pytestmark = pytest.mark.real_time


def test_the_bill_is_what_the_service_charged(api: FakeApi, desk: Desk) -> None:
    """By every grouping, with what failed as free and what is in doubt as that; no call is made for it."""
    errors = {"a dog": "invalid parameter"}
    api.error = lambda params: errors.get(params["prompt"])
    api.scripts["submit"] = first(1, drop)
    desk.run("--in-flight", "1").expect(5, done=1, failed=1, unconfirmed=1)
    calls = len(api.calls)
    for by in ("clip", "prompt", "cell", "day", "model", "take"):
        bill = desk.call("report", "night.yaml", "--bill", "--by", by, "--json").expect(0).obj
        assert bill["by"] == by
        assert bill["total"]["charged_usd"] == api.charged
        assert sum(line["charged_usd"] for line in bill["lines"]) == api.charged
    total = bill["total"]
    assert (total["free"], total["unconfirmed"], total["doubtful_usd"]) == (1, 1, 1.25)
    assert len(api.calls) == calls
    text = desk.call("report", "night.yaml", "--by", "clip").expect(0).stdout.decode()
    assert "dog_1" in text


def test_the_report_tells_the_night_and_works_beside_a_run(api: FakeApi, desk: Desk) -> None:
    """Counts, money, doubts, failures by cause, and where the files are; the run is not disturbed."""
    gate = api.scripts["submit"] = Gate()
    process = desk.start(*desk.paid("--yes"))
    api.until(lambda: gate.held == 3)
    live = desk.call("report", "night.yaml", "--json").expect(0).obj
    assert (live["live"], live["bill"]["in_flight"], live["bill"]["reserved_usd"]) == (True, 3, 3.75)
    gate.open()
    desk.end(process).expect(0)
    told = desk.call("report", "night.yaml").expect(0).stdout.decode()
    for words in ("3 of 3 clips done", "15 s of footage in", "Charged       $1.50 for 3 requests"):
        assert words in told


def test_an_export_is_whole_or_not_there(api: FakeApi, desk: Desk) -> None:
    """Every request, in each format; nothing is overwritten unasked, and no half file gets the name."""
    desk.run().expect(0, done=3)
    out = desk.folder / "night.csv"
    for kind in ("csv", "jsonl", "parquet"):
        told = desk.call("export", "night.yaml", "--out", f"night.{kind}", "--json").expect(0).obj
        assert (told["rows"], told["format"], told["file"]) == (3, kind, f"night.{kind}")
    assert desk.call("export", "night.yaml").expect(0).stdout == out.read_bytes()
    assert api.url.encode() not in out.read_bytes()
    before = out.read_bytes()
    assert "--force" in desk.call("export", "night.yaml", "--out", "night.csv").expect(2).said
    desk.call("export", "night.yaml", "--out", "night.csv", "--force", "--urls").expect(0)
    assert out.read_bytes() != before
    assert "--out" in desk.call("export", "night.yaml", "--format", "parquet").expect(2).said
    said = desk.call("export", "night.yaml", "--out", "no/such/folder.csv").expect(2).said
    assert "cannot write no/such/folder.csv" in said
    assert not list(desk.folder.glob(".*.part"))


def test_without_pyarrow_parquet_says_what_to_install(desk: Desk) -> None:
    """The core does without it; CSV works all the same."""
    desk.run("--limit", "0").expect(0)
    hide = "import sys; sys.modules['pyarrow'] = None; from batchgen.cli import main; main()"
    command = [sys.executable, "-c", hide, "export", "night.yaml", "--out", "night.parquet"]
    ended = subprocess.run(command, cwd=desk.folder, env=desk.env, capture_output=True, text=True, check=False)
    assert (ended.returncode, "'.[parquet]'" in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)
    assert not list(desk.folder.glob("*.parquet"))


def test_the_audit_finds_what_the_bill_does_not_know(api: FakeApi, desk: Desk) -> None:
    """Held against the history: agreed, another amount, somebody else's, a stray request; nothing is changed."""
    desk.run().expect(0, done=3)
    before = (desk.batch / "ledger.db").read_bytes()
    audit = desk.call("report", "night.yaml", "--audit", "--json").expect(0).obj["audit"]
    assert (audit["ok"], audit["agreed"], audit["agreed_usd"]) == (True, 3, 1.5)
    job = next(iter(api.jobs.values()))
    job.price = 0.7
    stray = api.accept({**job.params})
    api.accept({"prompt": "somebody else's"})
    api.until(lambda: all(job.status == "COMPLETED" for job in list(api.jobs.values())))
    posts = api.posts
    audit = desk.call("report", "night.yaml", "--audit", "--json").expect(0).obj["audit"]
    assert (audit["ok"], audit["agreed"], audit["others"], audit["others_usd"]) == (False, 2, 1, 0.5)
    assert [(item["ours_usd"], item["history_usd"]) for item in audit["differ"]] == [(0.5, 0.7)]
    assert [item["request_id"] for item in audit["unknown"]] == [stray.id]
    assert api.posts == posts
    assert (desk.batch / "ledger.db").read_bytes() == before


def test_an_audit_without_a_history_says_so(api: FakeApi, desk: Desk) -> None:
    """The bill is still told, exit 0; a history that is down, or a stranger's key, proves nothing."""
    desk.run().expect(0, done=3)
    api.scripts["history"] = says(503, "down")
    told = desk.call("report", "night.yaml", "--audit", "--json").expect(0).obj
    assert (told["audit"]["ok"], told["total"]["charged_usd"]) == (None, 1.5)
    assert "503" in told["audit"]["why"]
    calls = len(api.calls)
    for key in ("SG_another", None):
        ended = desk.call("report", "night.yaml", "--audit", "--json", env={"SEGMIND_API_KEY": key}).expect(0)
        assert (ended.obj["audit"]["ok"], "key" in ended.obj["audit"]["why"]) == (None, True)
    assert len(api.calls) == calls
