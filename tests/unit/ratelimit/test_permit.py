"""What came of a call reaches the pacer with its own permit, whatever the call was for."""

from __future__ import annotations

import asyncio

import pytest
from test_limiter import limited, now, reached, running, stray, unreachable

from batchgen.errors import (
    AccountError,
    AccountProblem,
    CallError,
    ClipError,
    RateLimited,
    ServerError,
    TryAgain,
    UnknownError,
    Unreachable,
)
from batchgen.providers.base import HistoryPage
from batchgen.providers.paced import PacedProvider, read_whole, whole_history
from batchgen.ratelimit.adaptive_rate import CallRecord
from batchgen.ratelimit.base import TRIES, Call, insist
from batchgen.ratelimit.limiter import LocalPacer
from batchgen.testing import FakeProvider, first

REFUSED = RateLimited("429", status=429, retry_after=90.0)


async def fails(pacer: LocalPacer, error: BaseException) -> None:
    with pytest.raises(type(error)):
        async with await pacer.acquire(Call.HISTORY):
            raise error


async def test_a_refused_call_slows_all_down_and_its_hint_is_obeyed() -> None:
    """Whoever asks is counted by the service; 90 s are 90 s for all."""
    async with running(LocalPacer(600, dice=lambda: 0.0)) as pacer:
        await fails(pacer, REFUSED)
        assert pacer.snapshot().rpm < 600
        began = now()
        await pacer.acquire(Call.SUBMIT)
        assert now() - began >= 90.0


class Pages:
    """A history of some pages, of which some are refused."""

    def __init__(self, pages: int, refused: set[int]) -> None:
        self.left = pages
        self.refused = refused
        self.calls = 0

    @property
    def ended(self) -> bool:
        return self.left == 0

    async def read(self) -> None:
        self.calls += 1
        if self.calls in self.refused:
            raise REFUSED
        self.left -= 1

    def page(self) -> HistoryPage:
        return HistoryPage()


class Paged(FakeProvider):
    """Whose history comes in pages."""

    reader: Pages

    def history(self, model: str, since: float, until: float) -> Pages:
        return self.reader


async def test_the_refusal_is_reported_with_the_permit_of_the_call_that_met_it() -> None:
    """Of three pages the third was refused: what the first two let through says where the limit lies."""
    provider = Paged()
    provider.reader = Pages(3, {3})
    numbers: list[int] = []
    async with running(pacer := LocalPacer(600)):
        report = pacer.report

        def listed(record: CallRecord, error: BaseException | None) -> None:
            numbers.extend([record.number] if error else [])
            report(record, error)

        pacer.report = listed  # type: ignore[method-assign]
        with pytest.raises(TryAgain):
            await read_whole(PacedProvider(provider, pacer).history("m", 0.0, 1.0))
    assert numbers == [3]


async def test_what_never_left_is_an_outage() -> None:
    """All wait, and one goes to see."""
    async with running(LocalPacer(0)) as pacer:
        await fails(pacer, Unreachable("refused connection"))
        await asyncio.sleep(1.0)
        assert pacer.snapshot().outage_s > 0


@pytest.mark.parametrize(
    "error",
    [None, UnknownError("502"), AccountError("403", AccountProblem.FORBIDDEN), RateLimited("429", retry_after=0.0)],
)
async def test_any_answer_to_the_call_that_went_first_ends_an_outage_for_all(error: CallError | None) -> None:
    """Were the one who went to see to keep it to himself, all would wait for another minute."""
    async with running(LocalPacer(0, dice=lambda: 0.0)) as pacer:
        unreachable(pacer)
        if error is None:
            async with await pacer.acquire(Call.HISTORY):
                pass
        else:
            await fails(pacer, error)
        assert pacer.snapshot().outage_s == 0.0
        began = now()
        await pacer.acquire(Call.SUBMIT)
        assert now() - began < 1.0


async def test_an_answer_whose_body_takes_its_time_is_reported_early() -> None:
    """A video may stream for minutes, and nobody else waits for its end."""
    async with running(LocalPacer(0, dice=lambda: 0.0)) as pacer:
        unreachable(pacer)
        async with await pacer.acquire(Call.COLLECT) as permit:
            assert pacer.snapshot().outage_s > 0
            permit.answered()
            assert pacer.snapshot().outage_s == 0.0


