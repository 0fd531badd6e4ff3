"""A clip's life: the table is total, and nothing but its arrows changes a state."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, State, Wanted
from batchgen.errors import IllegalEventError
from batchgen.events import (
    EVENTS,
    AnswerLost,
    Blocked,
    Downloaded,
    Event,
    Failed,
    FailedForNow,
    FileMissing,
    Forgotten,
    Generated,
    Lost,
    Moved,
    Released,
    Reopened,
    Retried,
    SubmitDeferred,
    SubmitStarted,
    Submitted,
)
from batchgen.states import NEXT, advance

SAMPLES: dict[type[Event], Event] = {
    SubmitStarted: SubmitStarted(at=10.0, reserved=1_250_000),
    Submitted: Submitted("r1", at=10.0),
    SubmitDeferred: SubmitDeferred("429"),
    AnswerLost: AnswerLost("reset"),
    Failed: Failed("422"),
    Blocked: Blocked("policy"),
    FailedForNow: FailedForNow("worker died"),
    Generated: Generated("https://files.example/r1.mp4", at=70.0, cost=625_000, queue_s=1.0, run_s=59.0),
    Lost: Lost("gone"),
    Downloaded: Downloaded("shot.mp4", 3, "ab"),
    Released: Released("the user's word"),
    Forgotten: Forgotten("the user's word"),
    Retried: Retried(),
    Reopened: Reopened("the history shows a charge"),
    FileMissing: FileMissing("deleted"),
    Moved: Moved("replaced/shot.mp4", "shot.mp4"),
}
NEW = Clip(7, Wanted("k1", "shot", 1, "wan-2.5-t2v", json.dumps({"seed": 1}), "shot_1"))


def reach(state: State) -> Clip:
    """The shortest legal life that ends in a state."""
    lives = deque([NEW])
    while lives:
        clip = lives.popleft()
        if clip.state is state:
            return clip
        lives.extend(
            advance(clip, SAMPLES[event])
            for event in NEXT[clip.state]
            if (event is not Generated or clip.state is not State.DOWNLOADING) and event is not Reopened
        )
    raise AssertionError(state)


def life(*events: Event) -> Clip:
    clip = NEW
    for event in events:
        clip = advance(clip, event)
    return clip


PAIRS = [(state, event) for state in State for event in EVENTS]


def test_there_is_a_sample_of_every_event() -> None:
    """Else a new event would go untested."""
    assert set(SAMPLES) == set(EVENTS)


def test_the_table_names_every_state_and_leads_only_to_states() -> None:
    """A state without a row would be a KeyError at night."""
    assert set(NEXT) == set(State)
    assert all(isinstance(after, State) for row in NEXT.values() for after in row.values())


def test_every_state_can_be_reached_and_left() -> None:
    """A state that nothing leads to, or out of, is a mistake in the table."""
    for state in State:
        assert reach(state).state is state
        assert NEXT[state]


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_pair_gives_the_tables_state_or_an_error_that_names_all(state: State, event: type[Event]) -> None:
    """No event is ever applied by luck."""
    clip = reach(state)
    if event is Reopened and state in (State.PENDING, State.FAILED, State.BLOCKED):  # only of a request with an id
        ends = {State.PENDING: FailedForNow, State.FAILED: Failed, State.BLOCKED: Blocked}
        clip = life(SAMPLES[SubmitStarted], SAMPLES[Submitted], SAMPLES[ends[state]])
    before = replace(clip)
    expected = NEXT[state].get(event)
    if expected is not None:
        assert advance(clip, SAMPLES[event]).state is expected
    else:
        with pytest.raises(IllegalEventError) as caught:
            advance(clip, SAMPLES[event])
        for part in (clip.wanted.name, clip.key, str(state), event.__name__):
            assert part in str(caught.value)
    assert clip == before


@pytest.mark.parametrize("kind", [Failed, Blocked])
@pytest.mark.parametrize(
    ("cost", "unproven", "outcome", "reserved", "live"),
    [
        (None, False, "failed", 0, False),
        (0, False, "failed", 0, False),
        (None, True, "unproven", 1_250_000, True),
        (0, True, "failed", 0, False),
        (5, False, "billed", 0, True),
        (5, True, "billed", 0, True),
    ],
)
def test_what_a_failure_cost_decides_what_stays_reserved(
    kind: type[Failed | Blocked], cost: int | None, unproven: bool, outcome: str, reserved: int, live: bool
) -> None:
    """Free is what nobody charges; what nobody knows stays reserved, and what is charged is booked."""
    clip = life(SAMPLES[SubmitStarted], SAMPLES[Submitted], kind("worker died", cost=cost, unproven=unproven))
    assert clip.request
    assert (clip.request.cost, clip.request.outcome, clip.request.reserved) == (cost, outcome, reserved)
    assert (not clip.request.free, clip.in_doubt) == (live, outcome == "unproven")


def test_a_request_that_is_asked_for_again_is_reserved_again() -> None:
    """It may be charged after all: with what was likely, since what was reserved is gone; a charge stays booked."""
    start = SubmitStarted(at=10.0, reserved=1_250_000, estimate=7)
    for end, cost, reserved in ((Failed("x", cost=0), None, 7), (Failed("x", cost=5), 5, 0)):
        clip = life(start, SAMPLES[Submitted], end, SAMPLES[Reopened])
        assert clip.request
        assert (clip.state, clip.request_id) == (State.GENERATING, "r1")
        assert (clip.request.outcome, clip.request.cost, clip.request.reserved) == ("open", cost, reserved)


def test_an_answered_error_is_no_paid_attempt_until_it_is_found() -> None:
    """Six refusals are no six attempts; one that was accepted all the same is one."""
    clip = life(SAMPLES[SubmitStarted], AnswerLost("500", error=True, counts=True))
    assert (clip.attempts, clip.refusals, clip.state) == (0, 1, State.UNCONFIRMED)
    assert clip.request
    assert (clip.request.outcome, clip.request.reserved) == ("error", 1_250_000)
    assert advance(clip, SAMPLES[Submitted]).attempts == 1
    assert advance(clip, Released("absent", absent=True)).refusals == 1


@pytest.mark.parametrize(
    "events",
    [
        (AnswerLost("500", error=True), Released("the user's word")),
        (AnswerLost("500", error=True), Forgotten("the user's word"), Retried()),
        (AnswerLost("500", error=True), Submitted("r1", 10.0), Failed("worker", unproven=True), Retried()),
        (Submitted("r1", 10.0), Failed("worker", cost=5), Retried()),
    ],
)
def test_the_next_request_never_takes_the_number_of_one_that_may_be_charged(events: tuple[Event, ...]) -> None:
    """The ledger keeps one row for each number: its reservation, or its cost, would be gone."""
    clip = life(SAMPLES[SubmitStarted], *events, SAMPLES[SubmitStarted])
    assert clip.request
    assert clip.request.n == 2


def test_only_pending_may_be_submitted() -> None:
    """The one arrow that costs money starts in one place."""
    assert [state for state in State if SubmitStarted in NEXT[state]] == [State.PENDING]


def test_doubt_and_loss_go_back_to_pending_by_the_users_word_only() -> None:
    """An unconfirmed or lost clip may have been paid for."""
    for state in (State.UNCONFIRMED, State.LOST):
        assert [event for event, after in NEXT[state].items() if after is State.PENDING] == [Released]


def test_a_done_clip_is_never_submitted_again() -> None:
    """It can only be fetched again, or its file be moved."""
    assert NEXT[State.DONE] == {FileMissing: State.DOWNLOADING, Moved: State.DONE}


def test_the_intent_holds_the_price_and_an_answer_frees_it_when_it_was_free() -> None:
    """What was refused costs nothing, so it must not fill the budget."""
    clip = life(SAMPLES[SubmitStarted])
    assert clip.request
    assert clip.request.reserved == 1_250_000
    for event in (SAMPLES[SubmitDeferred], SAMPLES[Failed], SAMPLES[Blocked]):
        request = advance(clip, event).request
        assert request
        assert request.reserved == 0


def test_doubt_keeps_the_reservation() -> None:
    """It may be charged yet."""
    for last in (SAMPLES[AnswerLost], SAMPLES[Submitted]):
        request = life(SAMPLES[SubmitStarted], last).request
        assert request
        assert request.reserved == 1_250_000


def test_an_unknown_cost_keeps_the_reservation_and_a_known_one_replaces_it() -> None:
    """An unknown price is unknown, never 0."""
    start = life(SAMPLES[SubmitStarted], SAMPLES[Submitted])
    unknown = advance(start, Generated("u", 70.0)).request
    known = advance(start, Generated("u", 70.0, cost=5)).request
    assert unknown
    assert known
    assert (unknown.cost, unknown.reserved) == (None, 1_250_000)
    assert (known.cost, known.reserved) == (5, 0)


def test_a_renewed_link_keeps_what_was_known() -> None:
    """The history may not tell the cost again."""
    clip = life(SAMPLES[SubmitStarted], SAMPLES[Submitted], SAMPLES[Generated])
    request = advance(clip, Generated("https://files.example/new", at=99.0)).request
    assert request
    assert (request.url, request.cost, request.completed_at) == ("https://files.example/new", 625_000, 70.0)
    assert (request.queue_s, request.run_s, request.reserved) == (1.0, 59.0, 0)


@pytest.mark.parametrize("kind", [Generated, Failed, Blocked, FailedForNow, Lost])
def test_the_end_of_a_wait_tells_its_looks(kind: type[Event]) -> None:
    """However it ends."""
    start = life(SAMPLES[SubmitStarted], SAMPLES[Submitted])
    assert start.request
    assert start.request.poll_count is None
    ended = advance(start, replace(SAMPLES[kind], poll_count=3))  # type: ignore[arg-type]
    assert ended.request
    assert ended.request.poll_count == 3


@pytest.mark.parametrize("later", [Generated, Lost])
def test_what_comes_after_the_end_of_a_wait_takes_no_looks_away(later: type[Event]) -> None:
    """A renewed link, or a file that can't be fetched."""
    made = replace(SAMPLES[Generated], poll_count=3)  # type: ignore[arg-type]
    request = advance(life(SAMPLES[SubmitStarted], SAMPLES[Submitted], made), SAMPLES[later]).request
    assert request
    assert request.poll_count == 3


