"""Every request of a batch as a row of a table: CSV, JSON lines and Parquet, for spreadsheets and programs.

Amounts are exact decimals, times UTC. Links are left out unless they are asked for: they expire, and may hold a secret.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from batchgen.billing.bill import kind_of
from batchgen.clip import Clip, Request
from batchgen.money import decimal_usd
from batchgen.views.text import bare_urls, stamp_utc

#: What a column holds; "usd" is a Decimal with 6 places, "time" a datetime in UTC, "seconds" a float.
Kind: TypeAlias = str
Value: TypeAlias = str | int | float | bool | Decimal | datetime | None

#: Column → what it holds. Their names and their order are stable; new ones may be added at the end.
COLUMNS: Mapping[str, Kind] = {
    "clip_key": "text", "clip": "text", "prompt_id": "text", "take": "whole", "cell": "text", "model": "text",
    "size": "text", "duration": "seconds", "seed": "whole", "prompt": "text", "state": "text", "wanted": "yes",
    "reroll_of": "text", "attempt": "whole", "last": "yes", "request_id": "text", "outcome": "text", "money": "text",
    "intent_at": "time", "submitted_at": "time", "completed_at": "time", "queue_s": "seconds", "run_s": "seconds",
    "estimated_usd": "usd", "charged_usd": "usd", "reserved_usd": "usd",
    "file": "text", "bytes": "whole", "sha256": "text", "flags": "text", "reason": "text",
    "pick": "whole", "stars": "whole", "label": "text", "tags": "text", "note": "text", "reject_reason": "text",
}  # fmt: skip
URL_COLUMN: Mapping[str, Kind] = {"url": "text"}
#: What a spreadsheet takes for the start of a formula, in ASCII and full width; and the sign that we put before it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
_FLUSH = 1 << 16


def columns(*, urls: bool = False) -> Mapping[str, Kind]:
    """Give the columns of an export, with the links if they are asked for."""
    return {**COLUMNS, **URL_COLUMN} if urls else COLUMNS


def rows(
    requests: Iterable[tuple[Clip, bool]], choices: Mapping[str, Mapping[str, Any]] = {}, *, urls: bool = False
) -> Iterator[list[Value]]:
    """Give a row for each request, one at a time: its values in the order of `columns`.

    Args:
        requests: each as its clip with it as `request`, and whether it is the clip's last.
        choices: what was chosen about a clip, by its key; one that is missing is undecided.
        urls: add the link.
    """
    for clip, last in requests:
        if clip.request is not None:
            row = [*_of_clip(clip), *_of_request(clip.request, last=last), *_of_file(clip, last=last)]
            row += _of_choice(choices.get(clip.key, {}))
            yield [*row, clip.request.url] if urls else row


def _of_clip(clip: Clip) -> Iterator[Value]:
    wanted, params = clip.wanted, json.loads(clip.wanted.params)
    yield from (wanted.key, wanted.name, wanted.prompt_id, wanted.take, wanted.label, wanted.model)
    yield str(params["size"]) if params.get("size") is not None else None
    yield float(params["duration"]) if _is_number(params.get("duration")) else None
    yield params.get("seed") if isinstance(params.get("seed"), int) and _is_number(params.get("seed")) else None
    yield str(params["prompt"]) if params.get("prompt") is not None else None
    yield from (str(clip.state), not clip.unwanted, wanted.reroll_of)


def _of_request(request: Request, *, last: bool) -> Iterator[Value]:
    yield from (request.n, last, request.request_id, request.outcome, str(kind_of(request)))
    yield from (_time(request.intent_at), _time(request.submitted_at), _time(request.completed_at))
    yield from (request.queue_s, request.run_s)
    yield from (_usd(request.estimate), _usd(request.cost), _usd(request.reserved))


def _of_file(clip: Clip, *, last: bool) -> Iterator[Value]:
    """The clip's file and reason belong to its last request only."""
    if not last:
        yield from (None, None, None, "", "")
        return
    yield f"clips/{clip.file}" if clip.file else None
    yield from (clip.bytes, clip.sha256, clip.flags, bare_urls(clip.reason))


def _of_choice(choice: Mapping[str, Any]) -> Iterator[Value]:
    yield from (choice.get("pick", 0), choice.get("stars", 0), choice.get("label", ""))
    yield from (", ".join(choice.get("tags", ())), choice.get("note", ""), choice.get("reason", ""))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def _usd(micro: int | None) -> Decimal | None:
    return None if micro is None else decimal_usd(micro).quantize(Decimal("0.000001"))


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


# --- as text ----------------------------------------------------------------------------------------------


def csv_lines(names: Iterable[str], table: Iterable[list[Value]]) -> Iterator[bytes]:
    """Give a table as CSV (RFC 4180, UTF-8), in pieces of some size; unknown values are empty.

    A text that a spreadsheet would take for a formula, and one that begins with an apostrophe, gets an apostrophe
    before it: take one off to have the text back.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in table:
        writer.writerow([_cell(value) for value in row])
        if text.tell() > _FLUSH:
            yield _taken(text)
    yield _taken(text)


def json_lines(names: Iterable[str], table: Iterable[list[Value]]) -> Iterator[bytes]:
    """Give a table as one JSON object a line; amounts and times are texts, so that no reader rounds them."""
    heads = list(names)
    for row in table:
        values = dict(zip(heads, map(_json_value, row), strict=True))
        yield (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "replace")


WRITERS: Mapping[str, Callable[[Iterable[str], Iterable[list[Value]]], Iterator[bytes]]] = {
    "csv": csv_lines,
    "jsonl": json_lines,
}


def spreadsheet_safe(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cell(value: Value) -> str:
    if isinstance(value, str):
        return spreadsheet_safe(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(_json_value(value))


def _json_value(value: Value) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, datetime):
        return stamp_utc(value.timestamp())
    return f"{value:f}" if isinstance(value, Decimal) else value


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return piece


# --- as Parquet -------------------------------------------------------------------------------------------

_ROWS = 5_000


def write_parquet(file: Path | BinaryIO, columns: Mapping[str, Kind], table: Iterable[list[Value]]) -> None:
    """Write rows to a file; amounts are decimal128(18, 6), times microseconds in UTC.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        OSError: the file can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(),
        "whole": pa.int64(),
        "seconds": pa.float64(),
        "yes": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "usd": pa.decimal128(18, 6),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(iter(table)):
            arrays = [
                pa.array([_whole_text(value) for value in values], type=field.type)
                for values, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _groups(table: Iterator[list[Value]]) -> Iterator[list[list[Value]]]:
    while group := list(islice(table, _ROWS)):
        yield group


def _whole_text(value: Value) -> Value:
    """Replace half a character, which UTF-8 can't hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
