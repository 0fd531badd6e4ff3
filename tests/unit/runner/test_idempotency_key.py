"""The key of a paid request: made of what its intent put on disk, so that every attempt of it has the same."""

from __future__ import annotations

import uuid
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, State
from batchgen.events import AnswerLost, Released, SubmitStarted
from batchgen.runner.submit import key_of
from batchgen.states import advance
from batchgen.testing import wanted


def started(n: int, at: float) -> Clip:
    return advance(Clip(1, wanted(n)), SubmitStarted(at))


def test_an_intent_read_back_from_the_ledger_has_the_same_key() -> None:
    """A run that was killed must not send its intent under another name."""
    clip = started(0, 1_795_000_000.123456)
    assert uuid.UUID(key_of(clip)).version == 5
    assert key_of(replace(clip, state=State.UNCONFIRMED)) == key_of(started(0, 1_795_000_000.123456))


@given(st.integers(0, 3), st.integers(0, 3), st.floats(1e9, 2e9), st.floats(1e9, 2e9))
def test_another_clip_and_another_intent_have_another_key(one: int, other: int, at: float, then: float) -> None:
    """A key that is shared would make a service answer with another clip's video."""
    assert (key_of(started(one, at)) == key_of(started(other, then))) == ((one, at) == (other, then))


def test_the_next_request_of_a_clip_has_another_key() -> None:
    """What the user asks for again is another request, even in the same second."""
    clip = started(0, 1e9)
    again = advance(advance(advance(clip, AnswerLost("x")), Released("x")), SubmitStarted(1e9))
    assert key_of(again) != key_of(clip)