def test_only_accepted_or_doubtful_requests_are_attempts() -> None:
    """429s and refused connections don't use up a clip's tries."""
    clip = life(SAMPLES[SubmitStarted], SAMPLES[SubmitDeferred], SAMPLES[SubmitStarted], SAMPLES[SubmitDeferred])
    assert (clip.attempts, clip.refusals) == (0, 0)
    assert life(SAMPLES[SubmitStarted], SAMPLES[AnswerLost]).attempts == 1
    assert life(SAMPLES[SubmitStarted], SAMPLES[Submitted]).attempts == 1


def test_a_second_request_has_a_number_of_its_own() -> None:
    """The first one stays in the bill."""
    clip = life(SAMPLES[SubmitStarted], SAMPLES[Submitted], SAMPLES[FailedForNow], SAMPLES[SubmitStarted])
    assert clip.request
    assert (clip.request.n, clip.request.request_id, clip.failures) == (2, None, 1)


def test_500s_in_a_row_are_counted_until_one_is_accepted_or_the_user_asks_again() -> None:
    """Six tries of one submission, not of a whole life."""
    clip = life(SAMPLES[SubmitStarted], SubmitDeferred("500", counts=True), SAMPLES[SubmitStarted])
    assert clip.refusals == 1
    assert advance(clip, SAMPLES[Submitted]).refusals == 0
    failed = advance(clip, SAMPLES[Failed])
    assert advance(failed, Retried()).refusals == 0


