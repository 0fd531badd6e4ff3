"""Clips of models that older releases did not know were paid for under other keys, and are not paid for again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from batchgen import load
from batchgen.clip import State
from batchgen.events import Downloaded, Generated, SubmitStarted, Submitted
from batchgen.ledger import SqliteLedger
from batchgen.manifest import Manifest
from batchgen.planning import Action, Plan
from batchgen.planning.inputs import plan_folder
from batchgen.settings import Settings

VEO, KLING = "model: veo-3.1-fast\n", "model: kling-3-standard-text2video\n"
ROWS = f"{VEO}prompts:\n  - file: rows.csv\n"
LINK = "https://example.com/a.png"
DEFAULTED = (
    f"{VEO}matrix: {{aspect_ratio: ['16:9']}}\ndefaults: {{aspect_ratio: '9:16'}}\nprompts: [{{prompt: rain, seed: 7}}]"
)
LABEL = "aspect_ratio=16:9"

#: A manifest, its table, and the key and the matrix cell that a release before these models gave its one clip.
PAID: dict[str, tuple[str, str, str, str]] = {
    "a number as text": (ROWS, "prompt,seed,duration\nrain,7,8\n", "c1-98aca7dd243ec089491f20e2d3726438", ""),
    "a number with a fraction as text": (
        ROWS, "prompt,seed,duration\nrain,7,8.0\n", "c1-9f965b002a1fdca36ce58b157929860c", "",
    ),
    "true as text": (
        f"{VEO}prompts:\n  - {{file: rows.csv, generate_audio: false}}\n",
        "prompt,seed,generate_audio\nrain,7,TRUE\n", "c1-42c5ae72b35c3fe40aa8558f46794945", "",
    ),
    "8.0 for 8": (
        f"{VEO}prompts:\n  - {{prompt: rain, seed: 7, duration: 8.0}}\n", "", "c1-1fea3e1f1d241af20d4cfdc389a1fba0", "",
    ),
    "a number that is sent as text": (
        f"{KLING}prompts:\n  - {{prompt: rain, seed: 7, duration: 5}}\n", "", "c1-a57c6b22c1b8e87929bcb9a65940087b", "",
    ),
    "a fraction as text": (
        f"{KLING}prompts:\n  - {{prompt: rain, seed: 7, cfg_scale: '0.5'}}\n", "",
        "c1-053f0684ea85654464391972d6878e05", "",
    ),
    "blanks around a value": (
        f"{VEO}prompts:\n  - {{prompt: rain, seed: 7, aspect_ratio: ' 16:9'}}\n", "",
        "c1-5dfb058b122e72ea1474e28fbc825c67", "",
    ),
    "one link where a list is meant": (
        f"model: seedance-2.0-mini\nprompts:\n  - {{prompt: rain, seed: 7, reference_images: '{LINK}'}}\n", "",
        "c1-acc88680e07868ae437d0f718e467039", "",
    ),
    "a parameter under extra": (
        f"{VEO}prompts:\n  - {{prompt: rain, seed: 7, duration: '8', extra: {{hdr: true}}}}\n", "",
        "c1-023aeb1f03d4a111205ac18edf38a372", "",
    ),
    "an axis that was a variable": (
        f"{VEO}matrix: {{aspect_ratio: ['16:9']}}\nprompts:\n  - {{prompt: rain, seed: 7, duration: '8'}}\n", "",
        "c1-98aca7dd243ec089491f20e2d3726438", LABEL,
    ),
    "an axis that a default was sent for": (
        DEFAULTED, "",
        "c1-9c49d8ef6fa0e7e12bcb3f2ca82dfc2c", LABEL,
    ),
    "a column that was a variable": (
        f"{VEO}prompts:\n  - file: rows.csv\n    prompt: 'rain, {{{{ resolution }}}}'\n", "seed,resolution\n7,720p\n",
        "c1-313d61437b990f54b78ef0c545075fa5", "",
    ),
}  # fmt: skip


def read(folder: Path, text: str, rows: str = "") -> Manifest:
    """Load a manifest with its table."""
    (folder / "rows.csv").write_text(rows)
    (folder / "night.yaml").write_text(text)
    return load(folder / "night.yaml")


async def paid(ledger: SqliteLedger, manifest: Manifest, key: str, label: str) -> None:
    """Let the manifest's one clip be done under the key of an older release."""
    ledger.sync([replace(manifest.wanted[0], key=key, label=label, older=None)])
    [clip] = ledger.clips()
    for event in (
        SubmitStarted(10.0, reserved=7),
        Submitted("r1", 11.0),
        Generated("https://x/y.mp4", 12.0, 7, 3, 1.0, 1.0),
        Downloaded("rain_1.mp4", 3, "a" * 64),
    ):
        clip = await ledger.record(clip, event)
    await ledger.settle()


