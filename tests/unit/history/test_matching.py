"""Which row is whose: a wrong match would lose a paid clip, so every doubt about a doubt counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from doubt_samples import T0, doubt, row
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip
from batchgen.history.matching import CLOCK_SKEW_S, LATEST_S, agrees
from batchgen.history.matching import match as matched
from batchgen.providers.base import Completed, HistoryRow, Refused, Running
from batchgen.testing import wanted


def match(clips: list[Clip], rows: list[HistoryRow], taken: list[str]) -> dict[int, HistoryRow]:
    return matched(clips, rows, taken).found


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        ({"seed": 5}, {"seed": 5}, True),
        ({"seed": 5}, {"seed": "5"}, True),
        ({"seed": 5}, {"seed": 5.0}, True),
        ({"seed": 5}, {"seed": 6}, False),
        ({"seed": 5}, {}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"on": True}, {"on": "true"}, True),
        ({"on": True}, {"on": True}, True),
        ({"on": True}, {"on": False}, False),
        ({"prompt": "x"}, {"prompt": "x", "prompt_extend": True, "seed": 9}, True),
        ({"prompt": "x"}, {"prompt": " x\r\n"}, True),
        ({"prompt": "a\nb"}, {"prompt": "a\r\nb"}, True),
        ({"prompt": "x"}, {"prompt": "X"}, False),
        ({"negative_prompt": ""}, {}, True),
        ({"negative_prompt": ""}, {"negative_prompt": None}, True),
        ({"negative_prompt": ""}, {"negative_prompt": "blur"}, False),
        ({"audio": None}, {}, True),
        ({"list": [1, 2]}, {"list": [1, 2]}, True),
        ({"on": True}, {"on": "True"}, True),
        ({"strength": 5.0}, {"strength": "5.00"}, True),
        ({"strength": 0.5}, {"strength": "0.5"}, True),
        ({"strength": 0.5}, {"strength": 5}, False),
        ({"size": "1280*720"}, {"size": "1280x720"}, True),
        ({"size": "1280*720"}, {"size": "720*1280"}, False),
    ],
)
def test_a_row_shows_what_was_sent(sent: Mapping[str, Any], shown: Mapping[str, Any], same: bool) -> None:
    """Other types, key orders and added defaults are the service's habit; another value is another clip."""
    assert agrees(sent, shown) is same


def test_each_finds_its_own() -> None:
    """Seeds tell takes apart."""
    clips = [doubt(n) for n in range(5)]
    rows = [row(clip, f"r{clip.row}") for clip in reversed(clips)]
    found = match(clips, rows, [])
    assert {n: found[n].request_id for n in found} == {n: f"r{n}" for n in range(1, 6)}


def test_a_failed_request_does_not_hide_the_film_that_was_made_after_it() -> None:
    """A new ledger knows neither; there is one film to collect, and it is the very one that is wanted."""
    clip = doubt(0)
    failed = replace(row(clip, "r1"), outcome=Refused("internal error"))
    for outcome in (Completed("https://host/r2.mp4", 100), Running("PROCESSING")):
        film = replace(row(clip, "r2"), outcome=outcome)
        assert match([clip], [failed, film], [])[clip.row] is film
    assert match([clip], [failed, replace(failed, request_id="r3")], []) == {}
    assert match([clip], [film, replace(film, request_id="r4")], []) == {}


def test_a_row_of_another_clip_is_never_taken() -> None:
    """It was paid for by that one."""
    assert match([doubt(0)], [row(doubt(0), "r1")], ["r1"]) == {}


def test_a_row_without_parameters_matches_nothing() -> None:
    """Nothing may be guessed."""
    blind = replace(row(doubt(0)), params=None)
    assert match([doubt(0)], [blind], []) == {}


def test_a_row_of_another_model_matches_nothing() -> None:
    """The same prompt may go to two models."""
    assert match([doubt(0)], [replace(row(doubt(0)), model="other")], []) == {}


@pytest.mark.parametrize(
    ("offset", "fits"),
    [(0.0, True), (-CLOCK_SKEW_S, True), (-CLOCK_SKEW_S - 1, False), (LATEST_S, True), (LATEST_S + 1, False)],
)
def test_a_row_must_be_of_the_time(offset: float, fits: bool) -> None:
    """Last month's run of the same prompt is another request."""
    assert bool(match([doubt(0)], [row(doubt(0), at=T0 + offset)], [])) is fits


def test_a_row_without_a_date_is_judged_by_what_was_sent() -> None:
    """Some rows have none."""
    assert match([doubt(0)], [row(doubt(0), at=None)], [])


def test_equal_requests_are_matched_in_the_order_of_time_when_the_numbers_agree() -> None:
    """Either row makes the same video."""
    twins = [replace(doubt(0, at=T0), row=1), replace(doubt(0, at=T0 + 20), row=2)]
    rows = [row(twins[0], "late", at=T0 + 21), row(twins[0], "early", at=T0 + 1)]
    found = match(twins, rows, [])
    assert (found[1].request_id, found[2].request_id) == ("early", "late")


@pytest.mark.parametrize("rows", [1, 3])
def test_equal_requests_are_left_in_doubt_when_the_numbers_differ(rows: int) -> None:
    """A wrong match would lose a paid clip, or pay twice."""
    twins = [replace(doubt(0), row=1), replace(doubt(0, at=T0 + 20), row=2)]
    assert match(twins, [row(twins[0], f"r{n}") for n in range(rows)], []) == {}


