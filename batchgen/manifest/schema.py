"""The manifest's shape as pydantic models: what may be written where, with a description of every field."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    StrictStr,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from batchgen.manifest.faults import shown
from batchgen.manifest.naming import DEFAULT_NAME, safe_name
from batchgen.providers.models import whole_number
from batchgen.proxy import is_loopback
from batchgen.window import DAYS

DEFAULT_MODEL = "wan-2.5-t2v"
#: What a webhook and a heartbeat monitor are called by.
NOTIFY_SCHEMES = frozenset({"http", "https", "heartbeat+http", "heartbeat+https"})
_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def fault(what: str, fix: str) -> PydanticCustomError:
    """Make a pydantic error that carries our own words."""
    return PydanticCustomError("batchgen", "{what}", {"what": what, "fix": fix})


def _whole(value: object) -> int:
    number = whole_number(value)
    if number is None:
        raise fault(f"{shown(value)} is not a whole number", "write 1, 2, 3 …")
    return number


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault(f"{shown(value)} is not a number", "write 50 or 0.5")
    return value


def _money(value: object) -> Decimal:
    """Return an amount of USD; a float is read as it was written, not as its binary fraction."""
    amount = Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if amount is None or not amount.is_finite() or not 0 <= amount <= 10_000_000:
        raise fault(f"{shown(value)} is not an amount of USD", "write 120 or 0.80, without a currency sign")
    return amount


def _text(value: object) -> object:
    """Accept a whole number as a name; a fraction has to be quoted, since YAML makes 1.1 of 1.10."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _clock(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise fault(f"{shown(value)} is not a time of day", 'write "22:00"')
    return value


def _day(value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if len(word) < len("mon") or not any(name.startswith(word) for name in _DAY_NAMES):
        raise fault(f"{shown(value)} is not a day of the week", f"write one of {', '.join(DAYS)}")
    return word[:3]


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        near = difflib.get_close_matches(value, available_timezones(), n=1)
    else:
        return value
    meant = f"did you mean {near[0]}?" if near else "write a name of the IANA time zones, as in Europe/Berlin"
    raise fault(f"the time zone {shown(value)} is not known on this machine", meant)


def _folder(value: str) -> str:
    if safe_name(value) != value or not value.strip():
        raise fault(f"{shown(value)} can't be a folder's name", f"write {safe_name(value)!r}")
    return value


def _notify(value: str) -> str:
    # The text may hold a token, so it is not shown.
    if re.fullmatch(r"\$(\w+|\{\w+\})", value):
        return value
    match = re.fullmatch(r"([a-z][a-z0-9+.-]*)://\S+", value, re.IGNORECASE)
    if match is None:
        raise fault("this is not a notification address", "write https://…, heartbeat+https://… or $VARIABLE")
    if match[1].lower() in ("http", "heartbeat+http") and not is_loopback(_host(value)):
        raise fault("a notification over http can be read by others", "write https://")
    return value


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _price_table(value: object) -> Decimal | dict[str, Decimal]:
    if not isinstance(value, dict):
        return _money(value)
    spelled = {_row(str(cell)): usd for cell, usd in value.items()}
    odd = [cell for cell in spelled if not re.fullmatch(r"(?=.*\d|true|false)[^/]+(/[^/]+)*", cell)]
    found, unpriced = {}, []
    for cell, usd in spelled.items():
        try:
            found[cell] = _money(usd)
        except PydanticCustomError as error:
            unpriced.append(str((error.context or {})["what"]))
    if odd or not spelled:
        unpriced.insert(0, f"{', '.join(map(shown, odd)) or shown(value)} is not a size and duration")
    if unpriced:
        raise fault("; ".join(unpriced), 'write "1280*720/5": 0.62')
    return found


def _row(cell: str) -> str:
    """Spell the row of a price: 1280 x 720 / 5 as 1280*720/5."""
    return re.sub(r"(?<=\d)[x×](?=\d)", "*", cell.replace(" ", ""))


Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
_AMOUNT = {"type": "number", "minimum": 0}
Money: TypeAlias = Annotated[Decimal, PlainValidator(_money), WithJsonSchema(_AMOUNT)]
PriceShape: TypeAlias = Annotated[
    Decimal | dict[str, Decimal],
    PlainValidator(_price_table),
    WithJsonSchema({"anyOf": [_AMOUNT, {"type": "object", "additionalProperties": _AMOUNT}]}),
]
Text: TypeAlias = Annotated[StrictStr, BeforeValidator(_text), WithJsonSchema({"type": ["string", "integer"]})]
Clock: TypeAlias = Annotated[
    str, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$"})
]
Day: TypeAlias = Annotated[str, BeforeValidator(_day), WithJsonSchema({"type": "string", "enum": list(DAYS)})]
Cells: TypeAlias = list[dict[str, Any]]


class Shape(BaseModel):
    """What all parts share: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Cell: TypeAlias = dict[str, Any]


class MatrixShape(BaseModel):
    """Axes by name, the first the slowest; each is a list of values. `exclude` comes first, `include` after.

    The meaning is that of GitHub Actions.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Annotated[list[Any], Field(min_length=1)]]

    exclude: Cells = Field(default=[], description="Cells to leave out: those that have all of these values.")
    include: Cells = Field(default=[], description="Values to add to the cells they fit, else cells of their own.")

    def cells(self) -> list[Cell]:
        """Return all cells; a matrix with neither axes nor include is one empty cell.

        An entry of `include` is added to every cell whose original values it does not change; one that fits none is a
        cell of its own. A later entry may overwrite what an earlier one added, and never extends a cell that one added.
        """
        axes = self.model_extra or {}
        if not axes and not self.include:
            return [{}]
        product = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())) if axes else ()
        cells = [cell for cell in product if not any(_matches(cell, drop) for drop in self.exclude)]
        added: list[Cell] = []
        for entry in self.include:
            original = {name: value for name, value in entry.items() if name in axes}
            hosts = [cell for cell in cells if _matches(cell, original)]
            for cell in hosts:
                cell.update(entry)
            if not hosts:
                added.append(dict(entry))
        return cells + added


