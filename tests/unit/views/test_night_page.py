"""The report of a night as a page: the numbers of `report --json`, whatever the night was like, in one small file."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from review_batch import Prompt, finished

from batchgen.billing.bill import By, make_bill
from batchgen.clip import Clip, Request, State, Wanted
from batchgen.events import Blocked, Event, Failed, SubmitDeferred, SubmitStarted, Submitted
from batchgen.ledger import Home, SqliteLedger
from batchgen.ledger.reader import Reader
from batchgen.review.choice import Choice
from batchgen.review.cost import cost_of_picks
from batchgen.views.bill import bill_object
from batchgen.views.facts import facts_of
from batchgen.views.night_charts import TimeAxis, histogram, timeline
from batchgen.views.night_facts import Moment, NightFacts, Span, night_facts
from batchgen.views.night_page import MARK, written
from batchgen.views.status import status_object

NOW = 1_795_100_000.0
UTC = ZoneInfo("UTC")
EVIL = "</style><script>alert(1)</script>"


class Fields(HTMLParser):
    """The numbers that a page shows, by their place in `report --json`; and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if place := found.get("data-field"):
            self.values[place] = str(found["value"])


def batch(folder: Path, *ends: str) -> Path:
    """Make a batch of one prompt; each end is `done`, `failed`, `blocked`, `refused` (429, then done), `generating` or
    `pending`."""
    clips = replace(Prompt("fox", "A fox", tuple("done" for _ in ends)), ends=ends).clips(0)
    (folder / "clips").mkdir(parents=True)
    ledger = SqliteLedger(folder, wall_clock=iter(NOW + 60.0 * n for n in range(10_000)).__next__)

    async def live(clip: Clip, number: int, end: str) -> None:
        started, accepted = SubmitStarted(ledger.now(), reserved=625_000), Submitted(f"id-{number}", ledger.now())
        failed = Failed(f"out of memory {EVIL}", transient=True)
        ended: dict[str, Event] = {"failed": failed, "blocked": Blocked("moderation")}
        steps: list[Event] = [] if end == "pending" else [started, accepted]
        steps = [started, SubmitDeferred("rate limited (429)"), *steps] if end == "refused" else steps
        for event in steps:
            clip = await ledger.record(clip, event)
        more: list[Event] = finished(ledger, folder, clip.wanted, number) if end in {"done", "refused"} else []
        more = [ended[end]] if end in ended else more
        for event in more:
            clip = await ledger.record(clip, event)

    async def fill() -> None:
        for number, (clip, end) in enumerate(zip(list(ledger.clips()), ends, strict=True)):
            await live(clip, number, end)
        await ledger.settle()

    try:
        ledger.bind(Home("../night.yaml", "https://api.segmind.com", "0" * 16))
        for name, value in (("name", "night"), ("cap", "20000000"), ("files", "{}")):
            ledger.remember(name, value)
        ledger.sync(clips)
        asyncio.run(fill())
    finally:
        ledger.close()
    return folder


def numbers_of(reader: Reader, choices: Mapping[str, Choice] = {}) -> dict[str, Any]:
    """Give the object of `report --json`."""
    facts = facts_of(reader, "night", caps=reader.caps())
    made = make_bill((clip for clip, _ in reader.requests()), By.MODEL)
    bill = bill_object(made, name=facts.name, sandbox=False, cap=facts.caps.usd)
    return {**status_object(facts, now=NOW), "bill": bill["total"], "picks": cost_of_picks(reader.known(), choices)}


def page_of(folder: Path, choices: Mapping[str, Choice] = {}) -> tuple[str, dict[str, Any]]:
    with closing(Reader(folder)) as reader:
        numbers = numbers_of(reader, choices)
        return written(numbers, night_facts(reader), now=NOW, tz=UTC), numbers


def at_place(numbers: Any, place: str) -> Any:
    for name in place.split("."):
        numbers = numbers[int(name)] if isinstance(numbers, list) else numbers[name]
    return numbers


@pytest.mark.parametrize(
    "ends",
    [(), ("pending",), ("done",), ("failed", "failed", "blocked"), ("done", "refused", "failed", "generating")],
    ids=["empty", "nothing submitted", "one clip", "all failed", "some of each"],
)
def test_every_number_is_that_of_the_json_report(ends: tuple[str, ...], tmp_path: Path) -> None:
    folder = batch(tmp_path / "night", *ends)
    with closing(Reader(folder)) as reader:
        choices = {clip.key: Choice(pick=1) for clip in reader.known() if clip.state is State.DONE}
    page, numbers = page_of(folder, choices)
    shown = Fields(page).values
    assert {"state.done", "footage_s", "spent_usd", "bill.requests", "picks.picks"} <= shown.keys()
    for place, value in shown.items():
        assert float(value) == float(at_place(numbers, place)), place
    assert shown.get("picks.per_pick_usd") == numbers["picks"]["per_pick_usd"]
    assert ("bill.charged_usd" in shown) == (numbers["bill"]["requests"] > 0)
    assert sum(place.startswith("failures.") for place in shown) == len(numbers["failures"])


