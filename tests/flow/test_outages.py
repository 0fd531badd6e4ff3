"""Trouble with the API: what passes is waited out, at most a few clips come to be in doubt, and people are informed."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from batch import Batch, Limits, check

from batchgen.breaker import HISTORY
from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.retry import SUBMIT_TRIES
from batchgen.runner.context import RunContext
from batchgen.runner.trouble_gates import UNSURE_MOST, UNSURE_STOP
from batchgen.selection import Selection
from batchgen.testing import COST, FakeProvider, always, first


def test_a_storm_of_429s_fails_no_clip(tmp_path: Path) -> None:
    """The account bears 20 a minute; we believed 300."""
    batch = Batch(tmp_path, 60, provider=FakeProvider(rpm=20), limits=Limits(rpm=300))
    life = batch.live()
    assert batch.states() == [State.DONE] * 60
    assert batch.provider.limited < 60
    assert all(clip.attempts == 1 for clip in batch.clips().values())
    check(batch, life)


@pytest.mark.parametrize("word", ["rate", "rate-30", "unreachable"])
def test_what_surely_was_not_accepted_is_tried_again_as_often_as_it_takes(tmp_path: Path, word: str) -> None:
    """Refused connections and 429s use up nothing."""
    batch = Batch(tmp_path, 3, provider=FakeProvider(post=first(*[word] * 25)))
    life = batch.live()
    assert batch.states() == [State.DONE] * 3
    check(batch, life)


def test_one_clip_that_always_meets_a_500_fails_after_its_tries_and_the_night_goes_on(tmp_path: Path) -> None:
    """A bad parameter answers so for ever."""
    provider = FakeProvider(post=lambda params: "server" if params["seed"] == 1002 else "ok")
    batch = Batch(tmp_path, 12, provider=provider)
    life = batch.live()
    assert Counter(batch.states()) == {State.DONE: 11, State.FAILED: 1}
    assert len([1 for _, params in provider.posts if '"seed": 1002' in params]) == SUBMIT_TRIES
    assert f"{SUBMIT_TRIES} tries" in batch.clips()["k2.1"].reason
    check(batch, life)


def test_a_service_that_answers_all_with_500_fails_no_clip(tmp_path: Path) -> None:
    """For ten minutes it is the service, not the clips."""
    provider = FakeProvider()
    provider.post = lambda _: "server" if asyncio.get_running_loop().time() < 600 else "ok"
    batch = Batch(tmp_path, 30, provider=provider)
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    assert len(provider.posts) < 30 + 60
    check(batch, life)


def test_a_service_that_never_recovers_ends_the_run_and_nothing_failed(tmp_path: Path) -> None:
    """--give-up."""
    batch = Batch(tmp_path, 30, provider=FakeProvider(post=always("server")), limits=Limits(give_up_s=1800.0))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert "outage" in life.why
    assert Counter(batch.states())[State.FAILED] == 0
    check(batch, life)


def test_an_outage_shorter_than_giving_up_is_sat_out(tmp_path: Path) -> None:
    """The API out of reach is not a failure of any clip."""
    provider = FakeProvider(outages=[(30.0, 6000.0)], keeps_s=90_000.0)
    batch = Batch(tmp_path, 30, provider=provider, limits=Limits(rpm=30))
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    assert len([at for at, _ in provider.posts if 30.0 <= at < 6000.0]) <= 8  # the probe is a GET
    assert 6000 < life.lasted_s < 6000 + 600
    check(batch, life)


def test_an_outage_longer_than_giving_up_ends_the_run_resumable(tmp_path: Path) -> None:
    """Exit 4, and the next run goes on."""
    provider = FakeProvider(outages=[(30.0, 20_000.0)])
    batch = Batch(tmp_path, 30, provider=provider, limits=Limits(give_up_s=3600.0))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert "outage" in life.why
    assert 3600 <= life.lasted_s < 3600 + 120
    check(batch, life)
    batch.clock = 20_000
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    check(batch, life)


def refusing(provider: FakeProvider, *spans: tuple[float, float]) -> None:
    """Let it refuse every call as too many in these times."""

    def word(*_: object) -> str:
        now = asyncio.get_running_loop().time()
        return "rate" if any(since <= now < until for since, until in spans) else "ok"

    provider.post = provider.get = provider.look = word


@pytest.mark.parametrize("give_up_s", [3600.0, 7200.0])
def test_refusals_without_end_end_the_run_resumable(tmp_path: Path, give_up_s: float) -> None:
    """Nothing but 429s: it says so, nothing is lost though the records end meanwhile, and the next run goes on."""
    provider = FakeProvider(run_s=210.0)
    refusing(provider, (100.0, 30_000.0))
    batch = Batch(tmp_path, 30, provider=provider, limits=Limits(give_up_s=give_up_s))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    hours = f"{give_up_s / 3600:g}"
    why = rf"outage: the API has rate limited every call \(429\) for {hours} h (0\d|1\d) min: run again later"
    assert re.fullmatch(why, life.why)
    # Seen at the next refusal: once only the history is asked, these are minutes apart.
    assert 100.0 + give_up_s <= life.lasted_s < 100.0 + give_up_s + 1.1 * HISTORY.cap_s
    counts = Counter(batch.states())
    assert counts[State.GENERATING] == len(provider.jobs) > 0
    assert counts[State.GENERATING] + counts[State.PENDING] == 30
    assert batch.money().reserved == 2 * COST * len(provider.jobs)
    check(batch, life)
    batch.clock = 30_000.0
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    assert len(provider.jobs) == 30
    check(batch, life)


def test_refusals_that_let_one_call_through_are_borne(tmp_path: Path) -> None:
    """The count starts again with each answer, and the run goes on by itself."""
    provider = FakeProvider(run_s=210.0, keeps_s=1e9)
    refusing(provider, (100.0, 3_500.0), (3_900.0, 7_400.0))
    batch = Batch(tmp_path, 30, provider=provider, limits=Limits(give_up_s=3_600.0))
    life = batch.live()
    assert batch.states() == [State.DONE] * 30
    assert life.exit is None
    check(batch, life)


def down(provider: FakeProvider, since: float, until: float, *, gets: bool = True) -> None:
    """Let a gateway answer every POST in these times with a page that asks for two minutes; and every GET."""

    def here(word: str) -> Callable[..., str]:
        return lambda *_: word if since <= asyncio.get_running_loop().time() < until else "ok"

    provider.post = here("maintenance")
    if gets:
        provider.get, provider.ask = here("page"), here("page")


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_maintenance_of_four_minutes_costs_four_minutes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    """At most eight in doubt, looked up in the history; the wait that the page asks for is kept; the night goes on."""
    provider = FakeProvider(post_s=0.5)
    down(provider, 3.0, 243.0)
    limits = Limits(rpm=60, submit_concurrency=concurrency, settle_s=0.0)
    batch = Batch(tmp_path, 60, provider=provider, limits=limits)
    asked: list[float] = []
    page = provider.ask

    def ask() -> str:
        asked.append(asyncio.get_running_loop().time())
        return page()

    provider.ask = ask
    life = batch.live()
    out = [at for at, _ in provider.posts if 3.0 <= at < 243.0]
    assert len(out) <= UNSURE_MOST
    assert Counter(batch.states()) == {State.DONE: 60 - len(out), State.UNCONFIRMED: len(out)}
    assert min(at for at, _ in provider.posts if at >= 243.0) < 243.0 + 125.0
    assert len([at for at in asked if 3.0 <= at < 243.0]) <= 3
    lines = [record.getMessage() for record in caplog.records if "fake.example" in record.getMessage()]
    assert len(lines) == 2
    assert "outage of fake.example: 503 maintenance (since " in lines[0]
    assert "tried again for up to 2 h" in lines[0]
    assert "fake.example answers again after" in lines[1]
    check(batch, life)
    life = batch.live(Selection(resubmit_unconfirmed=True))
    assert batch.states() == [State.DONE] * 60
    check(batch, life)


def test_a_hang_that_accepted_them_is_found_in_the_history(tmp_path: Path) -> None:
    """The POSTs timed out and were accepted: nothing is sent again, all are collected by the same run."""
    provider = FakeProvider(post_s=0.5)
    provider.post = lambda _: "lost" if 3.0 <= asyncio.get_running_loop().time() < 200.0 else "ok"
    provider.ask = lambda: "page" if 3.0 <= asyncio.get_running_loop().time() < 200.0 else "ok"
    batch = Batch(tmp_path, 60, provider=provider, limits=Limits(rpm=60))
    life = batch.live()
    assert batch.states() == [State.DONE] * 60
    assert len(provider.posts) == 60
    check(batch, life)


@pytest.mark.parametrize("gets", [True, False])
def test_answers_that_stay_away_stop_the_run_before_half_a_nights_money_is_in_doubt(
    tmp_path: Path, *, gets: bool
) -> None:
    """Each unclear POST may have been paid for: eight while nothing answers; a few more if only POSTs are not."""
    provider = FakeProvider()
    down(provider, 0.0, 1e9, gets=gets)
    batch = Batch(tmp_path, 200, provider=provider, limits=Limits(give_up_s=7200.0))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert life.why.startswith("outage: ")
    assert "503 maintenance" in life.why
    doubtful = Counter(batch.states())[State.UNCONFIRMED]
    assert doubtful == len(provider.posts) <= (UNSURE_MOST if gets else UNSURE_STOP)
    if gets:
        assert 7200.0 <= life.lasted_s < 7200.0 + 180.0
    else:
        assert life.lasted_s > 1800.0
    check(batch, life)


def test_two_unclear_answers_are_no_outage(tmp_path: Path) -> None:
    """A gateway that fails now and then holds nothing up, and nobody asks for the balance."""
    provider = FakeProvider(post=first("ok", "unsure", "ok", "unsure", "unsure", "ok"))
    provider.ask = always("page")
    batch = Batch(tmp_path, 12, provider=provider)
    batch.live()
    assert Counter(batch.states()) == {State.DONE: 9, State.UNCONFIRMED: 3}


def test_status_checks_that_only_a_gateway_answers_are_an_outage_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All is submitted, and every check meets a page: said, waited out, and given up in time for the next run."""
    provider = FakeProvider(run_s=120.0, spread=0.0)
    since = 60.0
    provider.get = lambda _: "page" if since <= asyncio.get_running_loop().time() < since + 1200.0 else "ok"
    batch = Batch(tmp_path, 12, provider=provider, limits=Limits(give_up_s=600.0))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert "503 maintenance" in life.why
    assert 660.0 <= life.lasted_s < 900.0
    assert Counter(batch.states()) == {State.GENERATING: 12}
    assert caplog.text.count("outage of fake.example: 503 maintenance") == 1
    batch.clock = 1300.0
    life = batch.live()
    assert batch.states() == [State.DONE] * 12
    check(batch, life)


