"""How long what was paid for can be had, what a later run could still save, and the warning before a loss."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import State
from batchgen.retention import CALLS, FILE_S, LATER, RECORD_S, SOON_S, Paid, Way, alarm, outlook, too_late, way

T0 = 1_790_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


@pytest.mark.parametrize(
    ("paid", "after", "by"),
    [
        (Paid(State.GENERATING, T0), 0.0, Way.RECORD),
        (Paid(State.GENERATING, T0), HOUR - 1, Way.RECORD),
        (Paid(State.GENERATING, T0), HOUR, Way.HISTORY),
        (Paid(State.GENERATING, T0), 7 * DAY - 1, Way.HISTORY),
        (Paid(State.GENERATING, T0), 7 * DAY, Way.GONE),
        (Paid(State.DOWNLOADING, T0, T0 + 600), HOUR, Way.LINK),
        (Paid(State.DOWNLOADING, T0, T0 + 600), 7 * DAY + 599, Way.LINK),
        (Paid(State.DOWNLOADING, T0, T0 + 600), 7 * DAY + 600, Way.GONE),
        (Paid(State.LOST, T0, T0 + 600), DAY, Way.DOUBT),
        (Paid(State.UNCONFIRMED, T0), 0.0, Way.DOUBT),
        (Paid(State.SUBMITTING, T0), 0.0, Way.DOUBT),
        (Paid(State.UNCONFIRMED, T0), 8 * DAY, Way.GONE),
    ],
)
def test_a_record_lives_an_hour_after_submission_and_a_file_seven_days_after_completion(
    paid: Paid, after: float, by: Way
) -> None:
    """What comes after the record is the history, and after the file nothing."""
    assert way(paid, T0 + after) is by


def test_the_outlook_says_what_a_run_now_after_an_hour_a_day_and_eight_days_could_save() -> None:
    """Whoever comes back late is told beforehand."""
    paid = [Paid(State.GENERATING, T0), Paid(State.DOWNLOADING, T0 - DAY, T0 - DAY), Paid(State.LOST, T0 - 6.5 * DAY)]
    told = [{way: n for way, n in each.ways.items() if n} for each in outlook(paid, T0)]
    assert [each.after_s for each in outlook(paid, T0)] == [0.0, HOUR, DAY, 8 * DAY] == list(LATER)
    assert told == [
        {Way.RECORD: 1, Way.LINK: 1, Way.DOUBT: 1},
        {Way.HISTORY: 1, Way.LINK: 1, Way.DOUBT: 1},
        {Way.HISTORY: 1, Way.LINK: 1, Way.GONE: 1},
        {Way.GONE: 3},
    ]


@given(
    st.lists(
        st.builds(
            Paid,
            st.sampled_from([State.GENERATING, State.DOWNLOADING, State.LOST, State.UNCONFIRMED]),
            st.floats(T0 - FILE_S, T0),
            st.none() | st.floats(T0 - FILE_S, T0),
        )
    )
)
def test_no_clip_is_left_out_and_what_is_gone_stays_gone(paid: list[Paid]) -> None:
    """Every one is counted once at each time; waiting never saves more."""
    told = outlook(paid, T0)
    assert all(sum(each.ways.values()) == len(paid) for each in told)
    gone = [each.ways[Way.GONE] for each in told]
    assert gone == sorted(gone)
    records = [each.ways[Way.RECORD] for each in told]
    assert records == sorted(records, reverse=True)


def test_what_can_not_be_collected_in_time_is_counted() -> None:
    """Ten records with a minute left, and a look and a result for each at ten calls a minute: five are in time."""
    submitted = [T0 - RECORD_S + 60.0] * 10
    assert too_late(submitted, T0, 10 / 60) == 5
    assert too_late(submitted, T0, 20 / 60) == 0
    assert too_late(submitted, T0, math.inf) == 0
    assert too_late([T0 - 2 * RECORD_S], T0, 10 / 60) == 0  # the record is gone already


@given(st.lists(st.integers(1, 60), max_size=5), st.integers(1, 30))
def test_no_other_order_collects_more_in_time(left: list[int], rate: int) -> None:
    """The order of the ends is the best one: the count is what no order can mend."""
    each = CALLS / (rate / 60)
    submitted = [T0 - RECORD_S + seconds for seconds in left]

    def saved(order: tuple[int, ...]) -> int:
        turn = found = 0.0
        for seconds in order:
            if turn + each <= seconds:
                turn, found = turn + each, found + 1
        return int(found)

    best = max(saved(order) for order in permutations(left))
    assert len(left) - too_late(submitted, T0, rate / 60) == best


def test_an_alarm_is_given_before_a_loss_and_not_without_one() -> None:
    """Ten minutes before the first end, or as soon as the pace does not suffice."""
    assert alarm([T0], T0, 1.0) is None
    assert alarm([], T0, 1.0) is None
    assert alarm([T0 - 2 * RECORD_S], T0, 1.0) is None
    near = alarm([T0 - RECORD_S + SOON_S, T0], T0, 1.0)
    assert near
    assert (near.soon, near.late, near.first_end) == (1, 0, T0 + SOON_S)
    many = alarm([T0] * 200, T0, 6 / 60)
    assert many
    assert (many.soon, many.late) == (0, 20)
