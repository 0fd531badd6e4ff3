"""Several models in one manifest: each with its own parameters, prices and run times, compared in the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen import load
from batchgen.errors import ManifestError
from batchgen.manifest import Manifest
from batchgen.planning.inputs import plan_folder
from batchgen.planning.pace import AssumedPace
from batchgen.settings import Settings
from batchgen.views.plan import plan_object, plan_text

TWO = """\
by_model:
  veo-3.1-fast: {duration: 8, resolution: 1080p}
  wan-2.5-t2v: {duration: 10}
matrix: {model: [wan-2.5-t2v, veo-3.1-fast], mood: [calm]}
prompts: ["a {{ mood }} sea"]
"""


def read(folder: Path, text: str) -> Manifest:
    path = folder / "night.yaml"
    path.write_text(text)
    return load(path)


def test_an_axis_of_models_makes_each_prompt_with_each_model(tmp_path: Path) -> None:
    """Each with its own parameters, and none of the other's."""
    wan, veo = read(tmp_path, TWO).wanted
    assert (wan.model, wan.values["duration"], wan.values["size"]) == ("wan-2.5-t2v", 10, "1280*720")
    assert (veo.model, veo.values["duration"], veo.values["resolution"]) == ("veo-3.1-fast", 8, "1080p")
    assert ("size" in veo.values, "resolution" in wan.values) == (False, False)
    assert (wan.label, veo.label) == ("model=wan-2.5-t2v, mood=calm", "model=veo-3.1-fast, mood=calm")


def test_what_is_written_nearer_counts(tmp_path: Path) -> None:
    """Defaults, then the model's, then the cell, then the prompt."""
    text = "defaults: {duration: 4}\nby_model: {veo-3.1-fast: {duration: 6}}\nmodel: veo-3.1-fast\n"
    assert read(tmp_path, f"{text}prompts: [a]\n").wanted[0].values["duration"] == 6
    assert read(tmp_path, f"{text}matrix: {{duration: [8]}}\nprompts: [a]\n").wanted[0].values["duration"] == 8
    assert read(tmp_path, f"{text}prompts: [{{prompt: a, duration: 4}}]\n").wanted[0].values["duration"] == 4


def test_a_prompts_own_model_is_above_the_axis(tmp_path: Path) -> None:
    """As with any other parameter."""
    text = "matrix: {model: [wan-2.5-t2v, veo-3.1-fast]}\nprompts: [{prompt: a, model: veo-3.1-fast}]\n"
    assert {clip.model for clip in read(tmp_path, text).wanted} == {"veo-3.1-fast"}


def test_an_axis_of_the_same_name_that_names_no_model_is_a_variable(tmp_path: Path) -> None:
    """Batches about cars have it, and have been paid for."""
    text = "matrix: {model: [Mini, Golf]}\nprompts: ['a {{ model }} in the rain']\n"
    assert [(clip.model, clip.values["prompt"]) for clip in read(tmp_path, text).wanted] == [
        ("wan-2.5-t2v", "a Mini in the rain"),
        ("wan-2.5-t2v", "a Golf in the rain"),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("matrix: {model: [wan-2.5-t2v, veo-3.1-fst]}\nprompts: [a]\n", "did you mean veo-3.1-fast?"),
        ("by_model: {veo-3.1-fst: {duration: 8}}\nmodel: veo-3.1-fast\nprompts: [a]\n", "did you mean veo-3.1-fast?"),
        ("by_model: {veo-3.1-fast: {duration: 5}}\nmodel: veo-3.1-fast\nprompts: [a]\n", ":1:37: duration can't be 5"),
        ("by_model: {veo-3.1-fast: {id: x}}\nmodel: veo-3.1-fast\nprompts: [a]\n", "id is not allowed under by_model"),
        ("by_model: {veo-3.1-fast: 8}\nmodel: veo-3.1-fast\nprompts: [a]\n", "by_model.veo-3.1-fast must be a mapping"),
        ("by_model: [a]\nprompts: [a]\n", "by_model must be a mapping"),
    ],
)
def test_a_slip_is_an_error_where_it_is_written(tmp_path: Path, text: str, what: str) -> None:
    """The parameters of a misspelt model would be left out, and the clips paid for without them."""
    with pytest.raises(ManifestError) as found:
        read(tmp_path, text)
    assert what in str(found.value)


