"""The sandbox serves every built-in model that makes videos, by the model's own file."""

from __future__ import annotations

from typing import Any

import pytest

from batchgen.providers.models import Model, find, known_names
from batchgen.sandbox.any_model import order_of, shape
from batchgen.sandbox.clips import packaged
from batchgen.sandbox.protocol import Refusal

VIDEO = [name for name in known_names() if (model := find(name)) and model.kind == "video"]


def least(model: Model) -> dict[str, Any]:
    """The least that a model takes."""
    return {name: "x" for name, each in model.parameters.items() if each.required}


@pytest.mark.parametrize("slug", VIDEO)
def test_every_model_of_videos_can_be_rehearsed(slug: str) -> None:
    """At a price that its file has, or play money; with a film to serve where nothing can be rendered."""
    model = find(slug)
    assert model is not None
    order = order_of(slug, least(model))
    assert order.price == (model.price({}) or (model.price_range or (model.mean_price,))[0])
    assert packaged(order.width, order.height, order.duration).is_file()
    for name in least(model):
        with pytest.raises(Refusal, match=name) as found:
            order_of(slug, {key: value for key, value in least(model).items() if key != name})
        assert found.value.status == 400
    for name, each in model.parameters.items():
        if each.values is not None:
            with pytest.raises(Refusal, match=f"Invalid value for {name}") as found:
                order_of(slug, {**least(model), name: "no such value"})
            assert found.value.status == 406


def test_a_clip_is_as_long_as_it_was_asked_for() -> None:
    """As a text, too; else as long as the model's shortest."""
    assert order_of("veo-3.1-fast", {"prompt": "a", "duration": 8}).duration == 8
    assert order_of("veo-3.1-fast", {"prompt": "a"}).duration == 4
    assert order_of("kling-3-standard-text2video", {"prompt": "a", "duration": "10"}).duration == 10
    assert order_of("kling-3-standard-text2video", {"prompt": "a", "duration": "1000000"}).duration == 30


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({}, (1280, 720)),
        ({"size": "832*480"}, (832, 480)),
        ({"resolution": "1080p", "aspect_ratio": "9:16"}, (1080, 1920)),
        ({"resolution": "768p"}, (1364, 768)),
        ({"aspect_ratio": "1:1"}, (720, 720)),
        ({"resolution": "8000p", "aspect_ratio": "0:0"}, (1920, 1080)),
        ({"resolution": None, "aspect_ratio": ["x"]}, (1280, 720)),
    ],
)
def test_the_film_has_the_asked_shape(params: dict[str, object], size: tuple[int, int]) -> None:
    """By size, or by resolution and aspect ratio, as the model has it."""
    assert shape(params) == size


@pytest.mark.parametrize("slug", ["seedream-4.5", "nobody-knows-it"])
def test_what_is_not_on_offer_is_refused(slug: str) -> None:
    """Pictures can't be checked and kept yet."""
    with pytest.raises(Refusal) as found:
        order_of(slug, {"prompt": "a"})
    assert found.value.status == 404
