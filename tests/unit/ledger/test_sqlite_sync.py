"""A manifest is held against a ledger: what differs is written, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from batchgen.clip import Clip
from batchgen.events import AnswerLost, Failed, SubmitStarted
from batchgen.ledger import FILE, SqliteLedger
from batchgen.testing import wanted

START = SubmitStarted(10.0, reserved=7)


async def submitted(ledger: SqliteLedger, row: int) -> None:
    """Let a clip be sent, so that it stays in the ledger whatever the manifest says."""
    clip = await ledger.record(ledger.clip(row), START)
    await ledger.record(clip, AnswerLost("reset"))


def by_key(ledger: SqliteLedger) -> dict[str, Clip]:
    return {clip.key: clip for clip in ledger.clips()}


def test_what_the_manifest_says_otherwise_is_taken_up_at_once(ledger: SqliteLedger) -> None:
    """Order, priority and words are what the next run goes by."""
    now = [
        replace(
            wanted(4 - n), order=n, priority=n, prompt_id=f"id-{n}", label="city=Tokyo", take=2, audio_file="/a.mp3"
        )
        for n in range(5)
    ]
    assert ledger.sync(now) == 0
    clips = by_key(ledger)
    for clip in now:
        assert replace(clips[clip.key].wanted, name=clip.name) == clip


def test_a_manifest_that_is_as_it_was_writes_nothing(ledger: SqliteLedger) -> None:
    """A resume of 100,000 clips opens at once, and costs no megabytes of synced pages."""
    written = ledger.folder / f"{FILE}-wal"
    before = written.stat().st_size, written.read_bytes()
    assert ledger.sync(wanted(n) for n in range(5)) == 0
    assert (written.stat().st_size, written.read_bytes()) == before


async def test_what_was_sent_is_flagged_and_wanted_again_and_what_was_not_is_forgotten(ledger: SqliteLedger) -> None:
    """Nothing that may have been paid for leaves the ledger."""
    await submitted(ledger, 1)
    assert ledger.sync([wanted(2)]) == 0
    clips = by_key(ledger)
    assert {key: clip.unwanted for key, clip in clips.items()} == {wanted(0).key: True, wanted(2).key: False}
    assert (ledger.live_totals.unwanted, sum(ledger.live_totals.counts.values())) == (1, 1)
    assert ledger.sync(wanted(n) for n in range(3)) == 1
    assert not any(clip.unwanted for clip in by_key(ledger).values())


async def test_a_re_roll_goes_and_comes_with_its_root(ledger: SqliteLedger) -> None:
    """The manifest does not name it: its root does, also one that only comes back."""
    again = replace(wanted(90), reroll_of=wanted(0).key)
    ledger.reroll([again])
    row = ledger.rows()[again.key]
    await submitted(ledger, row)
    ledger.sync([wanted(1)])
    assert by_key(ledger)[again.key].unwanted
    ledger.sync([wanted(1), wanted(0)])  # the root was forgotten meanwhile, and is new
    assert not by_key(ledger)[again.key].unwanted


async def test_what_another_take_has_replaced_is_not_wanted_whatever_the_manifest_says(ledger: SqliteLedger) -> None:
    """It would be counted as failed for ever."""
    clip = await ledger.record(ledger.clip(1), START)
    await ledger.record(clip, Failed("422"))
    ledger.reroll([replace(wanted(91), reroll_of=wanted(0).key)], instead_of=[wanted(0).key])
    ledger.sync(wanted(n) for n in range(5))
    clips = by_key(ledger)
    assert clips[wanted(0).key].unwanted
    assert not clips[wanted(91).key].unwanted


def test_the_ids_and_names_of_an_earlier_release_are_kept(ledger: SqliteLedger) -> None:
    """`--only`, the bill and the files of a batch stay as its user knows them; a further take joins them."""
    made = [replace(wanted(n), prompt_id=f"new{n}", name=f"new{n}_1", derived_id=True) for n in range(5)]
    second = replace(wanted(0, take=2), prompt_id="new0", name="new0_2", derived_id=True)
    assert ledger.sync([*made, second]) == 1
    clips = by_key(ledger)
    assert all(clips[wanted(n).key].wanted == wanted(n) for n in range(5))
    assert (clips[second.key].wanted.prompt_id, clips[second.key].wanted.name) == ("shot0", "shot0_2")