def test_the_plan_compares_the_models(tmp_path: Path) -> None:
    """Price and time of a clip, and how old the facts are; an unknown price is unknown."""
    plan = plan_folder(read(tmp_path, TWO), Settings(), tmp_path / "night")
    veo, wan = plan_object(plan)["models"]
    assert (veo["model"], veo["count"], veo["estimated_usd"], veo["unpriced"], veo["run_s"]) == (
        "veo-3.1-fast", 1, None, 1, 99.0,
    )  # fmt: skip
    assert (wan["model"], wan["count"], wan["estimated_usd"], wan["run_s"], wan["from"]) == (
        "wan-2.5-t2v", 1, 1.25, 213.0, "built in",
    )  # fmt: skip
    lines = plan_text(plan).splitlines()
    at = lines.index("By model")
    assert lines[at + 2].split()[:5] == ["veo-3.1-fast", "1", "unknown", "unknown", "99"]
    assert lines[at + 3].split()[:5] == ["wan-2.5-t2v", "1", "$1.25", "$1.25", "213"]
    assert "each clip at its model's own run time, at most 213 s" in " ".join(plan_text(plan).split())
    one = plan_folder(read(tmp_path, "prompts: [a]\n"), Settings(), tmp_path / "night")
    assert "By model" not in plan_text(one)


def test_prices_of_the_manifest_are_each_models_own(tmp_path: Path) -> None:
    """A price of one model says nothing of the other."""
    plan = plan_folder(read(tmp_path, f"prices: {{veo-3.1-fast: 0.50}}\n{TWO}"), Settings(), tmp_path / "night")
    assert [each["estimated_usd"] for each in plan_object(plan)["models"]] == [0.5, 1.25]


def test_each_clip_occupies_its_slot_for_its_models_time() -> None:
    """A night of drafts is not as long as a night of finals."""
    pace = AssumedPace(in_flight=10, latency_s=200.0, by_model={"slow": 200.0, "fast": 50.0})
    assert pace.seconds_for_all({"slow": 100}) == pace.seconds_for(100) == 2200.0
    assert pace.seconds_for_all({"slow": 50, "fast": 50}) == 1450.0
    assert pace.seconds_for_all({}) == 0.0


VEO = "model: veo-3.1-fast\nprompts: [{prompt: a, duration: 8, resolution: 1080p, generate_audio: true}]\n"


@pytest.mark.parametrize(
    ("row", "found"),
    [("1080p/8/true", True), ("1080p/8/false", False), ("720p/8/true", False), ("1080p/8", False)],
)
def test_a_price_row_has_the_values_of_the_models_own_axes(tmp_path: Path, row: str, *, found: bool) -> None:
    """Those that the clip has, all of them and in order."""
    manifest = read(tmp_path, f"prices: {{veo-3.1-fast: {{{row}: 0.50}}}}\n{VEO}")
    [clip] = manifest.wanted
    assert manifest.prices.of(clip.model, clip.values) == (500_000 if found else None)


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("veo-3.1-fast", "1280*720/8"),
        ("veo-3.1-fast", "1080p/7"),
        ("veo-3.1-fast", "8/1080p"),
        ("veo-3.1-fast", "1080p/8/true/1"),
        ("wan-2.5-t2v", "1280*720/6"),
        ("wan-2.5-t2v", "1000*720/5"),
        ("nobody-knows-it", "1080p/8"),
    ],
)
def test_a_price_row_that_no_clip_can_have_is_an_error(tmp_path: Path, model: str, row: str) -> None:
    """It would never be found, and the price be unknown under a budget."""
    with pytest.raises(ManifestError) as found:
        read(tmp_path, f"prices: {{{model}: {{{row}: 0.50}}}}\nmodel: {model}\nprompts: [a]\n")
    assert f":1:{len(model) + 12}: prices.{model}: no clip can have the price of '{row}'" in str(found.value)


def test_a_row_is_spelled_as_people_do(tmp_path: Path) -> None:
    """1280 x 720 / 5 is 1280*720/5."""
    prices = read(tmp_path, "prices: {wan-2.5-t2v: {1280 x 720 / 5: 0.50}}\nprompts: [a]\n").prices
    assert prices.by_model == {"wan-2.5-t2v": {"1280*720/5": 500_000}}