def _matches(cell: Cell, pattern: Mapping[str, Any]) -> bool:
    """Say whether every pair of the pattern is in the cell."""
    return all(name in cell and same(cell[name], value) for name, value in pattern.items())


def same(left: object, right: object) -> bool:
    """Say whether two values are equal and of one kind, so that `true` is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


class EntryShape(BaseModel):
    """What a prompt and a prompt file share; other keys are parameters of the model."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: StrictStr | None = Field(default=None, description="Another model for these clips.")
    takes: Any = Field(default=None, description="How many variations, each with its own seed: 1…1000.")
    seed: Any = Field(default=None, description="The seed of a single take; -1 or none: derived.")
    seeds: Any = Field(default=None, description="One seed for each take.")
    vars: dict[str, Any] | None = Field(default=None, description="Variables for {{ }}, above the manifest's.")
    matrix: MatrixShape | None = Field(default=None, description="The prompt's own matrix; it replaces the manifest's.")
    extra: dict[str, Any] | None = Field(default=None, description="Parameters to pass through unchecked.")
    priority: Any = Field(default=None, description="A whole number; higher is submitted first. Default 0.")


class PromptShape(EntryShape):
    """One prompt, with its own parameters."""

    id: Text | None = Field(default=None, description="A name for it; default: the prompt's first words.")
    prompt: StrictStr = Field(description="What the video shows and what is heard. {{ }} fills in variables.")


class FileShape(EntryShape):
    """A file of prompts, and parameters for all its rows."""

    file: Annotated[str, Field(min_length=1)] = Field(description="CSV, TSV, JSONL or TXT, from the manifest's folder.")
    id: Text | None = Field(default=None, description="An id for its rows, with {{ }}.")
    prompt: StrictStr | None = Field(default=None, description="A text for all rows, filled in from their columns.")


class LimitsShape(Shape):
    """How fast it may go."""

    rpm: Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="API calls per minute; 0: no limit."
    )
    in_flight: Annotated[Whole, Field(ge=1)] | None = Field(default=None, description="Clips being made at once.")
    downloads: Annotated[Whole, Field(ge=1)] | None = Field(default=None, description="Downloads at once.")
    count_polls: StrictBool | None = Field(default=None, description="Whether status checks count towards rpm.")
    submit_concurrency: Annotated[Whole, Field(ge=1)] | None = Field(default=None, description="Submissions at once.")


