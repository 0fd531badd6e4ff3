"""The commands about money as processes: the bill, the report. They submit nothing and change nothing."""

from __future__ import annotations

import pytest
from command import Desk
from fake_api import FakeApi
from mischief import Gate, drop, first

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
    assert "a-dog_1" in text


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
    for words in ("3 of 3 clips done", "Clips are in", "Charged       $1.50 for 3 requests"):
        assert words in told
