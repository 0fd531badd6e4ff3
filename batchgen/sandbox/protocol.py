"""What may be asked of the sandbox, how the real service refuses, and what it would charge.

Pure. Prices are the estimates that are known of the service (it publishes no table): micro-dollars a
second of video, by size. Sizes and durations outside the fixed sets are refused at submission; other bad
values are accepted and fail in the model, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_480P, _720P, _1080P = 62_500, 125_000, 187_500
_MAX_SEED: Final = 2_147_483_647


class Refusal(Exception):  # noqa: N818  the service refuses; nothing went wrong
    """A call that is answered with an error code and the API's own `{"error": text}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class SandboxModel:
    """A model on offer: micro-dollars a second by size, and the durations (s) it takes."""

    rates: Mapping[str, int]
    durations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A submission that was understood. `flaw` is what the model will fail it with."""

    prompt: str
    width: int
    height: int
    duration: int
    seed: int
    price: int  #: micro-dollars
    flaw: str | None = None


_LARGE: Final = {"1280*720": _720P, "720*1280": _720P, "1920*1080": _1080P, "1080*1920": _1080P}
MODELS: Final[Mapping[str, SandboxModel]] = {
    "wan-2.5-t2v": SandboxModel({"832*480": _480P, "480*832": _480P, **_LARGE}, (5, 10)),
    "wan-2.6-t2v": SandboxModel(_LARGE, (5, 10, 15)),
}


def read_order(slug: str, params: object) -> Order:
    """Understand a submission as the service does.

    Raises:
        Refusal: 404 unknown model, 400 no prompt or no object, 406 a value outside a fixed set.
    """
    model = MODELS.get(slug)
    if model is None:
        raise Refusal(404, "Model not found")
    if not isinstance(params, dict):
        raise Refusal(400, "Bad request: the body must be a JSON object")
    if "prompt" not in params:
        raise Refusal(400, "Bad request: 'prompt' is required")
    size, duration = _size(model, params), _duration(model, params)
    width, height = (int(side) for side in size.split("*"))
    return Order(
        prompt=str(params["prompt"]),
        width=width,
        height=height,
        duration=duration,
        seed=_seed(params),
        price=model.rates[size] * duration,
        flaw=_flaw(params),
    )


def _size(model: SandboxModel, params: Mapping[str, Any]) -> str:
    size = params.get("size", "1280*720")
    if size not in model.rates:
        raise Refusal(406, f"Invalid value for size: {size!r}. Allowed: {', '.join(model.rates)}")
    return str(size)


def _duration(model: SandboxModel, params: Mapping[str, Any]) -> int:
    """The service's own sample sends the number as text, so both pass."""
    duration = params.get("duration", 5)
    if isinstance(duration, str) and duration.isdecimal():
        duration = int(duration)
    if type(duration) is not int or duration not in model.durations:
        allowed = ", ".join(map(str, model.durations))
        raise Refusal(406, f"Invalid value for duration: {duration!r}. Allowed: {allowed}")
    return duration


def _seed(params: Mapping[str, Any]) -> int:
    seed = params.get("seed", 42)
    return seed if type(seed) is int else 42


def _flaw(params: Mapping[str, Any]) -> str | None:
    prompt, seed = params["prompt"], params.get("seed", 42)
    if not isinstance(prompt, str) or not prompt.strip():
        return "Prompt is Mandatory and must be string"
    if type(seed) is not int or not -1 <= seed <= _MAX_SEED:
        return f"InvalidParameter: seed must be an integer between -1 and {_MAX_SEED}"
    if not isinstance(params.get("enable_prompt_expansion", True), bool):
        return "InvalidParameter: enable_prompt_expansion must be a boolean"
    return None