def test_a_page_needs_no_script_and_loads_nothing(tmp_path: Path) -> None:
    page, _ = page_of(batch(tmp_path / "night", "done", "failed"))
    assert {"script", "link", "img", "iframe"}.isdisjoint(Fields(page).tags)
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in page
    assert re.search(r"default-src 'none'; style-src 'sha256-[^']+'\"", page)
    assert MARK in page[:1000]
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_refusals_and_waits_are_on_the_timeline(tmp_path: Path) -> None:
    """From the ledger and from `events.jsonl`; a torn line of that costs nothing."""
    folder = batch(tmp_path / "night", "done", "refused")
    notes = [
        {"t": "2026-11-19T14:00:00.000Z", "event": "started", "run": "1"},
        {"t": "2026-11-19T14:01:00.000Z", "event": "pace", "text": "rate limited (429)", "run": "1"},
        {"t": "2026-11-19T14:02:00.000Z", "event": "waiting", "text": "outage of api: 503", "run": "1"},
        {"t": "2026-11-19T14:05:00.000Z", "event": "waiting", "text": "", "run": "1"},
        {"t": "2026-11-19T14:06:00.000Z", "event": "waiting", "text": "killed in it", "run": "1"},
        {"t": "2026-11-19T14:07:00.000Z", "event": "pace", "text": "", "run": "1"},
        {"t": "2026-11-19T15:00:00.000Z", "event": "started", "run": "2"},
    ]  # fmt: skip
    lines = "".join(json.dumps(note) + "\n" for note in notes)
    (folder / "events.jsonl").write_text('{"event": "waiting", "t": "to\n[]\n"event": "pace"\n' + lines)
    with closing(Reader(folder)) as reader:
        facts = night_facts(reader)
    assert [(span.why, span.ended - span.began) for span in facts.waits] == [
        ("outage of api: 503", 180.0),
        ("killed in it", 60.0),
    ]
    assert len(facts.refused) == 2
    page, _ = page_of(folder)
    assert page.count('class="wait"') == 2
    assert "rate limited, 429 (2)" in page
    assert "submissions waited (2)" in page


def test_clips_are_followed_through_their_states(tmp_path: Path) -> None:
    with closing(Reader(batch(tmp_path / "night", "done", "failed"))) as reader:
        moments = night_facts(reader).moments
    assert (moments[-1].submitted, moments[-1].in_flight, moments[-1].done) == (2, 0, 1)
    assert max(moment.in_flight for moment in moments) == 1
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)


def test_five_thousand_clips_are_a_page_of_less_than_two_megabytes(tmp_path: Path) -> None:
    clips = [
        Clip(n, Wanted(f"k{n}", f"prompt {n}", 1, f"model-{n % 3}", '{"size": "832*480"}', f"c{n}"), State.DONE,
             Request(1, NOW + n, cost=312_500, submitted_at=NOW + n, outcome="charged"))
        for n in range(5000)
    ]  # fmt: skip
    with closing(Reader(batch(tmp_path / "night", "done"))) as reader:
        numbers = numbers_of(reader)
    facts = NightFacts(
        make_bill(clips, By.PROMPT),
        make_bill(clips, By.MODEL),
        [Moment(NOW + n, n // 6, 32, n // 6) for n in range(30_000)],
        [NOW + n for n in range(20_000)],
        [Span(NOW + 30 * n, NOW + 30 * n + 9, "outage") for n in range(900)],
        {"class": [200.0 + n % 97 for n in range(5000)]},
        {"class": (35_000, 5000)},
    )
    page = written(numbers, facts, now=NOW, tz=UTC)
    assert len(page.encode()) < 2_000_000
    assert "4,960 others" in page
    assert page.count("<tr>") < 200
    assert "7.0" in page
    assert "9.0" in page


def test_long_pauses_are_cut_out_of_the_timeline() -> None:
    """Three nights in a row are three stretches, in order, none of them a dot."""
    nights = [NOW + 86_400 * day + at for day in range(3) for at in (0.0, 1800.0, 3600.0)]
    axis = TimeAxis(nights)
    places = [axis.x(at) for at in nights]
    assert places == sorted(places)
    assert len(axis.pauses()) == 2
    assert places[2] - places[0] > 200
    assert axis.x(NOW + 50_000) == places[2]
    moments = [Moment(at, n, 1, n) for n, at in enumerate(nights)]
    picture = timeline(replace(_nothing(), moments=moments), UTC)
    assert picture.count('class="pause"') == 2


def test_charts_of_nothing_are_empty_and_of_one_are_drawn() -> None:
    assert timeline(_nothing()) == histogram([]) == ""
    assert "<svg" in timeline(replace(_nothing(), moments=[Moment(NOW, 1, 1, 0)]), UTC)
    assert histogram([200.0]).count('class="bar"') == 24


def _nothing() -> NightFacts:
    return NightFacts(make_bill((), By.PROMPT), make_bill((), By.MODEL))
