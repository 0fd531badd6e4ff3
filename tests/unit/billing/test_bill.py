"""The bill: every grouping adds up to the same total to the last digit, and what is not known is never 0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.billing.bill import BillLine, By, Kind, kind_of, make_bill
from batchgen.clip import Clip, Request
from batchgen.events import (
    AnswerLost,
    Blocked,
    Downloaded,
    Event,
    Failed,
    FailedForNow,
    Forgotten,
    Generated,
    Lost,
    Released,
    Retried,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.ledger import Reader, SqliteLedger
from batchgen.money import exact
from batchgen.states import advance
from batchgen.testing import wanted
from batchgen.views.bill import bill_object, bill_text, summary_lines
from batchgen.views.text import columns

ZONE = timezone(timedelta(hours=1))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


def at(hours: float) -> float:
    return NOON + hours * 3600


def start(hours: float = 0, reserved: int = 1_250_000, estimate: int | None = 625_000) -> SubmitStarted:
    return SubmitStarted(at(hours), reserved=reserved, estimate=estimate)


def done(cost: int | None, hours: float = 0) -> list[Event]:
    url = "https://files.example/x"
    return [Submitted("r", at(hours)), Generated(url, at(hours + 1), cost), Downloaded("a.mp4", 3, "ab")]


#: What a night can bring, clip by clip.
NIGHT: list[list[Event]] = [
    [start(), *done(625_000)],
    [start(), Submitted("r", at(0)), FailedForNow("worker died"), start(1), *done(312_501, 1)],
    [start(), Submitted("r", at(0)), Blocked("policy")],
    [start(), SubmitDeferred("429")],
    [start(2), AnswerLost("reset")],
    [start(2), AnswerLost("reset"), Forgotten("given up")],
    [start(), Submitted("r", at(0)), Lost("gone"), Released("again"), start(20), *done(625_000, 20)],
    [start(), Submitted("r", at(0)), Lost("no file", cost=700_000)],
    [start(reserved=0, estimate=None), *done(None)],
    [start(3), Submitted("r", at(3))],
    [start(), Failed("422"), Retried()],
]


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    with closing(SqliteLedger(folder, wall_clock=lambda: at(30))) as opened:
        opened.sync(replace(wanted(n), label="city=Tokyo" if n % 2 else "") for n in range(len(NIGHT)))
        for row, events in enumerate(NIGHT, 1):
            clip = opened.clip(row)
            for event in events:
                clip = await opened.record(clip, event)
        opened.sync(replace(wanted(n), label="city=Tokyo" if n % 2 else "") for n in range(1, len(NIGHT)))
    return folder


def requests(folder: Path) -> Iterator[Clip]:
    with closing(Reader(folder)) as reader:
        yield from (clip for clip, _ in reader.requests())


def test_each_request_is_one_kind_of_money(ledger: Path) -> None:
    """Charged, free, in doubt or on its way: nothing is told twice and nothing is left out."""
    total = make_bill(requests(ledger), By.CLIP).total
    assert {kind: n for kind, n in total.counts.items() if n} == {
        Kind.CHARGED: 4,
        Kind.FREE: 3,
        Kind.REFUSED: 1,
        Kind.UNCONFIRMED: 1,
        Kind.FORGOTTEN: 1,
        Kind.LOST: 1,
        Kind.UNPRICED: 1,
        Kind.IN_FLIGHT: 1,
    }
    assert sum(total.counts.values()) == total.requests == 13
    assert (total.retries, len(total.clips), total.unknown, total.unestimated) == (2, 11, 1, 1)
    assert total.charged == 625_000 + 312_501 + 625_000 + 700_000
    assert total.estimated == 8 * 625_000
    assert total.unwanted == 625_000  # of the first one, which the manifest dropped


def test_the_bill_is_the_wall(ledger: Path) -> None:
    """What the budget counts and what the bill tells are the same money."""
    total = make_bill(requests(ledger), By.DAY).total
    with closing(Reader(ledger)) as reader:
        wall = reader.budget()
    assert (total.charged, total.reserved) == (wall.spent, wall.reserved)


def test_the_last_request_of_a_clip_is_told(ledger: Path) -> None:
    """Only to that one does the file belong."""
    with closing(Reader(ledger)) as reader:
        rows = [(clip.row, clip.request.n if clip.request else 0, last) for clip, last in reader.requests()]
    assert [(n, last) for row, n, last in rows if row == 2] == [(1, False), (2, True)]
    assert sum(last for *_, last in rows) == 11


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
def test_a_day_is_the_day_of_submission_where_one_is(ledger: Path, zone: str) -> None:
    """A night has two dates, and a budget a day means the wall calendar."""
    days = make_bill(requests(ledger), By.DAY, ZoneInfo(zone)).lines
    expected = {datetime.fromtimestamp(at(hours), ZoneInfo(zone)).date().isoformat() for hours in (0, 1, 2, 3, 20)}
    assert list(days) == sorted(expected)


def test_failures_that_were_charged_are_charged_and_named_and_what_nobody_knows_stays_reserved() -> None:
    """They are in the sum, and in a line of their own; a failure that was looked up and is free stays free."""
    ends: list[Event] = [Failed("worker", cost=500_000), Blocked("policy", unproven=True), Failed("worker", cost=0)]
    sent = advance(advance(Clip(1, wanted(0)), start()), Submitted("r", at(0)))
    bill = make_bill([advance(sent, end) for end in ends], By.DAY)
    total = bill.total
    assert (total.charged, total.failed, total.failed_cost, total.reserved) == (500_000, 1, 500_000, 1_250_000)
    assert (total.counts[Kind.CHARGED], total.counts[Kind.UNCONFIRMED], total.counts[Kind.FREE]) == (1, 1, 1)
    text = bill_text(bill, name="night")
    assert "1 request failed and charged, $0.50 of this" in text
    assert bill_object(bill, name="night", sandbox=False, cap=None)["total"]["charged_failures_usd"] == 0.5


def test_a_bill_of_nothing_is_a_bill() -> None:
    """A batch that never submitted has one, too."""
    bill = make_bill([Clip(1, wanted(0))], By.CLIP)
    assert (bill.total.requests, bill.lines, bill.since) == (0, {}, None)
    assert "nothing was charged" in bill_text(bill, name="night")


# --- adding up ------------------------------------------------------------------------------------------------

amounts = st.one_of(st.none(), st.integers(0, 3_000_000))
request_of = st.builds(
    Request,
    n=st.integers(1, 4),
    intent_at=st.floats(0, 2e9),
    reserved=st.integers(0, 2_000_000),
    cost=amounts,
    estimate=amounts,
    outcome=st.sampled_from(["open", "refused", "failed", "charged", "unsure", "lost", "absent", "forgotten"]),
)
clip_of = st.builds(
    lambda n, take, label, request, unwanted: Clip(
        n, replace(wanted(n, take), label=label), request=request, unwanted=unwanted
    ),
    st.integers(0, 9),
    st.integers(1, 3),
    st.sampled_from(["", "city=Tokyo", "city=Lisbon"]),
    request_of,
    st.booleans(),
)


@given(st.lists(clip_of, max_size=30), st.sampled_from(list(By)))
def test_every_grouping_adds_up_to_the_same_total(clips: list[Clip], by: By) -> None:
    """A bill whose lines don't add up is no bill."""
    bill = make_bill(clips, by, UTC)
    lines = list(bill.lines.values())
    for name in ("requests", "retries", "charged", "unknown", "estimated", "unestimated", "unwanted", "reserved"):
        assert sum(getattr(line, name) for line in lines) == getattr(bill.total, name), name
    for kind in Kind:
        assert sum(line.counts[kind] for line in lines) == bill.total.counts[kind]
    assert set().union(*(line.clips for line in lines)) == bill.total.clips
    told = bill_object(bill, name="n", sandbox=False, cap=None)
    for field in ("charged_usd", "reserved_usd", "estimated_usd", "unwanted_usd", "doubtful_usd"):
        parts = [Decimal(repr(line[field])) for line in told["lines"]]
        assert sum(parts, Decimal()) == Decimal(repr(told["total"][field])), field


