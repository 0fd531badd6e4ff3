"""A client's page and the story of the night, from the command: written, answered, imported."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command import Desk

pytestmark = pytest.mark.real_time


def answer(path: Path, page: dict[str, Any], reviewer: str, picks: dict[int, int]) -> Path:
    """Write the file that the page would save."""
    about = {
        page["clips"][at]["handle"]: {"pick": pick, "stars": 0, "note": "", "at": "2026-11-27T18:00:00.000Z"}
        for at, pick in picks.items()
    }
    whole = {"schema_version": 1, "kind": "batchgen-picks", "report": page["report"], "reviewer": reviewer}
    path.write_text(json.dumps(whole | {"answers": about}))
    return path


def test_a_clients_answers_come_back_and_the_night_is_told(desk: Desk, tmp_path: Path) -> None:
    """One run, both pages, two reviewers: own picks stay, who differs is shown, a wrong file changes nothing."""
    desk.run().expect(0, done=3)
    assert "batchgen review" in desk.call("report", "night.yaml", "--for-client", "out").expect(2).said
    page = desk.call("report", "night.yaml", "--for-client", "out", "--all", "--json").expect(0).obj
    assert (desk.folder / "out" / "index.html").is_file()
    names = [clip["clip"] for clip in page["clips"]]
    desk.call("picks", "night.yaml", "--set", names[1], "reject").expect(0)

    anna = answer(desk.folder / "anna.json", page, "Anna", {0: 1, 1: 1})
    done = desk.call("picks", "night.yaml", "import", "anna.json", "--json").expect(0).obj["imports"][0]
    assert {name: done[name] for name in ("reviewer", "new", "chosen", "known")} == {
        "reviewer": "Anna", "new": 2, "chosen": 1, "known": 0,
    }  # fmt: skip
    assert [(each["clip"], each["pick"]) for each in done["conflicts"]] == [(names[1], -1)]
    answer(desk.folder / "ben.json", page, "Ben", {0: -1})
    both = desk.call("picks", "night.yaml", "import", "anna.json", "ben.json").expect(0).stdout.decode()
    assert "2 answers known already" in both
    assert f"{names[0]}: chosen: picked; Anna: picked; Ben: rejected" in both

    before = (desk.batch / "selects.log").read_bytes()
    anna.write_text(anna.read_text().replace(page["report"], "0" * 16))
    assert "was not made of night" in desk.call("picks", "night.yaml", "import", "ben.json", "anna.json").expect(2).said
    assert "no batch under jobs/" in desk.call("picks", "import", "anna.json").expect(2).said
    assert "--overwrite goes with import" in desk.call("picks", "night.yaml", "--overwrite").expect(2).said
    assert (desk.batch / "selects.log").read_bytes() == before
    rows = {row["clip"]: row for row in desk.call("picks", "night.yaml", "--json").expect(0).obj["clips"]}
    assert [(each["by"], each["pick"]) for each in rows[names[0]]["answers"]] == [("Anna", 1), ("Ben", -1)]
    assert [rows[name]["pick"] for name in names] == [1, -1, 0]
    listed = desk.call("picks", "night.yaml").expect(0).stdout.decode()
    assert "1 picked, 1 rejected, 1 undecided; 2 clips about which reviewers differ" in listed

    _the_night(desk)


def _the_night(desk: Desk) -> None:
    said = desk.call("report", "night.yaml", "--html").expect(0).stdout.decode()
    assert "Wrote the report to" in said
    numbers = desk.call("report", "night.yaml", "--json").expect(0).obj
    values: dict[str, str] = {}

    class Fields(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found = dict(attrs)
            values.update({str(found["data-field"]): str(found["value"])} if "data-field" in found else {})

    Fields().feed((desk.batch / "report.html").read_text())
    for place, value in values.items():
        at: Any = numbers
        for name in place.split("."):
            at = at[name]
        assert float(at) == float(value), place
    assert values["state.done"] == "3"
    desk.call("report", "night.yaml", "--html").expect(0)  # its own file is written again
    (desk.folder / "mine.html").write_text("mine")
    assert "is no report of batchgen" in desk.call("report", "night.yaml", "--html", "mine.html").expect(2).said
    assert (desk.folder / "mine.html").read_text() == "mine"
    for more, what in ((["--stars", "3"], "goes with --for-client"), (["--bill", "--html", "x.html"], "for the bill")):
        assert what in desk.call("report", "night.yaml", *more).expect(2).said
    assert (
        "'links' is none of" in desk.call("report", "night.yaml", "--for-client", "x", "--with", "links").expect(2).said
    )
