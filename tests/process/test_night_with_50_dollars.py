"""The night with $50 of money.md, walked as a producer would: every command, on one sandbox account that runs dry."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from command import Desk, Ended

pytestmark = pytest.mark.real_time

MANIFEST = """
matrix:
  city: [Tokyo, Lisbon, Oslo, Lagos, Lima]
  time: [dawn, noon, dusk, night]
prompts:
  - id: courier
    prompt: A courier on a bike crosses {{ city }} at {{ time }}
    takes: 3
budget: {max_usd: 50}
"""


@contextmanager
def account(desk: Desk, usd: int, port: str = "0") -> Iterator[str]:
    """Serve an account with so many dollars ever paid in; what it has done before counts."""
    options = ["--credits", str(usd), "--latency", "0.2", "--slots", "16", "--no-render", "--json"]
    with desk.start(
        "sandbox", "--folder", "bank", "--port", port, *options, fresh=True, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def books(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/sandbox/books", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def studio(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path, "")
    (tmp_path / "night.yaml").write_text(MANIFEST)
    return desk


def run(desk: Desk, url: str) -> Ended:
    desk.url = url
    return desk.run()


@pytest.mark.slow
def test_fifty_dollars_from_plan_to_bill(studio: Desk) -> None:
    """Plan, cap, run dry, top up, go on, re-roll three, meet the cap, explain every cent; nothing is paid twice."""
    plan = studio.call("plan", "night.yaml", "--json").expect(0).obj
    assert (plan["new"], plan["estimated_usd"], plan["cap_usd"]) == (60, 37.5, 50)

    with account(studio, 20) as url:
        dry = run(studio, url).expect(4, done=32, pending=28).obj
        assert dry["stopped"].startswith("credits")
        assert (dry["spent_usd"], dry["reserved_usd"], dry["next"][0]) == (20, 0, "batchgen run night.yaml")
        assert books(url)["charged"] == 20

    with account(studio, 60, url.rpartition(":")[2]) as url:  # topped up
        run(studio, url).expect(0, done=60)
        chosen = ["courier-oslo-dawn_1", "courier-lima-dusk_2", "courier-tokyo-night_3"]
        rolled = studio.call("reroll", "night.yaml", *chosen, "--json").expect(0).obj
        assert (len(rolled["rerolled"]), rolled["estimated_usd"]) == (3, 1.875)
        assert run(studio, url).expect(0, done=63).obj["spent_usd"] == 39.375
        studio.call("reroll", "night.yaml", "courier-*-dawn", "--takes", "4", "--yes").expect(0)
        capped = run(studio, url).expect(4, done=80, pending=3).obj
        assert (capped["spent_usd"], capped["stopped"].partition(":")[0]) == (50, "budget")

        bill = studio.call("report", "night.yaml", "--bill", "--by", "cell", "--audit", "--json").expect(0).obj
        paid = books(url)
    assert (bill["total"]["charged_usd"], bill["total"]["unknown"], bill["audit"]["ok"]) == (50, 0, True)
    assert sum(Decimal(repr(line["charged_usd"])) for line in bill["lines"]) == Decimal(50)
    assert (bill["total"]["rerolls"], bill["audit"]["agreed"], paid["charged"]) == (20, 80, 50)
    once = Counter(json.dumps(job["params"], sort_keys=True) for job in paid["jobs"])
    assert (len(once), set(once.values())) == (80, {1})

    studio.call("export", "night.yaml", "--out", "night.csv").expect(0)
    with (studio.folder / "night.csv").open(newline="") as file:
        assert sum(Decimal(row["charged_usd"]) for row in csv.DictReader(file)) == Decimal(50)
