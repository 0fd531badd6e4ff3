"""The parameters of wan-2.5-t2v as a pydantic schema: what passes, what it becomes, what an editor shows."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from batchgen.providers.models.base import whole_number
from batchgen.providers.models.wan_2_5_t2v import DURATIONS, SEED_MAX, SIZES

_TEMPLATE = {"type": "string", "pattern": r"\{[\{%]"}


def _fault(what: str, fix: str) -> PydanticCustomError:
    return PydanticCustomError("batchgen", "{what}", {"what": what, "fix": fix})


def _size(value: object) -> object:
    """Accept 1280x720 as a spelling of 1280*720."""
    spelled = re.sub(r"\s*[x×*]\s*", "*", value.strip().lower()) if isinstance(value, str) else value
    if spelled not in SIZES:
        raise _fault(f"size can't be {value!r}", "write one of " + ", ".join(SIZES))
    return spelled


def _duration(value: object) -> object:
    """Accept "5", since the API's own sample sends text, and tables hold nothing else."""
    number = whole_number(value)
    if number not in DURATIONS:
        raise _fault(f"duration can't be {value!r}", "write 5 or 10 (seconds)")
    return number


def _switch(value: object) -> object:
    """Accept TRUE and false from a table; `yes` and `no` are text in YAML 1.2, so they are refused."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("true", "false"):
        return word == "true"
    if not isinstance(word, bool):
        raise _fault(f"enable_prompt_expansion can't be {value!r}", "write true or false")
    return word


def _seed(value: object) -> object:
    number = whole_number(value)
    if number is None or not -1 <= number <= SEED_MAX:
        raise _fault(f"seed can't be {value!r}", f"write 0…{SEED_MAX}, or -1 for a derived one")
    return number


class Wan25Params(BaseModel):
    """Every parameter of wan-2.5-t2v."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: StrictStr = Field(
        description="What the video shows and what is heard. Over 1500 characters the service cuts silently."
    )
    negative_prompt: StrictStr = Field(
        default="",
        description="What to keep out; none: an empty text is sent. Over 500 characters the service cuts silently.",
    )
    size: Annotated[
        Literal["832*480", "480*832", "1280*720", "720*1280", "1920*1080", "1080*1920"],
        BeforeValidator(_size),
        WithJsonSchema(
            {"anyOf": [{"enum": [*SIZES, *(s.replace("*", "x") for s in SIZES)]}, _TEMPLATE]},
        ),
    ] = Field(default="1280*720", description="Width and height in pixels: 1280*720 or 1280x720.")
    duration: Annotated[
        Literal[5, 10],
        BeforeValidator(_duration),
        WithJsonSchema({"anyOf": [{"enum": [*DURATIONS, *map(str, DURATIONS)]}, _TEMPLATE]}),
    ] = Field(default=5, description="Seconds of video: 5 or 10.")
    enable_prompt_expansion: Annotated[
        StrictBool,
        BeforeValidator(_switch),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, _TEMPLATE]}),
    ] = Field(default=True, description="Let the service rewrite the prompt; a seed then fixes less of the clip.")
    seed: Annotated[
        int | None,
        BeforeValidator(_seed),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": -1, "maximum": SEED_MAX}, _TEMPLATE]}),
    ] = Field(default=None, description="0…2147483647; -1 or none: derived from the prompt and the take.")
    audio: StrictStr | None = Field(
        default=None,
        description="An https URL, or a wav or mp3 next to the manifest: 3–30 s, at most 15 MB.",
    )


SCHEMA = Wan25Params
