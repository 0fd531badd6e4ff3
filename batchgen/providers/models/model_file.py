"""A model's file: JSON → `Model`, strictly. One file has all that is known of one model; adding a model is adding it.

A field that is left out is not known. What a file says is checked as a whole, so that a price row that no clip can
ever match, a default that is not allowed or a misspelt field is found when the file is read, not at 3 a.m.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar

from batchgen.money import PRICE_AXES, micro_of, to_micro
from batchgen.providers.models.base import Model, PriceTable, axis_text
from batchgen.providers.models.parameter import TYPES, Media, Parameter, ParameterError

KINDS = ("video", "image")
MEDIA = ("image", "audio", "video")
_MAX_CHARS = 1_000_000
T = TypeVar("T")


class ModelFileError(ValueError):
    """A model's file can't be used: which file, where in it, and what is wrong."""

    def __init__(self, file: str, where: str, what: str) -> None:
        super().__init__(f"{file}: {f'{where}: ' if where else ''}{what}")


class _Fault(Exception):  # noqa: N818  a step on the way to `ModelFileError`
    def __init__(self, where: str, what: str) -> None:
        super().__init__(what)
        self.where, self.what = where, what


def read_model(text: str, file: str) -> Model:
    """Read one model's file; `file` is named in errors.

    Raises:
        ModelFileError: it is no JSON, has a field that is not known, misses one, or contradicts itself.
    """
    try:
        return _model(_Fields(_json(text), ""))
    except _Fault as fault:
        raise ModelFileError(file, fault.where, fault.what) from fault


def _json(text: str) -> object:
    if len(text) > _MAX_CHARS:
        raise _Fault("", "the file is too big for a model")
    try:
        data: object = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Fault("", f"this is no JSON ({error})") from error
    return data


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


class _Fields:
    """One JSON object, of which every field is taken once; what is left over is not known."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise _Fault(where, "this must be an object")
        self._data = dict(data)
        self.where = where

    def take(self, name: str, read: Callable[[object], T | None], must: str) -> T | None:
        """Return a field; None: it is left out, or null.

        Raises:
            _Fault: `read` can make nothing of it.
        """
        value = self._data.pop(name, None)
        found = None if value is None else read(value)
        if value is not None and found is None:
            raise _Fault(self.path(name), f"this must be {must}")
        return found

    def need(self, name: str, read: Callable[[object], T | None], must: str) -> T:
        """Return a field that every file has.

        Raises:
            _Fault: it is missing, or `read` can make nothing of it.
        """
        found = self.take(name, read, must)
        if found is None:
            raise _Fault(self.path(name), "this is missing")
        return found

    def text(self, name: str) -> str:
        return self.need(name, _text, "a text")

    def word(self, name: str, words: tuple[str, ...]) -> str:
        return self.need(name, lambda value: str(value) if value in words else None, f"one of {', '.join(words)}")

    def switch(self, name: str) -> bool:
        return self.take(name, _switch, "true or false") or False

    def count(self, name: str) -> int | None:
        return self.take(name, _count, "a whole number above 0")

    def amount(self, name: str) -> Decimal | None:
        return self.take(name, lambda value: _number(value) or None, "a number above 0")

    def pair(self, name: str) -> tuple[Decimal, Decimal] | None:
        return self.take(name, _pair, "two numbers, the lower one first")

    def inner_needed(self, name: str) -> _Fields:
        return _Fields(self.need(name, _object, "an object"), self.path(name))

    def inner(self, name: str) -> _Fields | None:
        value = self.take(name, _object, "an object")
        return None if value is None else _Fields(value, self.path(name))

    def items(self) -> list[tuple[str, Any]]:
        found, self._data = list(self._data.items()), {}
        return found

    def path(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def end(self) -> None:
        """Refuse what nobody took.

        Raises:
            _Fault: a field is not known.
        """
        if self._data:
            raise _Fault(self.path(next(iter(self._data))), "this field is not known")


def _model(fields: _Fields) -> Model:
    slug, kind = fields.text("slug"), fields.word("kind", KINDS)
    as_of = fields.need("as_of", _date, "a date as 2026-11-22")
    sources = fields.need("sources", _list, "a list")
    complete = fields.need("complete", _switch, "true or false")
    named = fields.inner_needed("parameters")
    parameters = {name: _parameter(name, _Fields(value, named.path(name))) for name, value in named.items()}
    prices, spread = fields.inner("prices"), fields.pair("usd_range")
    mean, latency = fields.amount("mean_usd"), fields.amount("mean_run_s")
    fields.end()
    return Model(
        slug=slug,
        kind=kind,
        as_of=as_of,
        sources=tuple(map(str, sources)),
        complete=complete,
        parameters=MappingProxyType(parameters),
        table=None if prices is None else _table(prices, parameters, as_of),
        mean_price=to_micro(mean),
        price_range=None if spread is None else (micro_of(spread[0]), micro_of(spread[1])),
        mean_latency_s=None if latency is None else float(latency),
    )


def _parameter(name: str, fields: _Fields) -> Parameter:
    kind = fields.word("type", tuple(TYPES))
    values, bounds = fields.take("values", _list, "a list"), fields.pair("range")
    default = fields.take("default", _plain, "a text, a number, true or false")
    parameter = Parameter(
        name=name,
        type=kind,
        description=fields.text("description"),
        required=fields.switch("required"),
        values=None if values is None else tuple(values),
        low=None if bounds is None else _short(bounds[0]),
        high=None if bounds is None else _short(bounds[1]),
        default=default,
        max_chars=fields.count("max_chars"),
        media=_media(fields) if kind == "media" else None,
    )
    fields.end()
    if kind == "size" and values is None:
        raise _Fault(fields.path("values"), "this is missing")
    for value in [*(values or ()), *([] if default is None else [default])]:
        if _read(parameter, value) != value:
            raise _Fault(fields.where, f"{value!r} is not what the type {kind} makes of it")
    return parameter


def _media(fields: _Fields) -> Media:
    seconds = fields.pair("seconds")
    return Media(
        kind=fields.word("media", MEDIA),
        many=fields.switch("many"),
        max_count=fields.count("max_count"),
        max_bytes=fields.count("max_bytes"),
        seconds=None if seconds is None else (float(seconds[0]), float(seconds[1])),
    )


def _table(fields: _Fields, parameters: Mapping[str, Parameter], as_of: date) -> PriceTable:
    axes = tuple(map(str, fields.need("axes", _list, "a list")))
    source, cells = fields.text("source"), fields.inner_needed("usd")
    priced_at = fields.take("as_of", _date, "a date as 2026-11-22") or as_of
    fields.end()
    odd = [axis for axis in axes if axis not in PRICE_AXES or axis not in parameters]
    if odd:
        raise _Fault(fields.path("axes"), f"{odd[0]} is no parameter that a price can depend on")
    possible = _cells(axes, parameters)
    prices = {}
    for cell, usd in cells.items():
        amount = to_micro(_number(usd))
        if amount is None:
            raise _Fault(cells.path(cell), "this must be an amount of USD")
        if possible is not None and cell not in possible:
            raise _Fault(cells.path(cell), "no clip can have this price: the values are not allowed")
        prices[cell] = amount
    return PriceTable(axes, MappingProxyType(prices), f"estimate of {priced_at:%Y-%m}: {source}")


def _cells(axes: tuple[str, ...], parameters: Mapping[str, Parameter]) -> set[str] | None:
    """Give all rows that a clip can fall in; None: the values of an axis are not known."""
    every = [(True, False) if parameters[axis].type == "switch" else parameters[axis].values for axis in axes]
    lists = [values for values in every if values is not None]
    if len(lists) < len(every):
        return None
    return {"/".join(map(axis_text, cell)) for cell in itertools.product(*lists)}


def _read(parameter: Parameter, value: object) -> object:
    try:
        return parameter.read(value)
    except ParameterError as error:
        raise _Fault(f"parameters.{parameter.name}", f"{error.what}: {error.fix}") from error


# --- what one field may be ------------------------------------------------------------------------------


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _switch(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _list(value: object) -> list[Any] | None:
    return value if isinstance(value, list) and value else None


def _plain(value: object) -> str | int | bool | None:
    return value if isinstance(value, str | int) else None


def _number(value: object) -> Decimal | None:
    sound = isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value < 10**15
    return Decimal(value) if sound and isinstance(value, int | Decimal) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _pair(value: object) -> tuple[Decimal, Decimal] | None:
    numbers = [_number(each) for each in value] if isinstance(value, list) else []
    match numbers:
        case [Decimal() as low, Decimal() as high] if low <= high:
            return low, high
    return None


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def _short(value: Decimal) -> float:
    return int(value) if value == value.to_integral_value() else float(value)
