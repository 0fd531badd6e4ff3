"""The models' files: what is built in, and what a file that contradicts itself is answered with."""

from __future__ import annotations

import json
import random
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from batchgen import load
from batchgen.errors import ManifestError
from batchgen.money import price_class_of
from batchgen.providers.models import estimate, find, known_names
from batchgen.providers.models.model_file import ModelFileError, read_model

WAN = files("batchgen.providers.models").joinpath("wan-2.5-t2v.json").read_text(encoding="utf-8")
URL = "https://example.com/a.png"


def changed(path: str, value: object) -> Any:
    """Return the file of wan-2.5-t2v with another value at "part.part"."""
    data: Any = json.loads(WAN)
    *steps, last = path.split(" ")
    inner = data
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return data


def read(folder: Path, text: str) -> Any:
    """Load a manifest."""
    path = folder / "night.yaml"
    path.write_text(text)
    return load(path)


# --- the files ------------------------------------------------------------------------------------------


def test_each_built_in_model_has_a_file_of_its_name_with_sources() -> None:
    """A fact without a source is a rumour."""
    assert {"wan-2.5-t2v", "wan-2.5-i2v", "veo-3.1-fast", "hailuo-2.3-fast", "seedream-4.5"} <= set(known_names())
    for name in known_names():
        model = find(name)
        assert model is not None
        assert (model.slug, "prompt" in model.parameters, bool(model.sources)) == (name, True, True)


def test_only_wan_2_5_t2v_adds_parameters_of_its_own() -> None:
    """A default that came later would give a clip that was paid for another key."""
    assert [name for name in known_names() if (model := find(name)) and model.defaults] == ["wan-2.5-t2v"]


def test_every_clip_of_wan_2_5_t2v_has_a_price_and_others_have_none() -> None:
    """A price that nobody published is unknown: the mean of what others paid is no price of this clip."""
    model = find("wan-2.5-t2v")
    assert model is not None
    sizes, durations = (model.parameters[name].values or () for name in ("size", "duration"))
    prices = [estimate(model.slug, {"size": size, "duration": seconds}) for size in sizes for seconds in durations]
    assert (len(prices), None in prices) == (12, False)
    assert estimate("veo-3.1-fast", {"duration": 4, "resolution": "720p"}) is None


def test_a_price_falls_in_a_row_by_the_models_own_axes() -> None:
    """Sound costs, too."""
    data = changed("parameters generate_audio", {"type": "switch", "description": "Sound."})
    data["prices"] = {"axes": ["duration", "generate_audio"], "source": "x", "usd": {"5/true": 0.5, "5/false": 0.25}}
    model = read_model(json.dumps(data), "x.json")
    assert [model.price({"duration": 5, "generate_audio": on}) for on in (True, False)] == [500_000, 250_000]
    assert model.price({"duration": 5}) is None


