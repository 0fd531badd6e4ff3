"""The export: every request once, amounts exact, nothing that a spreadsheet would run, in bounded memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.clip import Clip, Request, State
from batchgen.testing import wanted
from batchgen.views.export import COLUMNS, Value, columns, csv_lines, json_lines, rows, spreadsheet_safe, write_parquet

LINK = "https://files.example/a.mp4?sig=secret"
REQUEST = Request(
    n=2, intent_at=1_795_300_000.25, request_id="r-1", submitted_at=1_795_300_000.5, completed_at=1_795_300_200.0,
    cost=312_501, url=LINK, queue_s=1.5, run_s=180.0, outcome="charged", estimate=312_500,
)  # fmt: skip
DONE = Clip(
    1, replace(wanted(0), label="city=Tokyo"), State.DONE, REQUEST, file="a.mp4", bytes=9, sha256="ab", flags="size"
)
LOST = Clip(
    2, wanted(1, prompt='=HYPERLINK("http://evil.example")'), State.LOST,
    Request(n=1, intent_at=1_795_300_000.0, reserved=1_250_000, outcome="lost"),
    reason=f"gone: see {LINK}", unwanted=True,
)  # fmt: skip
OLD = replace(DONE, request=replace(REQUEST, n=1, cost=None, outcome="failed", url=None))
TABLE = [(OLD, False), (DONE, True), (LOST, True)]


def by_name(row: list[Value]) -> dict[str, Value]:
    return dict(zip(COLUMNS, row, strict=True))


def as_csv(*, urls: bool = False) -> list[dict[str, str]]:
    text = b"".join(csv_lines(columns(urls=urls), rows(TABLE, urls=urls))).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_request_is_a_row_and_the_file_is_the_last_ones() -> None:
    """What was paid for twice is there twice; a file belongs to the request that made it."""
    old, done, lost = map(by_name, rows(TABLE))
    assert (old["attempt"], old["last"], old["file"], old["money"], old["charged_usd"]) == (
        1,
        False,
        None,
        "free",
        None,
    )
    assert (done["attempt"], done["last"], done["file"], done["money"]) == (2, True, "clips/a.mp4", "charged")
    assert (done["size"], done["duration"], done["seed"], done["prompt"]) == ("1280*720", 5.0, 1000, "shot 0")
    assert (lost["state"], lost["wanted"], lost["reserved_usd"]) == ("lost", False, Decimal("1.25"))


def test_amounts_and_times_are_exact_in_every_format(tmp_path: Path) -> None:
    """A bill that a spreadsheet rounds can't be held against another."""
    done = as_csv()[1]
    assert (done["charged_usd"], done["estimated_usd"], done["reserved_usd"]) == ("0.312501", "0.312500", "0.000000")
    assert done["submitted_at"] == "2026-11-21T22:26:40.500Z"
    line = json.loads(b"".join(json_lines(COLUMNS, rows(TABLE))).splitlines()[1])
    assert (line["charged_usd"], line["submitted_at"]) == (done["charged_usd"], done["submitted_at"])
    write_parquet(tmp_path / "x.parquet", COLUMNS, rows(TABLE))
    _, read, lost = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert (read["charged_usd"], lost["charged_usd"]) == (Decimal("0.312501"), None)
    assert read["submitted_at"] == datetime(2026, 11, 21, 22, 26, 40, 500_000, UTC)
    assert str(pq.read_schema(tmp_path / "x.parquet").field("charged_usd").type) == "decimal128(18, 6)"


def test_a_parquet_file_holds_what_the_rows_hold(tmp_path: Path) -> None:
    """All columns, all values, also over several groups and none."""
    for many in (0, 1, 2_000):
        table = list(rows(TABLE * many))
        write_parquet(tmp_path / "x.parquet", COLUMNS, table)
        assert [list(row.values()) for row in pq.read_table(tmp_path / "x.parquet").to_pylist()] == table


def test_links_are_left_out_unless_asked_for() -> None:
    """They expire, and whoever has one has the film."""
    plain = b"".join(csv_lines(COLUMNS, rows(TABLE))) + b"".join(json_lines(COLUMNS, rows(TABLE)))
    assert b"secret" not in plain
    assert as_csv(urls=True)[1]["url"] == LINK


def test_no_cell_is_a_formula() -> None:
    """A prompt from a customer's table must not run on the producer's machine."""
    assert as_csv()[2]["prompt"] == """'=HYPERLINK("http://evil.example")"""


@given(st.text())
def test_every_text_survives_and_none_starts_a_formula(text: str) -> None:
    """One apostrophe off, and the text is back."""
    safe = spreadsheet_safe(text)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert safe.removeprefix("'") == text


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_a_csv_is_read_back_as_it_was(texts: list[str]) -> None:
    """Quotes, commas, line breaks and all."""
    written = b"".join(csv_lines(["a"] * len(texts), [list(texts)])).decode()
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert [cell.removeprefix("'") for cell in row] == texts


@pytest.mark.parametrize("write", [csv_lines, json_lines])
def test_it_streams(write: object) -> None:
    """100,000 requests are not held in memory: the first piece comes long before the last row is read."""
    read = 0

    def endless() -> Iterator[tuple[Clip, bool]]:
        nonlocal read
        while read < 5_000:
            read += 1
            yield DONE, True

    assert next(write(COLUMNS, rows(endless())))  # type: ignore[operator]
    assert read < 1_000


def test_what_no_column_holds_is_empty_and_half_characters_are_borne(tmp_path: Path) -> None:
    """A model that nobody knows may have any parameters, a service may say anything."""
    odd = replace(wanted(0), params='{"prompt": "a", "seed": "seven", "duration": true}')
    clip = Clip(1, odd, State.FAILED, replace(REQUEST, url=None), reason="cut \ud83d")
    (row,) = map(by_name, rows([(clip, True)]))
    assert (row["seed"], row["duration"], row["size"]) == (None, None, None)
    assert b"".join(csv_lines(COLUMNS, rows([(clip, True)])))
    write_parquet(tmp_path / "x.parquet", COLUMNS, rows([(clip, True)]))
    assert pq.read_table(tmp_path / "x.parquet").to_pylist()[0]["reason"] == "cut ?"