def test_release_frees_money_only_when_the_history_proved_the_absence() -> None:
    """A lost request that was resubmitted stays in the bill."""
    clip = life(SAMPLES[SubmitStarted], SAMPLES[AnswerLost])
    kept, freed = advance(clip, Released("word")).request, advance(clip, Released("absent", absent=True)).request
    assert kept
    assert freed
    assert (kept.reserved, kept.outcome) == (1_250_000, "unsure")
    assert (freed.reserved, freed.outcome) == (0, "absent")


def test_a_forgotten_clip_keeps_its_reservation() -> None:
    """The user gives the clip up, but the provider may have charged for it."""
    request = advance(life(SAMPLES[SubmitStarted], SAMPLES[AnswerLost]), SAMPLES[Forgotten]).request
    assert request
    assert (request.reserved, request.outcome) == (1_250_000, "forgotten")


def test_a_missing_file_forgets_the_file_and_nothing_else() -> None:
    """The link and the bill are needed to fetch it again."""
    done = reach(State.DONE)
    clip = advance(done, FileMissing("deleted"))
    assert (clip.file, clip.bytes, clip.sha256) == (None, None, None)
    assert clip.request == done.request


@given(st.lists(st.sampled_from(list(SAMPLES.values())), max_size=40))
def test_any_life_keeps_the_money_straight(events: list[Event]) -> None:
    """Whatever comes in whatever order, a request is reserved or charged, never both."""
    clip = NEW
    for event in events:
        try:
            clip = advance(clip, event)
        except IllegalEventError:
            continue
        request = clip.request
        if request is not None:
            assert request.reserved == 0 or request.cost is None
            assert request.n in (clip.attempts, clip.attempts + 1)
        assert clip.state is not State.DONE or clip.file
        assert clip.state is not State.GENERATING or (request and request.request_id)