async def test_a_permit_that_is_given_back_lets_another_call_go_first() -> None:
    """A gate closed meanwhile: without a call, a minute would pass before anybody else may go to see."""
    async with running(LocalPacer(0, dice=lambda: 0.0)) as pacer:
        unreachable(pacer)
        permit = await pacer.acquire(Call.SUBMIT)
        began = now()
        permit.unused()
        await pacer.acquire(Call.HISTORY)
        assert now() - began < 1.0


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ValueError("a fault of ours")])
async def test_what_says_nothing_of_the_service_ends_no_outage(error: BaseException) -> None:
    """Only an answer does; nor does a permit that nobody used."""
    async with running(LocalPacer(0)) as pacer:
        unreachable(pacer)
        await fails(pacer, error)
        await pacer.acquire(Call.HISTORY)
        assert pacer.snapshot().outage_s > 0


@pytest.mark.parametrize(("refusals", "gives"), [(0, True), (1, True), (TRIES - 1, True), (TRIES, False)])
async def test_a_reading_that_was_refused_is_begun_again_after_the_pause(refusals: int, *, gives: bool) -> None:
    """One 429 among two hundred pages is no reason to leave a clip in doubt; nor is it asked again without end."""
    begun: list[Pages] = []
    left = refusals

    class Refusing(FakeProvider):
        def history(self, model: str, since: float, until: float) -> Pages:
            nonlocal left
            begun.append(Pages(3, {2} if left else set()))
            left -= bool(left)
            return begun[-1]

    async with running(LocalPacer(0, dice=lambda: 0.0)) as pacer:
        if gives:
            await whole_history(PacedProvider(Refusing(), pacer), "m", 0.0, 1.0)
        else:
            with pytest.raises(RateLimited):
                await whole_history(PacedProvider(Refusing(), pacer), "m", 0.0, 1.0)
        assert sum(each.calls for each in begun) == 2 * refusals + 3 * gives
        assert now() >= 90.0 * (refusals - (not gives))


@pytest.mark.parametrize("error", [Unreachable("refused"), UnknownError("403")])
async def test_no_other_trouble_is_insisted_on(error: CallError) -> None:
    """An outage is waited out by those who have nothing else to do."""
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        raise error

    with pytest.raises(type(error)):
        await insist(ask)
    assert asked == 1


async def test_every_call_of_a_paced_provider_waits_out_a_pause_but_those_that_bring_their_own_permit() -> None:
    """One pause for all, whatever they ask."""
    provider = FakeProvider(uploads=first("ok"))
    async with running(LocalPacer(0, dice=lambda: 0.0)) as pacer:
        paced = PacedProvider(provider, pacer)
        await paced.submit("m", {}, "key")
        await paced.status("r1")
        assert now() < 10.0
        for call in (lambda: paced.result("r1"), lambda: paced.lookup("r1"), paced.balance):
            limited(stray(pacer), 30.0)
            began = now()
            await call()
            assert now() - began >= 30.0
    assert provider.keys == ["key"]


# --- nothing but refusals ------------------------------------------------------------------------------------


async def refused(pacer: LocalPacer, *at: float) -> None:
    """Refuse calls at these moments."""
    for moment in at:
        await asyncio.sleep(moment - now())
        limited(stray(pacer), None)


async def test_how_long_every_call_was_refused_is_known() -> None:
    """From the first one to the latest one: what was not asked was not refused."""
    pacer = LocalPacer(0)
    assert pacer.snapshot().refused_s == 0.0
    await refused(pacer, 100.0)
    await asyncio.sleep(10_000.0)
    assert pacer.snapshot().refused_s == 0.0
    await refused(pacer, 20_000.0, 20_500.0)
    assert pacer.snapshot().refused_s == pytest.approx(20_400.0, abs=1.0)


@pytest.mark.parametrize("error", [None, ClipError("422")])
async def test_one_call_that_is_answered_starts_the_count_again(error: CallError | None) -> None:
    """The API lets something through, and the rate will find out how much."""
    pacer = LocalPacer(0)
    await refused(pacer, 0.0, 5_000.0)
    pacer.report(stray(pacer).record, error)
    assert pacer.snapshot().refused_s == 0.0
    await refused(pacer, 6_000.0, 7_000.0)
    assert pacer.snapshot().refused_s == pytest.approx(1_000.0, abs=1.0)


@pytest.mark.parametrize("error", [ServerError("503"), Unreachable("refused")])
async def test_trouble_of_another_kind_is_no_answer(error: TryAgain) -> None:
    """A gateway that fails now and then must not keep a run alive that nobody ever answers."""
    pacer = LocalPacer(0)
    pacer.report(stray(pacer).record, error)
    await refused(pacer, 1_000.0)
    pacer.report(stray(pacer).record, error)
    await refused(pacer, 3_000.0)
    assert pacer.snapshot().refused_s == pytest.approx(2_000.0, abs=1.0)
    reached(pacer)
    assert pacer.snapshot().refused_s == 0.0