class BudgetShape(Shape):
    """What the batch may spend."""

    max_usd: Money | None = Field(default=None, description="USD for the batch, over all its runs.")
    max_usd_per_day: Money | None = Field(
        default=None, description="USD for what is submitted on one calendar day, local time."
    )
    max_clips: Annotated[Whole, Field(ge=0)] | None = Field(
        default=None, description="Paid submissions of the batch, over all its runs; failures are free."
    )
    allow_unknown_price: StrictBool | None = Field(
        default=None, description="Submit clips of unknown price in spite of a budget in USD."
    )


class OutputShape(Shape):
    """How files are named."""

    name: StrictStr = Field(
        default=DEFAULT_NAME,
        min_length=1,
        description="File name with id, take, seed, size, duration, model, key and all variables.",
    )


class WindowShape(Shape):
    """The hours of submission."""

    start: Clock | None = Field(default=None, description='Submit from this time on: "22:00".')
    stop_submitting: Clock | None = Field(default=None, description='Submit no more from this time on: "06:30".')
    days: Annotated[list[Day], Field(min_length=1)] = Field(
        default=[], description="The days on which a night begins: [mon, tue, wed, thu, fri]; default: all."
    )
    timezone: Annotated[StrictStr, AfterValidator(_zone)] | None = Field(
        default=None, description="Whose clock it is: Europe/Berlin; default: the machine's."
    )

    @model_validator(mode="after")
    def _has_an_end(self) -> WindowShape:
        if self.start is not None and self.stop_submitting is None:
            raise fault("window has a start and no end", 'write stop_submitting: "06:30" under it')
        return self


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "<file>" if "file" in value else "<prompt>"
    return "<text>"


Entry: TypeAlias = Annotated[
    Annotated[StrictStr, Tag("<text>")] | Annotated[PromptShape, Tag("<prompt>")] | Annotated[FileShape, Tag("<file>")],
    Discriminator(_kind),
]


class ManifestShape(Shape):
    """A batch of text-to-video clips, for batchgen."""

    name: Annotated[Text, AfterValidator(_folder)] | None = Field(
        default=None, description="The batch's name; default: the file's."
    )
    model: StrictStr = Field(default=DEFAULT_MODEL, min_length=1, description="The model. Unknown ones run unchecked.")
    defaults: dict[str, Any] = Field(default={}, description="Parameters of every clip.")
    by_model: dict[StrictStr, dict[str, Any]] = Field(
        default={},
        description="Parameters of every clip of one model, above the defaults: {veo-3.1-fast: {duration: 8}}.",
    )
    vars: dict[str, Any] = Field(default={}, description="Variables for {{ }} in any text.")
    matrix: MatrixShape = Field(default=MatrixShape(), description="Every prompt once for each cell.")
    prompts: list[Entry] = Field(min_length=1, description="Texts, prompts with parameters, and prompt files.")
    strict: StrictBool = Field(
        default=False, description="A parameter that the model is not known to have is an error."
    )
    limits: LimitsShape = Field(default=LimitsShape(), description="The pace.")
    budget: BudgetShape = Field(default=BudgetShape(), description="The limits on spending.")
    prices: dict[str, PriceShape] = Field(default={}, description='USD a clip by model: 0.80, or {"1280*720/5": 0.62}.')
    output: OutputShape = Field(default=OutputShape(), description="The files.")
    window: WindowShape | None = Field(default=None, description="The hours of submission.")
    notify: list[Annotated[StrictStr, AfterValidator(_notify)]] = Field(
        default=[], description="Whom to inform of a run: https://… (a webhook), heartbeat+https://… or $VARIABLE."
    )


#: Top-level words of an entry; everything else in it is a parameter.
ENTRY_WORDS = frozenset(PromptShape.model_fields) | {"file"}
DEFAULT_WORDS = frozenset({"takes", "seed", "seeds", "priority", "extra"})
