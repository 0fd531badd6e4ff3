"""What the user asks for beyond the manifest: the right clips, the right seeds, and nothing paid for twice."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, Request, State, Wanted
from batchgen.errors import UsageError
from batchgen.events import AnswerLost, Blocked, Failed, FailedForNow, Forgotten, Retried, SubmitStarted, Submitted
from batchgen.ledger import SqliteLedger
from batchgen.manifest import load, rerolls
from batchgen.planning.retakes import Retake, named, why_not
from batchgen.planning.retakes import rerolls as rerolls_of
from batchgen.states import advance
from batchgen.testing import MODEL, wanted

MANIFEST = """
output: {{name: "{name}"}}
defaults: {{negative_prompt: blurry}}
matrix: {{city: [Tokyo, Lisbon]}}
prompts:
  - id: singer
    prompt: She yells in {{{{ city }}}}
    takes: {takes}
    size: {size}
"""


def manifest(folder: Path, takes: int, name: str = "{{ id }}_{{ take }}", size: str = "720*1280") -> Path:
    path = folder / "night.yaml"
    path.write_text(MANIFEST.format(takes=takes, name=name, size=size))
    return path


def rows(clips: list[Wanted]) -> list[Clip]:
    return [Clip(n, clip) for n, clip in enumerate(clips, 1)]


# --- which clips ----------------------------------------------------------------------------------------------


def test_words_are_names_files_or_globs() -> None:
    """What a person reads in the folder is what a person types."""
    clips = rows([wanted(0), wanted(0, 2), wanted(1)])
    assert [clip.row for clip in named(clips, ["shot1_1.mp4", "shot0_*", "shot0_1"])] == [3, 1, 2]
    with pytest.raises(UsageError, match=r"called shot0_3; did you mean shot0_"):
        named(clips, ["shot0_3"])


def test_a_name_with_the_signs_of_a_glob_is_taken_as_it_stands() -> None:
    """`[a]_1` is a legal name, and means no other clip."""
    clips = rows([replace(wanted(0), name="[a]_1"), replace(wanted(1), name="a_1")])
    assert [clip.row for clip in named(clips, ["[a]_1"])] == [1]


def test_commas_separate_globs_but_a_name_with_a_comma_is_itself() -> None:
    """`reroll 'a_1, b*'` means both; a clip called `a, b` can still be named."""
    clips = [Clip(row, replace(wanted(row), name=name)) for row, name in enumerate(("a_1", "b_1", "c_1", "a_1, b_1"))]
    assert [clip.row for clip in named(clips, ["a_1, b*"])] == [0, 1]
    assert [clip.row for clip in named(clips, ["a_1, b_1"])] == [3]
    with pytest.raises(UsageError, match="called nothing"):
        named(clips, ["a_1,nothing"])


# --- retries --------------------------------------------------------------------------------------------------

BASE = Clip(1, wanted(0))
START = SubmitStarted(10.0, reserved=7)


def life(*events: object) -> Clip:
    clip = BASE
    for event in events:
        clip = advance(clip, event)  # type: ignore[arg-type]
    return clip


SENT = (START, Submitted("r1", 10.0))
TROUBLE = life(*SENT, Failed("internal error", transient=True))
REFUSED = life(*SENT, Failed("no such size"))
BLOCKED = life(*SENT, Blocked("policy"))
UNPROVEN = life(*SENT, Failed("internal error", transient=True, unproven=True))
FORGOTTEN = life(START, AnswerLost("reset"), Forgotten("given up"))


@pytest.mark.parametrize(
    ("clip", "again", "by_name", "tried"),
    [
        (TROUBLE, Retake(), False, True),
        (REFUSED, Retake(), False, False),
        (REFUSED, Retake(all=True), False, True),
        (REFUSED, Retake(), True, True),
        (BLOCKED, Retake(all=True), True, False),
        (BLOCKED, Retake(blocked=True), False, True),
        (replace(BLOCKED, attempts=5), Retake(blocked=True), True, False),
        (FORGOTTEN, Retake(all=True), True, False),
        (FORGOTTEN, Retake(forgotten=True), False, True),
        (replace(TROUBLE, attempts=5), Retake(all=True), True, False),
        (replace(TROUBLE, attempts=5), Retake(max_attempts=6), False, True),
        (TROUBLE, Retake(charged={MODEL: 5}), False, False),
        (TROUBLE, Retake(charged={MODEL: 5}), True, True),
        (TROUBLE, Retake(charged={MODEL: 5}, all=True), False, True),
        (TROUBLE, Retake(charged={"another": 5}), False, True),
        (UNPROVEN, Retake(all=True), True, False),
        (UNPROVEN, Retake(forgotten=True), False, True),
    ],
)
def test_what_is_tried_again(clip: Clip, again: Retake, by_name: bool, tried: bool) -> None:
    """The service's trouble by itself; a hopeless one on the user's word; a doubtful one only on its own word."""
    assert (why_not(clip, again, by_name=by_name) == "") is tried


def test_the_cause_of_a_failure_is_of_the_last_try() -> None:
    """A retried clip that then fails for good is not told as the service's trouble."""
    assert TROUBLE.transient
    again = advance(advance(TROUBLE, Retried()), START)
    assert not advance(again, Failed("422")).transient
    done = life(*SENT, FailedForNow("worker"), START, Submitted("r2", 20.0), Failed("no such size"))
    assert not done.transient


def test_a_failure_of_an_old_ledger_is_read_by_its_tries() -> None:
    """Ledgers of before the cause was written down: several tries in a row were only made in the service's trouble."""
    old = replace(TROUBLE, flags="")
    assert replace(old, failures=2).transient
    assert replace(old, refusals=5).transient
    assert not old.transient


