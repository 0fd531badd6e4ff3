"""One parameter of a model: what it may be, what becomes of it, and what an editor shows. Pure.

The type says how a value is read; values of a fixed set are compared after that. All readers accept what tables hold
(texts), since a cell of a CSV file is nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: A text with something to fill in passes an editor's check.
_TEMPLATE: Final = {"type": "string", "pattern": r"\{[\{%]"}


class ParameterError(ValueError):
    """A value that the parameter can't have: `what`, and how to `fix` it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Media:
    """What a parameter of type "media" takes; None: not known."""

    kind: str  #: "image", "audio" or "video"
    many: bool = False  #: a list of them
    max_count: int | None = None
    max_bytes: int | None = None
    seconds: tuple[float, float] | None = None  #: the shortest and the longest


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. What is None is not known, and not checked."""

    name: str
    type: str  #: one of `TYPES`
    description: str
    required: bool = False
    values: tuple[Any, ...] | None = None  #: all that are allowed
    low: float | None = None
    high: float | None = None
    default: Any = None  #: sent when nothing is written, and left out of keys; None: none is sent
    max_chars: int | None = None  #: above which the service cuts silently
    media: Media | None = None

    def read(self, value: object) -> object:
        """Return a value as it is sent.

        Raises:
            ParameterError: it can't be one.
        """
        return TYPES[self.type](self, value)

    @property
    def allowed(self) -> str:
        """Say what may be written, in words; "" where that is not known."""
        if self.type == "switch":
            return "true or false"
        if self.values is None and self.low is None:
            return "a text" if self.type == "text" else ""
        if self.values is None:
            return f"{self.low:g}…{self.high:g}"
        words = [str(value) for value in self.values]
        if self.type in ("whole", "digits"):
            unit = " (seconds)" if self.name == "duration" else ""
            return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) + unit
        return f"one of {', '.join(words)}"

    def json_schema(self) -> dict[str, Any]:
        """Give its part of the JSON Schema for editors."""
        schema = {**self._value_schema(), "description": self.description, "title": self.name.replace("_", " ").title()}
        if self.required or (self.type == "text" and self.default is None):
            return schema
        return {"default": self.default, **schema}

    def _value_schema(self) -> dict[str, Any]:
        match self.type:
            case "size":
                sizes = self.values or ()
                return {"anyOf": [{"enum": [*sizes, *(size.replace("*", "x") for size in sizes)]}, _TEMPLATE]}
            case "digits":
                every: dict[str, Any] = {"type": ["integer", "string"]}
                if self.values:
                    every = {"enum": [*self.values, *map(int, self.values)]}
                return {"anyOf": [every, _TEMPLATE]}
            case "whole" | "number" | "seed":
                return {"anyOf": [self._number_schema(), _TEMPLATE]}
            case "switch":
                return {"anyOf": [{"type": "boolean"}, _TEMPLATE]}
            case "media":
                each: dict[str, Any] = {"type": "string"}
                return {"anyOf": [{"type": "array", "items": each} if self.many else each, {"type": "null"}]}
            case "any":
                return {}
        return {"anyOf": [{"enum": [*self.values]}, _TEMPLATE]} if self.values else {"type": "string"}

    def _number_schema(self) -> dict[str, Any]:
        if self.values is not None:
            return {"enum": [*self.values, *map(str, self.values)]}
        low = -1 if self.type == "seed" else self.low
        bounds = {"minimum": low, "maximum": self.high} if low is not None else {}
        return {"type": "number" if self.type == "number" else "integer", **bounds}

    @property
    def many(self) -> bool:
        """Say whether it takes a list."""
        return self.media is not None and self.media.many


def whole_number(value: object) -> int | None:
    """Read a whole number as people and tables write it: 5, 5.0, "5", "5.0" (pandas writes these); None: it is none.

    The one rule for every whole number of a manifest: parameters, takes, seeds, priorities, limits and caps.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+]?[0-9]{1,18})(?:\.0*)?\s*", value, re.ASCII)
        return int(match[1]) if match else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# --- how each type is read ------------------------------------------------------------------------------


def _refused(parameter: Parameter, value: object) -> ParameterError:
    text = f"{value!r}"
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    return ParameterError(f"{parameter.name} can't be {shown}", f"write {parameter.allowed or 'a number'}")


def _text(parameter: Parameter, value: object) -> object:
    if not isinstance(value, str):
        text = f"{value!r}"
        shown = text if len(text) <= 60 else f"{text[:57]}…"
        fix = "write a text, in quotes if it looks like something else"
        raise ParameterError(f"{parameter.name} is {shown}", fix)
    if parameter.values is not None and value.strip() not in parameter.values:
        raise _refused(parameter, value)
    return value.strip() if parameter.values is not None else value


def _size(parameter: Parameter, value: object) -> object:
    """Accept 1280x720 as a spelling of 1280*720."""
    spelled = re.sub(r"\s*[x×*]\s*", "*", value.strip().lower()) if isinstance(value, str) else value
    if spelled not in (parameter.values or ()):
        raise _refused(parameter, value)
    return spelled


def _whole(parameter: Parameter, value: object) -> object:
    """Accept "5", since the API's own sample sends text, and tables hold nothing else."""
    number = whole_number(value)
    if number is None or not _fits(parameter, number):
        raise _refused(parameter, value)
    return number


def _digits(parameter: Parameter, value: object) -> object:
    """Accept 5 for "5": the API takes a whole number as a text."""
    number = whole_number(value)
    text = str(number)
    if number is None or (parameter.values is not None and text not in parameter.values):
        raise _refused(parameter, value)
    return text


def _number(parameter: Parameter, value: object) -> object:
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError as error:
        raise _refused(parameter, value) from error
    if isinstance(number, bool) or not isinstance(number, int | float) or not _fits(parameter, number):
        raise _refused(parameter, value)
    return number


def _fits(parameter: Parameter, number: float) -> bool:
    if parameter.values is not None:
        return number in parameter.values
    return abs(number) < float("inf") and (
        parameter.low is None or parameter.high is None or parameter.low <= number <= parameter.high
    )


def _switch(parameter: Parameter, value: object) -> object:
    """Accept TRUE and false from a table; `yes` and `no` are text in YAML 1.2, so they are refused."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("true", "false"):
        return word == "true"
    if not isinstance(word, bool):
        raise _refused(parameter, value)
    return word


def _media(parameter: Parameter, value: object) -> object:
    """Accept a text, or a list of them where the model takes one; what they name is for the manifest to check."""
    if not parameter.many:
        return _text(parameter, value)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ParameterError(f"{parameter.name} is no list of links", "write [https://…, https://…]")
    most = parameter.media.max_count if parameter.media else None
    if most is not None and len(texts) > most:
        raise ParameterError(f"{parameter.name} has {len(texts)} entries", f"the model takes {most} at most")
    return texts


TYPES: Final[Mapping[str, Callable[[Parameter, object], object]]] = {
    "text": _text,
    "size": _size,
    "whole": _whole,
    "digits": _digits,
    "number": _number,
    "switch": _switch,
    "seed": _whole,
    "media": _media,
    "any": lambda _, value: value,  # nothing is known of it
}
