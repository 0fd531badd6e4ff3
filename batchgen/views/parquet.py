"""The same table as a Parquet file, a few thousand rows at a time; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchgen.views.export import Kind, Value

_ROWS = 5_000
_TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "seconds": pa.float64(),
    "yes": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "usd": pa.decimal128(18, 6),
}


def write_parquet(path: Path, columns: Mapping[str, Kind], table: Iterable[list[Value]]) -> None:
    """Write rows to a file; amounts are decimal128(18, 6), times microseconds in UTC.

    Raises:
        OSError: the file can't be written.
    """
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
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
    """Bear half a character, which UTF-8 can't hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
