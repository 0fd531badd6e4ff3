"""Who is next: by age and urgency, and no crowd of polls holds a submission back."""

from __future__ import annotations

from batchgen.ratelimit.base import Call
from batchgen.ratelimit.limiter import FairQueue


def order(line: FairQueue) -> list[Call]:
    """Empty the line."""
    return [waiting.call for waiting in iter(line.next, None)]


async def test_what_is_about_to_expire_goes_first_and_the_history_last() -> None:
    """A link that is lost was paid for; a submission that waits costs nothing."""
    line = FairQueue()
    for call in reversed(Call):
        line.join(call, 100.0)
    assert order(line) == [Call.COLLECT, Call.HURRY, Call.SUBMIT, Call.POLL, Call.HISTORY]


async def test_who_waits_long_enough_is_served_whatever_it_is_for() -> None:
    """No class starves."""
    line = FairQueue()
    line.join(Call.HISTORY, 0.0)
    for at in range(40, 80, 10):
        line.join(Call.COLLECT, float(at))
    assert order(line) == [Call.COLLECT, Call.COLLECT, Call.HISTORY, Call.COLLECT, Call.COLLECT]


async def test_every_other_turn_is_a_submission_s_while_older_looks_wait() -> None:
    """A crowd that ends together is taken in bit by bit."""
    line = FairQueue()
    for at in range(4):
        line.join(Call.POLL, float(at))
        line.join(Call.SUBMIT, 100.0 + at)
    assert order(line) == [Call.SUBMIT, Call.POLL] * 4


async def test_a_submission_s_turn_does_not_pass_what_is_about_to_expire() -> None:
    """Nor a poll that hurries."""
    line = FairQueue()
    line.join(Call.SUBMIT, 100.0)
    line.join(Call.POLL, 90.0)
    line.join(Call.HURRY, 50.0)
    line.join(Call.COLLECT, 60.0)
    assert order(line) == [Call.HURRY, Call.COLLECT, Call.SUBMIT, Call.POLL]


async def test_who_has_gone_is_passed_over_and_who_is_taken_out_is_gone() -> None:
    """Stopped submissions, cancelled polls."""
    line = FairQueue()
    line.join(Call.POLL, 0.0).cancel()
    line.join(Call.SUBMIT, 0.0)
    line.join(Call.SUBMIT, 1.0).cancel()
    line.join(Call.COLLECT, 2.0)
    assert [waiting.call for waiting in line.take({Call.SUBMIT, Call.POLL})] == [Call.SUBMIT]
    assert len(line) == 1
    assert order(line) == [Call.COLLECT]
    assert not line
