"""What came of a call reaches the pacer with its own grant, whatever the call was for."""

from __future__ import annotations

import asyncio

import pytest
from test_limiter import now, running

from batchgen.errors import AccountError, CallError, NowError, UnknownError
from batchgen.ratelimit.answers import TRIES, Answers, Turn
from batchgen.ratelimit.limiter import Call, Pacer

REFUSED = NowError("429", kind="rate", status=429, retry_after=90.0)


async def fails(answers: Answers, error: CallError) -> None:
    with pytest.raises(type(error)):
        async with answers.asking(Call.HISTORY) as turn:
            await turn()
            raise error


async def test_a_refused_call_slows_all_down_and_its_hint_is_obeyed() -> None:
    """Whoever asks is counted by the service; 90 s are 90 s for all."""
    async with running(Pacer(600, dice=lambda: 0.0)) as pacer:
        await fails(Answers(pacer), REFUSED)
        assert pacer.rate < 600
        began = now()
        await pacer.grant(Call.SUBMIT)
        assert now() - began >= 90.0


async def test_the_refusal_is_told_with_the_grant_of_the_call_that_met_it() -> None:
    """Of three pages the third was refused: what the first two let through says where the limit lies."""
    told: list[int] = []
    async with running(pacer := Pacer(600)):
        pacer.limited = lambda grant, _: told.append(grant)  # type: ignore[method-assign,assignment]
        with pytest.raises(NowError):
            async with Answers(pacer).asking(Call.HISTORY) as turn:
                grants = [await turn() for _ in range(3)]
                raise REFUSED
    assert told == grants[-1:]


async def test_what_never_left_is_an_outage() -> None:
    """All wait, and one goes to see."""
    async with running(Pacer(0)) as pacer:
        await fails(Answers(pacer), NowError("refused connection", kind="unreachable"))
        await asyncio.sleep(1.0)
        assert pacer.outage_s > 0


@pytest.mark.parametrize("end", ["an answer", "another page", "no history", "the account's trouble", "a refusal"])
async def test_any_answer_to_the_call_that_went_first_ends_an_outage_for_all(end: str) -> None:
    """Were the one who went to see to keep it to himself, all would wait for another minute."""
    errors = {
        "no history": UnknownError("502"),
        "the account's trouble": AccountError("403", reason="forbidden"),
        "a refusal": NowError("429", kind="rate", retry_after=0.0),
    }
    async with running(Pacer(0, dice=lambda: 0.0)) as pacer:
        answers = Answers(pacer)
        pacer.unreachable()
        if end in errors:
            await fails(answers, errors[end])
        else:
            async with answers.asking(Call.HISTORY) as turn:
                await turn()
                if end == "another page":
                    began = now()
                    await turn()
                    assert now() - began < 1.0
        assert pacer.outage_s == 0.0
        began = now()
        await pacer.grant(Call.SUBMIT)
        assert now() - began < 1.0


async def test_who_asks_nothing_ends_no_outage() -> None:
    """Only an answer does."""
    async with running(Pacer(0)) as pacer:
        pacer.unreachable()
        async with Answers(pacer).asking(Call.HISTORY):
            await asyncio.sleep(1.0)
        assert pacer.outage_s > 0


@pytest.mark.parametrize(("refusals", "gives"), [(0, True), (1, True), (TRIES - 1, True), (TRIES, False)])
async def test_a_reading_that_was_refused_is_begun_anew_after_the_pause(refusals: int, *, gives: bool) -> None:
    """One 429 among two hundred pages is no reason to leave a clip in doubt; nor is it asked for ever."""
    pages = 0
    left = refusals

    async def read(turn: Turn) -> str:
        nonlocal pages, left
        for page in range(3):
            await turn()
            pages += 1
            if page == 1 and left:
                left -= 1
                raise NowError("429", kind="rate", retry_after=30.0)
        return "whole"

    async with running(Pacer(0, dice=lambda: 0.0)) as pacer:
        if gives:
            assert await Answers(pacer).insisting(Call.HISTORY, read) == "whole"
        else:
            with pytest.raises(NowError):
                await Answers(pacer).insisting(Call.HISTORY, read)
        assert pages == 2 * refusals + 3 * gives
        assert now() >= 30.0 * (refusals - (not gives))


@pytest.mark.parametrize("error", [NowError("refused", kind="unreachable"), UnknownError("403")])
async def test_no_other_trouble_is_insisted_on(error: CallError) -> None:
    """An outage is waited out by those who have nothing else to do."""
    asked = 0

    async def read(turn: Turn) -> str:
        nonlocal asked
        await turn()
        asked += 1
        raise error

    async with running(Pacer(0)) as pacer:
        with pytest.raises(type(error)):
            await Answers(pacer).insisting(Call.HISTORY, read)
    assert asked == 1


# --- nothing but refusals ------------------------------------------------------------------------------------


async def refused(answers: Answers, *at: float) -> None:
    """Refuse calls at these moments."""
    for moment in at:
        await asyncio.sleep(moment - now())
        answers.trouble(NowError("429", kind="rate"), 0)


async def test_how_long_every_call_was_refused_is_known() -> None:
    """From the first one to the latest one: what was not asked was not refused."""
    answers = Answers(Pacer(0))
    assert answers.refused_s == 0.0
    await refused(answers, 100.0)
    await asyncio.sleep(10_000.0)
    assert answers.refused_s == 0.0
    await refused(answers, 20_000.0, 20_500.0)
    assert answers.refused_s == pytest.approx(20_400.0, abs=1.0)


async def test_one_call_that_is_answered_starts_the_count_anew() -> None:
    """The API lets something through, and the rate will find out how much."""
    answers = Answers(Pacer(0))
    await refused(answers, 0.0, 5_000.0)
    answers.came()
    assert answers.refused_s == 0.0
    await refused(answers, 6_000.0, 7_000.0)
    assert answers.refused_s == pytest.approx(1_000.0, abs=1.0)


@pytest.mark.parametrize("error", [NowError("503", kind="server"), NowError("refused", kind="unreachable")])
async def test_trouble_of_another_kind_is_no_answer(error: NowError) -> None:
    """A gateway that fails now and then must not keep a run alive that nobody ever answers."""
    answers = Answers(Pacer(0))
    answers.trouble(error, 0)
    await refused(answers, 1_000.0)
    answers.trouble(error, 0)
    await refused(answers, 3_000.0)
    assert answers.refused_s == pytest.approx(2_000.0, abs=1.0)