def test_a_page_now_and_then_is_no_outage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Asked again at once, it is answered."""
    provider = FakeProvider(get=first("ok", "page", "ok", "ok", "page", "ok"), run_s=120.0)
    batch = Batch(tmp_path, 6, provider=provider)
    batch.live()
    assert batch.states() == [State.DONE] * 6
    assert "outage" not in caplog.text


# --- what no waiting corrects ---------------------------------------------------------------------------------


def test_a_certificate_that_is_not_trusted_is_no_outage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Said within seconds, tried for a minute, then exit 4: nobody waits two hours for a file to be set."""
    batch = Batch(tmp_path, 12, provider=FakeProvider(post=always("untrusted"), ask=always("untrusted")))
    life = batch.live()
    assert life.exit is Exit.STOPPED
    assert "certificate" in life.why
    assert 60.0 <= life.lasted_s < 75.0
    assert Counter(batch.states()) == {State.PENDING: 12}
    assert "certificate" in caplog.text
    check(batch, life)


def test_a_certificate_that_is_renewed_within_a_minute_costs_a_minute(tmp_path: Path) -> None:
    """It expired at midnight, and somebody was awake."""
    provider = FakeProvider()
    provider.ask = lambda: "untrusted" if 30 < asyncio.get_running_loop().time() < 70 else "ok"
    provider.post = lambda _: provider.ask()
    batch = Batch(tmp_path, 40, provider=provider, limits=Limits(rpm=60))
    life = batch.live()
    assert batch.states() == [State.DONE] * 40
    check(batch, life)


def test_an_outage_is_reported_once_a_quarter_of_an_hour(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A log of a night must be readable: first sign, 15, 30, 45 minutes, and its end; the display has it all along."""
    seen: list[str] = []

    async def peek(tools: RunContext) -> None:
        for at in (10.0, 1000.0):
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            seen.append(tools.outage)

    provider = FakeProvider(outages=[(30.0, 30.0 + 3300.0)], keeps_s=90_000.0, run_s=900.0)
    batch = Batch(tmp_path, 30, provider=provider)
    life = batch.live(beside=peek)
    lines = [record.getMessage() for record in caplog.records if "fake.example" in record.getMessage()]
    assert [line.startswith("outage of fake.example: connection refused") for line in lines] == [True] * 4 + [False]
    assert "answers again after 55 min" in lines[-1] or "answers again after 56 min" in lines[-1]
    assert seen == ["", lines[1]]
    assert life.tools.outage == ""
    check(batch, life)