def test_clips_whose_price_may_differ_are_of_different_price_classes() -> None:
    """What one was charged says nothing of the other; the classes of clips with size and duration stay as they were."""
    loud, silent = ({"duration": 8, "resolution": "1080p", "generate_audio": on} for on in (True, False))
    assert price_class_of("veo-3.1-fast", loud) != price_class_of("veo-3.1-fast", silent)
    assert price_class_of("m", {"size": "1*2", "duration": 5}) == "m 1*2 5"


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("slug", None, "slug: this is missing"),
        ("sources", [], "sources: this must be a list"),
        ("complete", None, "complete: this is missing"),
        ("parameters", None, "parameters: this is missing"),
        ("kind", "film", "kind: this must be one of video, image"),
        ("as_of", "27.11.2026", "as_of: this must be a date"),
        ("latency", 1, "latency: this field is not known"),
        ("mean_usd", -1, "mean_usd: this must be a number above 0"),
        ("usd_range", [2, 1], "usd_range: this must be two numbers, the lower one first"),
        ("parameters duration type", "integer", "parameters.duration.type: this must be one of"),
        ("parameters duration default", 7, "parameters.duration: duration can't be 7: write 5 or 10"),
        ("parameters duration values", ["5"], "parameters.duration: duration can't be '5'"),
        ("parameters size values", None, "parameters.size.values: this is missing"),
        ("parameters audio seconds", 1, "parameters.audio.seconds: this must be two numbers"),
        ("parameters prompt media", True, "parameters.prompt.media: this field is not known"),
        ("prices axes", ["seed"], "prices.axes: seed is no parameter that a price can depend on"),
        ("prices usd 1280*720/7", 0.5, "prices.usd.1280*720/7: no clip can have this price"),
        ("prices usd 1280*720/5", "free", "prices.usd.1280*720/5: this must be an amount of USD"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(path: str, value: object, what: str) -> None:
    """Whoever adds a model is shown where."""
    with pytest.raises(ModelFileError) as found:
        read_model(json.dumps(changed(path, value)), "x.json")
    assert what in str(found.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mean_usd": NaN}', "[" * 100_000, " " * 1_000_001])
def test_what_is_no_model_is_refused(text: str) -> None:
    """Never a traceback."""
    with pytest.raises(ModelFileError):
        read_model(text, "x.json")


def test_noise_in_any_field_is_read_or_refused() -> None:
    """Nothing else may come of a file."""
    rng = random.Random(7)
    noise: list[Any] = [None, True, 0, -1, 10**400, 0.5, "", "x", "\ud800", [], [None], [{}], {}, {"x": 1}]
    refused = 0
    for _ in range(300):
        data: Any = json.loads(WAN)
        inner = data
        for _depth in range(rng.randrange(4)):
            inner = rng.choice([value for value in inner.values() if isinstance(value, dict) and value] or [inner])
        inner[rng.choice([*inner, "new"])] = rng.choice(noise)
        try:
            read_model(json.dumps(data), "x.json")
        except ModelFileError:
            refused += 1
    assert refused > 100


# --- what follows from them in a manifest ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "what"),
    [
        ("model: veo-3.1-fast, duration: 5", "duration can't be 5: write 4, 6 or 8 (seconds)"),
        ("model: veo-3.1-fast, aspect_ratio: '4:3'", "aspect_ratio can't be '4:3': write one of 16:9, 9:16"),
        ("model: veo-3.1-fast, image: a.png", "image is no link, and this release uploads sound only"),
        ("model: veo-3.1-fast, image: 'http://example.com/a.png'", "an image URL over http can be read by others"),
        ("model: wan-2.5-i2v", "image is missing, and wan-2.5-i2v needs it"),
        ("model: kling-3-standard-text2video, duration: five", "duration can't be 'five': write a number"),
        ("model: kling-3-standard-text2video, cfg_scale: 2", "cfg_scale can't be 2: write 0…1"),
        (f"model: seedance-2.0-mini, reference_videos: ['{URL}', '{URL}', '{URL}', '{URL}']", "takes 3 at most"),
        ("model: seedream-4.5", "seedream-4.5 makes pictures, and this release can't check and keep them"),
        ("model: hailuo-2.3-fst", "did you mean hailuo-2.3-fast?"),
    ],
)
def test_a_value_that_the_model_refuses_is_an_error_before_anything_is_spent(
    tmp_path: Path, prompt: str, what: str
) -> None:
    """With the values that are allowed."""
    with pytest.raises(ManifestError) as found:
        read(tmp_path, f"prompts:\n  - {{prompt: a, {prompt}}}\n")
    assert what in str(found.value)


def test_what_is_written_is_sent_and_nothing_else(tmp_path: Path) -> None:
    """The keys of clips that were made before the model was known stay as they are."""
    text = f"prompts:\n  - {{prompt: a, seed: 7, model: seedance-2.0-mini, duration: 5, reference_images: ['{URL}']}}\n"
    [clip] = read(tmp_path, text).wanted
    assert clip.values == {"prompt": "a", "seed": 7, "duration": 5, "reference_images": [URL]}


@pytest.mark.parametrize(
    ("model", "name", "strict", "refused"),
    [
        ("wan-2.5-t2v", "sise", False, True),  # near a known one: a slip of the pen
        ("wan-2.5-t2v", "watermark", False, False),
        ("wan-2.5-t2v", "watermark", True, True),
        ("veo-3.1-fast", "watermark", False, False),
        ("veo-3.1-fast", "watermark", True, True),
    ],
)
def test_an_unknown_parameter_is_passed_on_with_a_warning_or_refused(
    tmp_path: Path, model: str, name: str, *, strict: bool, refused: bool
) -> None:
    """The service may have learned it since the facts were collected."""
    text = f"model: {model}\nstrict: {str(strict).lower()}\nprompts:\n  - {{prompt: a, {name}: x}}\n"
    if refused:
        with pytest.raises(ManifestError, match=f"unknown parameter {name}"):
            read(tmp_path, text)
        return
    manifest = read(tmp_path, text)
    assert manifest.wanted[0].values[name] == "x"
    assert f"unknown parameter {name} of {model}" in str(manifest.warnings[0])


def test_takes_of_a_model_without_a_seed_are_warned_of(tmp_path: Path) -> None:
    """Only where the list of its parameters is known to be whole."""
    text = f"model: hailuo-2.3-fast\nprompts:\n  - {{prompt: a, first_frame_image: '{URL}'}}\n"
    assert "hailuo-2.3-fast has no seed" in str(read(tmp_path, text).warnings[0])