# --- re-rolls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template", ["{{ id }}_{{ take }}", "{{ city }}-{{ seed }}-{{ take }}", "all in {{ city }} {{ key }}"]
)
def test_a_reroll_is_the_take_that_the_manifest_would_have(tmp_path: Path, template: str) -> None:
    """Key, parameters and name: asked for later by a larger `takes:`, it is there already."""
    small = load(manifest(tmp_path, 2, template)).wanted
    made = rerolls_of(rows(small), rows(small)[1:2], 2)
    made = rerolls.named(tmp_path / "night.yaml", made)
    large = {clip.key: clip for clip in load(manifest(tmp_path, 4, template)).wanted}
    assert [(clip.take, clip.reroll_of) for clip in made] == [(3, small[1].key), (4, small[1].key)]
    for clip in made:
        asked = large[clip.key]
        assert (clip.name, clip.params, clip.prompt_id, clip.label) == (
            asked.name,
            asked.params,
            asked.prompt_id,
            asked.label,
        )


def test_local_audio_is_part_of_the_take(tmp_path: Path) -> None:
    """Its key is made of the sound's content, as the manifest makes it."""
    rate = 8000
    data = bytes(rate * 2 * 4)
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += b"".join(
        n.to_bytes(size, "little") for n, size in ((1, 2), (1, 2), (rate, 4), (rate * 2, 4), (2, 2), (16, 2))
    )
    (tmp_path / "a.wav").write_bytes(head + b"data" + len(data).to_bytes(4, "little") + data)
    path = tmp_path / "night.yaml"
    path.write_text("prompts: [{id: a, prompt: hum, audio: a.wav, extra: {null_one: null}}]")
    small = load(path).wanted
    path.write_text("prompts: [{id: a, prompt: hum, audio: a.wav, takes: 2, extra: {null_one: null}}]")
    (made,) = rerolls_of(rows(small), rows(small), 1)
    assert made.key == load(path).wanted[1].key
    assert made.audio_file == small[0].audio_file


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=6))
def test_no_two_takes_of_a_prompt_share_seed_number_or_key(first: int, orders: list[tuple[int, int]]) -> None:
    """However often and whatever is re-rolled, re-rolls too: each is another video, of the manifest's own clip."""
    clips = rows([wanted(0, take) for take in range(1, first + 1)])
    for which, takes in orders:
        made = rerolls_of(clips, [clips[which % len(clips)]], takes)
        clips += [Clip(len(clips) + n, take) for n, take in enumerate(made, 1)]
    seeds = [json.loads(clip.wanted.params)["seed"] for clip in clips]
    assert (
        len(set(seeds)) == len({clip.key for clip in clips}) == len({clip.wanted.take for clip in clips}) == len(clips)
    )
    own = {clip.key for clip in clips[:first]}
    assert all(clip.wanted.reroll_of in own for clip in clips[first:])


def test_what_the_manifest_dropped_is_not_rerolled() -> None:
    """The further take would be dropped with it, unpaid and unexplained."""
    gone = replace(BASE, unwanted=True)
    with pytest.raises(UsageError, match="no longer in the manifest"):
        rerolls_of([gone], [gone], 1)


# --- in the ledger --------------------------------------------------------------------------------------------


async def test_a_reroll_is_wanted_as_long_as_its_clip_is(tmp_path: Path) -> None:
    """The manifest does not name it, and must not drop it at the next run; with its clip it goes."""
    with closing(SqliteLedger(tmp_path / "night")) as ledger:
        ledger.sync([wanted(0), wanted(1)])
        (more,) = ledger.reroll(rerolls_of(list(ledger.clips()), [ledger.clip(1)], 1))
        assert ledger.live_totals.counts[State.PENDING] == 3
        assert ledger.sync([wanted(0), wanted(1)]) == 0
        assert more.key in ledger.states()
        assert ledger.reroll([more]) == []
        ledger.sync([wanted(1)])
        assert set(ledger.states()) == {"k1.1"}


async def test_a_replaced_clip_stays_out_and_in_the_bill(tmp_path: Path) -> None:
    """The manifest still names it; it must not come back as blocked at every run, nor be forgotten."""
    with closing(SqliteLedger(tmp_path / "night")) as ledger:
        ledger.sync([wanted(0)])
        clip = await ledger.record(ledger.clip(1), START)
        clip = await ledger.record(clip, Blocked("policy"))
        made = rerolls_of([clip], [clip], 1)
        assert [take.name for take in ledger.reroll(made, [clip.key])] == ["shot0_2"]
        for _ in range(2):
            assert ledger.live_totals.counts == {**dict.fromkeys(State, 0), State.PENDING: 1}
            assert ledger.clip(1).unwanted
            ledger.sync([wanted(0)])
        again = rerolls_of(list(ledger.clips()), [ledger.clip(1)], 1)
        assert [take.take for take in again] == [3]


async def test_a_name_that_is_taken_is_not_given_again(tmp_path: Path) -> None:
    """A paid file is never overwritten."""
    with closing(SqliteLedger(tmp_path / "night")) as ledger:
        ledger.sync([wanted(0), replace(wanted(1), name="SHOT0_2")])
        (take,) = ledger.reroll(rerolls_of(list(ledger.clips()), [ledger.clip(1)], 1))
        assert take.name.startswith("shot0_2~")


def test_a_clip_that_never_had_a_request_is_not_forgotten() -> None:
    """The property bears every clip."""
    assert not BASE.forgotten
    assert not replace(BASE, request=Request(1, 0.0)).forgotten
