"""events.jsonl: complete, redacted, exact about money, and never a reason to end a run."""

from __future__ import annotations

import json
import logging
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.clip import Clip, Wanted
from batchgen.events import Downloaded, Event, Generated, SubmitStarted, Submitted
from batchgen.states import advance
from batchgen.views.events_file import EventsFile

KEY = "SG_0123456789abcdef"
CLIP = Clip(1, Wanted("k1-abc", "singer", 1, "wan-2.5-t2v", "{}", "singer_1"))
AT = 1_795_313_520.0
URL = "https://images.segmind.com/a.mp4?sig=secret#x"
LIFE: list[Event] = [
    SubmitStarted(AT, reserved=1_250_000, sent=json.dumps({"audio": "https://assets.segmind.com/u/h.mp3?sig=secret"})),
    Submitted("2c7f", AT + 1),
    Generated(URL, AT + 200, cost=312_512),
    Downloaded("singer_1.mp4", 4_200_000, "00", seconds=5.0),
]


def redact(text: str) -> str:
    return text.replace(KEY, "SG_…")


def write_life(events: EventsFile, clip: Clip = CLIP) -> None:
    for event in LIFE:
        clip = advance(clip, event)
        events(clip, event)


def lines(path: Path, parse_float: Any = float) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=parse_float) for line in path.read_text("utf-8").splitlines()]


def test_every_event_is_a_line_with_all_that_it_holds(tmp_path: Path) -> None:
    """The morning's question, "what happened at 03:12", is answered from here."""
    path = tmp_path / "events.jsonl"
    events = EventsFile(path, redact, run="r1", now=lambda: AT)
    write_life(events)
    events.close()
    rows = lines(path)
    assert [row["event"] for row in rows] == ["SubmitStarted", "Submitted", "Generated", "Downloaded"]
    assert [row["state"] for row in rows] == ["submitting", "generating", "downloading", "done"]
    assert rows[1] == {
        "t": "2026-11-22T02:12:00.000Z",
        "clip": "singer_1",
        "key": "k1-abc",
        "event": "Submitted",
        "state": "generating",
        "request_id": "2c7f",
        "at": "2026-11-22T02:12:01.000Z",
        "run": "r1",
    }
    assert {row["request_id"] for row in rows[1:]} == {"2c7f"}
    assert rows[3]["file"] == "singer_1.mp4"


def test_money_is_written_in_exact_dollars(tmp_path: Path) -> None:
    """A bill that is added up from here must be the ledger's bill; unknown is null."""
    path = tmp_path / "events.jsonl"
    events = EventsFile(path, redact)
    write_life(events)
    events.note("stopped", spent=41_200_001, cap=None)
    events.close()
    rows = lines(path, Decimal)
    assert rows[0]["held_usd"] == Decimal("1.25")
    assert rows[2]["cost_usd"] == Decimal("0.312512")
    assert rows[4]["spent_usd"] == Decimal("41.200001")
    assert rows[4]["cap_usd"] is None


def test_urls_lose_their_query_and_texts_the_key(tmp_path: Path) -> None:
    """The file is sent to support, and a signed link is a secret."""
    path = tmp_path / "events.jsonl"
    events = EventsFile(path, redact, run="r1")
    write_life(events)
    events.note("warning", text=f"{KEY} {URL}", where=Path("/x") / KEY, nested={"a": [KEY]}, odd=float("nan"))
    events.close()
    text = path.read_text("utf-8")
    assert KEY not in text
    assert "secret" not in text
    assert lines(path)[2]["url"] == "https://images.segmind.com/a.mp4"
    assert json.loads(lines(path)[0]["sent"]) == {"audio": "https://assets.segmind.com/u/h.mp3"}
    assert lines(path)[4]["nested"] == {"a": ["SG_…"]}


def test_a_torn_last_line_spoils_no_other(tmp_path: Path) -> None:
    """kill -9 in the middle of a write; the next run's first line must be whole."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"t": "x"}\n{"t": "2026-')
    events = EventsFile(path, redact)
    events.note("started")
    events.close()
    rows = path.read_text("utf-8").splitlines()
    assert rows[:2] == ['{"t": "x"}', '{"t": "2026-']
    assert json.loads(rows[2])["event"] == "started"
    assert len(rows) == 3


def test_a_second_run_appends_without_an_empty_line(tmp_path: Path) -> None:
    """One file holds all runs."""
    path = tmp_path / "events.jsonl"
    for run in ("r1", "r2"):
        events = EventsFile(path, redact, run=run)
        events.note("started")
        events.close()
    assert [row["run"] for row in lines(path)] == ["r1", "r2"]


def test_events_are_flushed_each_second_and_notes_at_once(tmp_path: Path) -> None:
    """A kill may cost a second of the story, not the night; a flush for each event would be slow."""
    path = tmp_path / "events.jsonl"
    clock = [AT]
    events = EventsFile(path, redact, now=lambda: clock[0])
    events.note("started")
    assert len(lines(path)) == 1
    write_life(events)
    assert len(lines(path)) == 1
    clock[0] += 1.0
    write_life(events)
    assert len(lines(path)) >= 6
    events.close()
    assert len(lines(path)) == 9


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_once_and_ends_no_run(caplog: pytest.LogCaptureFixture) -> None:
    """The events file is a convenience, the ledger is the truth."""
    with caplog.at_level(logging.WARNING, "batchgen"):
        events = EventsFile(Path("/dev/full"), redact)
        events.note("started")
        for _ in range(50):
            write_life(events)
        events.close()
        events.note("after")
    assert [record.getMessage() for record in caplog.records] == [
        "full can't be written (No space left on device); the run goes on without it"
    ]


def test_a_file_that_cannot_be_opened_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder in its place, no rights: the same."""
    with caplog.at_level(logging.WARNING, "batchgen"):
        events = EventsFile(tmp_path, redact)
        write_life(events)
        events.close()
    assert len(caplog.records) == 1


def test_a_nights_events_are_cheap(tmp_path: Path) -> None:
    """4,000 clips are 16,000 lines; all are there, whole."""
    path = tmp_path / "events.jsonl"
    events = EventsFile(path, redact, run="r1", now=time.time)
    for _ in range(4_000):
        write_life(events)
    events.close()
    assert len(lines(path)) == 16_000