def planned(manifest: Manifest, folder: Path) -> tuple[dict[Action, int], Plan]:
    plan = plan_folder(manifest, Settings(), folder)
    return {step.action: step.count for step in plan.steps}, plan


@pytest.mark.parametrize("case", PAID)
async def test_what_an_older_release_paid_for_is_done(tmp_path: Path, case: str) -> None:
    """The keys are those that it wrote; another one would buy the clip again."""
    text, rows, key, label = PAID[case]
    manifest = read(tmp_path, text, rows)
    ledger = SqliteLedger(tmp_path / "night")
    try:
        await paid(ledger, manifest, key, label)
        assert planned(manifest, ledger.folder)[0] == {Action.DONE: 1}
        assert ledger.sync(manifest.wanted) == 0
        [clip] = ledger.clips()
        assert (clip.key, clip.state, clip.unwanted) == (key, State.DONE, False)
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("text", "rows", "key", "label"),
    [
        (*PAID["an axis that was a variable"][:3], ""),  # the axis is new: it was in no cell
        (ROWS, "prompt,seed,resolution\nrain,7,720p\n", "c1-59f81cc134cfea4ce752115632c9008d", ""),
    ],
)
async def test_a_parameter_that_was_added_makes_a_new_clip(
    tmp_path: Path, text: str, rows: str, key: str, label: str
) -> None:
    """Edits run what is new: a clip without it is not the one that is asked for."""
    manifest = read(tmp_path, text, rows)
    ledger = SqliteLedger(tmp_path / "night")
    try:
        await paid(ledger, manifest, key, label)
        assert ledger.sync(manifest.wanted) == 1
    finally:
        ledger.close()


async def test_of_two_clips_that_were_one_the_second_is_new(tmp_path: Path) -> None:
    """One paid clip is not two."""
    text = PAID["a column that was a variable"][0].replace("'rain, {{ resolution }}'", "'rain, {{ resolution[:1] }}'")
    manifest = read(tmp_path, text, "seed,resolution\n7,720p\n7,768p\n")
    first, second = manifest.wanted
    assert first.older == second.older
    assert first.older is not None
    ledger = SqliteLedger(tmp_path / "night")
    try:
        await paid(ledger, manifest, first.older.key, "")
        assert ledger.sync(manifest.wanted) == 1
        assert {clip.key: clip.state for clip in ledger.clips()} == {
            first.older.key: State.DONE,
            second.key: State.PENDING,
        }
    finally:
        ledger.close()


def test_what_was_never_sent_under_its_older_key_is_sent_as_it_is_read_today(tmp_path: Path) -> None:
    """Nothing was paid for it, and the service takes a number."""
    text, rows, key, _ = PAID["a number as text"]
    manifest = read(tmp_path, text, rows)
    ledger = SqliteLedger(tmp_path / "night")
    try:
        ledger.sync([replace(manifest.wanted[0], key=key, params='{"duration":"8","prompt":"rain","seed":7}')])
        ledger.sync(manifest.wanted)
        [clip] = ledger.clips()
        assert (clip.key, clip.wanted.values["duration"]) == (manifest.wanted[0].key, 8)
    finally:
        ledger.close()


def test_wan_2_5_t2v_has_one_key(tmp_path: Path) -> None:
    """Every release knew it."""
    assert read(tmp_path, "prompts:\n  - {prompt: rain, duration: '5'}\n").wanted[0].older is None