def test_what_was_sent_counts_where_it_differs_from_the_manifest() -> None:
    """The link of an uploaded audio file is in no manifest."""
    sent = {**json.loads(wanted(0).params), "audio": "https://up/1.mp3"}
    clip = doubt(0, sent=sent)
    assert match([clip], [row(clip, audio="https://up/1.mp3")], [])
    assert match([clip], [row(clip, audio="https://up/2.mp3")], []) == {}


def test_equal_requests_at_other_times_are_told_apart_by_time() -> None:
    """An hour lies between them: the one row there is can be the second one's only."""
    twins = [replace(doubt(0), row=1), replace(doubt(0, at=T0 + 3_600), row=2)]
    found = match(twins, [row(twins[1], at=T0 + 3_601)], [])
    assert {n: found[n].request_id for n in found} == {2: "r1"}


def test_a_row_that_shows_what_one_sent_and_another_left_out_belongs_to_the_first() -> None:
    """With one seed for both, the one that sent less fits the other's row as well: an added default, it seems."""
    plain = doubt(0)
    sharp = doubt(1, sent={**json.loads(wanted(0).params), "negative_prompt": "blurry"})
    found = match([plain, sharp], [row(plain, "r2", negative_prompt="blurry")], [])
    assert {n: found[n].request_id for n in found} == {sharp.row: "r2"}


def test_what_can_not_be_told_apart_is_named_on_both_sides() -> None:
    """For a person to look at."""
    twins = [replace(doubt(0), row=1), replace(doubt(0, at=T0 + 20), row=2)]
    rows = [row(twins[0], f"r{n}") for n in range(3)]
    ties = matched([*twins, doubt(5)], rows, []).ties
    assert ties.keys() == {1, 2}
    assert ties[1] == ties[2]
    assert [len(ties[1].clips), len(ties[1].rows)] == [2, 3]


# --- all orders, all spellings ------------------------------------------------------------------------------

SPELLINGS = (lambda v: v, str, lambda v: float(v) if isinstance(v, int) else v, lambda v: f" {v}\r\n".strip(" "))


@st.composite
def nights(draw: st.DrawFn) -> tuple[list[Clip], list[HistoryRow], set[str]]:
    """Clips in doubt (some send the same as others), what the history shows of them, and what is taken."""
    clips = [
        replace(doubt(draw(st.integers(0, 3)), at=T0 + draw(st.integers(0, 5_000))), row=n)
        for n in range(draw(st.integers(1, 6)))
    ]
    rows: list[HistoryRow] = []
    for clip in draw(st.lists(st.sampled_from(clips), max_size=8)):
        spelling = draw(st.sampled_from(SPELLINGS))
        params = {name: spelling(value) for name, value in json.loads(clip.wanted.params).items()}
        shown = dict(draw(st.permutations(list({**params, "prompt_extend": True}.items()))))
        at = draw(st.one_of(st.none(), st.integers(-400, 1_000).map(float)))
        left = clip.request.intent_at if clip.request else 0.0
        when = None if at is None else left + at
        rows.append(HistoryRow(f"r{len(rows)}", clip.wanted.model, Completed("u"), shown, when))
    taken = draw(st.sets(st.sampled_from([row.request_id for row in rows]))) if rows else set()
    return clips, rows, taken


@given(nights(), st.randoms(use_true_random=False))
def test_no_row_is_claimed_twice_nor_by_a_stranger_in_whatever_order_they_come(night: Any, dice: Any) -> None:
    """Each claim is a fit of model, parameters and time; the order of neither side says anything."""
    clips, rows, taken = night
    one = matched(clips, rows, taken)
    claimed = [found.request_id for found in one.found.values()]
    assert len(claimed) == len(set(claimed))
    assert not set(claimed) & taken
    by_number = {clip.row: clip for clip in clips}
    for number, found in one.found.items():
        clip = by_number[number]
        assert agrees(json.loads(clip.wanted.params), found.params or {})
        left = clip.request.intent_at if clip.request else 0.0
        assert found.at is None or -CLOCK_SKEW_S <= found.at - left <= LATEST_S
        assert number not in one.ties
    dice.shuffle(clips)
    dice.shuffle(rows)
    other = matched(clips, rows, taken)
    assert other.ties.keys() == one.ties.keys()
    if len({row.at for row in rows}) == len(rows) and len({clip.request.intent_at for clip in clips}) == len(clips):
        assert other.found == one.found


@given(st.sets(st.integers(0, 30), max_size=20), st.sets(st.integers(0, 30)), st.randoms(use_true_random=False))
def test_of_clips_that_differ_exactly_those_are_found_that_were_accepted(
    doubts: set[int], accepted: set[int], dice: Any
) -> None:
    """However many there are, and whatever else the history holds."""
    clips = [doubt(n) for n in doubts]
    rows = [row(doubt(n), f"r{n}") for n in accepted]
    dice.shuffle(rows)
    found = matched(clips, rows, ()).found
    assert {n: found[n].request_id for n in found} == {n + 1: f"r{n}" for n in doubts & accepted}


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_equal_requests_far_apart_are_found_one_by_one(accepted: list[bool]) -> None:
    """Half an hour between them: which of them were accepted is seen from the rows' times alone."""
    clips = [replace(doubt(0, at=T0 + 1_800 * n), row=n) for n in range(len(accepted))]
    rows = [row(clips[n], f"r{n}", at=T0 + 1_800 * n + 3) for n, yes in enumerate(accepted) if yes]
    found = matched(clips, rows, ()).found
    assert {n: found[n].request_id for n in found} == {n: f"r{n}" for n, yes in enumerate(accepted) if yes}