@given(clip_of)
def test_what_is_not_known_is_counted_and_never_0(clip: Clip) -> None:
    """An unknown price is no price of 0."""
    assert clip.request
    line = BillLine()
    line.add(clip, clip.request)
    kind = kind_of(clip.request)
    settled = kind in (Kind.CHARGED, Kind.FREE, Kind.REFUSED)
    assert line.unknown == (not settled and not clip.request.reserved)


# --- as it is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro", [0, 1, 312_500, 625_000, 1_002_500_000])
def test_an_amount_is_told_to_the_last_digit(micro: int) -> None:
    """Rounded lines don't add up."""
    assert Decimal(exact(micro).removeprefix("$").replace(",", "")) * 1_000_000 == micro


@pytest.mark.parametrize(("width", "by"), [(60, By.CLIP), (80, By.CLIP), (120, By.PROMPT), (80, By.DAY), (80, By.CELL)])
def test_the_text_is_as_in_the_golden_file(
    ledger: Path, width: int, by: By, golden: Callable[[str, str], None]
) -> None:
    """It is what the producer is shown."""
    text = bill_text(make_bill(requests(ledger), by, ZONE), width, name="night", cap=50_000_000, tz=ZONE)
    assert max(columns(line) for line in text.splitlines()) <= width
    golden(f"bill_{by}_{width}", text)


def test_the_object_is_json_and_the_text_bears_ascii(ledger: Path) -> None:
    """For a program and for an old terminal."""
    bill = make_bill(requests(ledger), By.CLIP, ZONE)
    told = json.loads(json.dumps(bill_object(bill, name="night", sandbox=True, cap=None)))
    assert (told["total"]["charged_usd"], told["total"]["unknown"], told["cap_usd"]) == (2.262501, 1, None)
    assert told["lines"][0]["clip"] == "shot0_1"
    assert bill_text(bill, name="nächt", ascii=True, tz=ZONE).isascii()


def test_a_refused_request_is_told_in_words() -> None:
    """It is among the requests of the table, so the lines above must say what became of it."""
    total = BillLine()
    total.counts[Kind.REFUSED] = 2
    assert any("2 requests never accepted, not charged" in line for line in summary_lines(total, 80))
