"""Prompt files: rows, columns, and faults that name their line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import ManifestError
from batchgen.manifest import Manifest, load


def batch(folder: Path, name: str, content: bytes | str, more: str = "") -> Path:
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    path = folder / "night.yaml"
    path.write_text(f"prompts:\n  - {{file: {name}{more}}}\n")
    return path


def sent(manifest: Manifest) -> list[dict[str, Any]]:
    return [json.loads(wanted.params) for wanted in manifest.wanted]


def faults_of(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(path)
    return [str(fault).removeprefix(f"{path.parent}/") for fault in caught.value.faults]


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_table_as_excel_saves_it_is_read(tmp_path: Path, delimiter: str) -> None:
    """A BOM, a semicolon, CRLF, TRUE, capitals, empty cells, quoted line ends."""
    rows = ["ID,Prompt,Size,Enable Prompt Expansion", 's1,"rain, or\nsnow",832x480,TRUE', "s2,fog,,", ",,,"]
    text = "\r\n".join(row.replace(",", delimiter) for row in rows)
    manifest = load(batch(tmp_path, "p.csv", b"\xef\xbb\xbf" + text.encode(), ", size: 1080*1920"))
    assert [w.prompt_id for w in manifest.wanted] == ["s1", "s2"]
    assert [p["size"] for p in sent(manifest)] == ["832*480", "1080*1920"]
    assert sent(manifest)[0]["enable_prompt_expansion"] is True
    assert manifest.files == {"p.csv": hashlib.sha256((tmp_path / "p.csv").read_bytes()).hexdigest()}


def test_all_kinds_of_prompt_files_are_read(tmp_path: Path) -> None:
    """People have lists in every shape."""
    lines = '{"prompt": "a {{ x }}", "x": 5, "seeds": [1, 2]}\n\n{"prompt": "b", "vars": {"y": 1}, "size": null}\n'
    assert [p["prompt"] for p in sent(load(batch(tmp_path, "p.jsonl", lines)))] == ["a 5", "a 5", "b"]
    assert [p["prompt"] for p in sent(load(batch(tmp_path, "p.txt", "# no\n\nrain #4\n fog\n")))] == ["rain #4", "fog"]
    assert [p["prompt"] for p in sent(load(batch(tmp_path, "p.tsv", "prompt\tx\nrain, fog\t1\n")))] == ["rain, fog"]


def test_columns_fill_in_the_prompt_of_the_entry(tmp_path: Path) -> None:
    """Mail merge: a table and {{ column }}."""
    path = batch(tmp_path, "p.csv", "city,time\nTokyo,dawn\nOslo,night\n", ', prompt: "{{ city }} at {{ time|upper }}"')
    assert [p["prompt"] for p in sent(load(path))] == ["Tokyo at DAWN", "Oslo at NIGHT"]


@pytest.mark.parametrize(
    ("name", "content", "sign"),
    [
        ("p.csv", "prompt,size\na,832*480\nb,900*900\n", "p.csv:3:1: size can't be '900*900'"),
        ("p.csv", 'prompt\n"a\nb"\n{{ nope }}\n', "p.csv:4:1: prompt: '{{ nope }}'"),
        ("p.csv", "city\nTokyo\n", "p.csv:1:1: no column is named prompt: rename the column"),
        ("p.csv", "prompt,x\na,b,c\n", "p.csv:2:1: the row has 3 cells, and the header 2"),
        ("p.csv", "prompt,x,x\na,b,c\n", "p.csv:1:1: the column x appears twice"),
        ("p.csv", 'prompt\n"a\nb\nc\n', 'p.csv:2:1: a " of this row is not closed'),
        ("p.csv", 'prompt\nx\n"Run!" she yells\n', "p.csv:3:1: the table can't be read from this row on"),
        ("p.csv", "id,text\na,fox\nb,owl\n", "p.csv:1:1: no column is named prompt: did you mean 'text'?"),
        ("p.csv", "Prompts;x\na;1\n", "did you mean 'Prompts'?"),
        ("p.csv", "A fox runs through the snow at dawn\nAn owl\n", "p.csv:1:1: the first row looks like a prompt"),
        ("p.csv", "", "p.csv: the table is empty"),
        ("p.csv", "prompt,api_key\na,b\n", "p.csv:1:1: an API key must not be"),
        ("p.csv", "prompt\nSG_0123456789abcdef\n", "p.csv:2:1: an API key is written here"),
        ("p.csv", b"prompt\na\nGr\xfc\xdfe\n", "p.csv:3:3: this is not UTF-8"),
        ("p.csv", "prompt\na\n".encode("utf-16"), "p.csv: the file is UTF-16"),
        ("p.csv", "prompt,takes\na,x\n", "p.csv:2:1: takes can't be 'x'"),
        ("p.csv", "id,prompt\nx,a\nx,b\n", "p.csv:3:1: the id x is also that of"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": \n', "p.jsonl:2:11: this line is not JSON"),
        ("p.jsonl", '{"prompt": "a", "prompt": "b"}\n', "a key appears twice"),
        ("p.jsonl", "[1]\n", "p.jsonl:1:1: this line is not a JSON object"),
        ("p.jsonl", '{"prompt": "\\ud800"}\n', "prompt contains half of a character"),
        ("p.jsonl", '{"prompt": 5}\n', "p.jsonl:1:1: prompt is 5"),
        ("p.jsonl", '{"prompt": "a", "extra": {"x": NaN}}\n', "x can't be sent as JSON"),
        ("p.txt", "# nothing\n", "night.yaml:2:12: p.txt has no prompts"),
        ("p.docx", "a", "the extension does not say"),
    ],
)
def test_faults_of_a_prompt_file_name_its_line(tmp_path: Path, name: str, content: bytes | str, sign: str) -> None:
    """Row 3,817 of a table is not found by hand."""
    faults = faults_of(batch(tmp_path, name, content))
    assert any(sign in fault for fault in faults), faults
    assert "SG_0123456789abcdef" not in "".join(faults)


def test_a_column_that_is_nearly_a_parameter_is_warned_of(tmp_path: Path) -> None:
    """As a variable that nobody uses it would be dropped in silence."""
    [warning] = load(batch(tmp_path, "p.csv", "prompt,durration\na,10\n")).warnings
    assert "did you mean duration?" in str(warning)


def test_a_table_without_a_prompt_column_is_one_fault(tmp_path: Path) -> None:
    """A thousand rows that say the same hide everything else."""
    assert len(faults_of(batch(tmp_path, "p.csv", "text\n" + "fox\n" * 50))) == 1


LINES = ["a cat", "a dog", "a bird"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\u2029", "\x85"])
def test_lines_of_text_may_end_as_any_program_ends_them(tmp_path: Path, end: str) -> None:
    """Three prompts that become one clip are paid for, and useless."""
    assert [p["prompt"] for p in sent(load(batch(tmp_path, "p.txt", end.join(LINES) + end)))] == LINES


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("p.jsonl", [json.dumps({"prompt": text}) for text in LINES]),
        ("p.csv", ["prompt,x", *(f"{text},1" for text in LINES)]),
        ("p.csv", ["id;prompt", *(f'{n};"{text}"' for n, text in enumerate(LINES))]),
        ("p.csv", ["sep=|", "id|prompt", *(f"{n}|{text}" for n, text in enumerate(LINES))]),
        ("p.csv", ["id|prompt", *(f"{n}|{text}" for n, text in enumerate(LINES))]),
        ("p.csv", ['"sep=;"', "id;prompt", *(f"{n};{text}" for n, text in enumerate(LINES))]),
        ("p.csv", ["", "sep=", "id;prompt", *(f"{n};{text}" for n, text in enumerate(LINES))]),
        ("p.tsv", ["id\tprompt", *(f"{n}\t{text}" for n, text in enumerate(LINES))]),
    ],
)
def test_tables_are_read_whatever_ends_a_line_and_stands_between_cells(
    tmp_path: Path, end: str, name: str, rows: list[str]
) -> None:
    """Old Macs, Windows, Excel in Europe, databases."""
    assert [p["prompt"] for p in sent(load(batch(tmp_path, name, end.join(rows) + end)))] == LINES


def test_a_line_separator_within_json_is_part_of_the_text(tmp_path: Path) -> None:
    """JSON allows it unescaped, and Python writes it so."""
    assert [p["prompt"] for p in sent(load(batch(tmp_path, "p.jsonl", '{"prompt": "a\u2028b"}\n')))] == ["a\u2028b"]


@pytest.mark.parametrize(
    ("rows", "prompts"),
    [
        (['a\t"We came', 'b\tand he left"', "c\ta dog"], ['"We came', 'and he left"', "a dog"]),
        (['a\t"Hello there"'], ['"Hello there"']),
        (['a\t"Run!" she yells'], ['"Run!" she yells']),
        (['a\tshe yells "Run!"'], ['she yells "Run!"']),
        (['a\t"rain, or fog"'], ["rain, or fog"]),
        (['a\t"she said ""no"" twice"'], ['she said "no" twice']),
        (['a\t"a tab\there"'], ["a tab\there"]),
        (['a\t"We came', 'and left"', "b\ta dog"], ["We came\nand left", "a dog"]),
        (['a\t"never closed', "b\ta dog"], ['"never closed', "a dog"]),
        (['a\t"x', "b\ty", 'c\tz"'], ['"x', "y", 'z"']),
    ],
)
def test_a_quote_in_a_tsv_file_is_text_unless_it_is_round_a_whole_cell(
    tmp_path: Path, rows: list[str], prompts: list[str]
) -> None:
    """Sheets write no quotes of their own; Excel does, where a cell needs them."""
    assert [
        p["prompt"] for p in sent(load(batch(tmp_path, "p.tsv", "\n".join(["id\tprompt", *rows]) + "\n")))
    ] == prompts


def test_a_tsv_file_with_a_quoted_header_has_quotes_round_every_cell(tmp_path: Path) -> None:
    """As pandas and LibreOffice write it when asked to quote all."""
    manifest = load(batch(tmp_path, "p.tsv", '"id"\t"prompt"\n"a"\t"Hello"\n'))
    assert [(w.prompt_id, p["prompt"]) for w, p in zip(manifest.wanted, sent(manifest), strict=True)] == [
        ("a", "Hello")
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", 'id,prompt\na,"We came\nb,and he left"\nc,a dog\n'),
        ("p.tsv", 'id\tprompt\na\t"We came\nand left"\n'),
    ],
)
def test_a_quoted_text_that_may_have_swallowed_a_row_is_warned_of(tmp_path: Path, name: str, content: str) -> None:
    """One quote that is not closed where it was meant to be takes a prompt away."""
    [warning] = load(batch(tmp_path, name, content)).warnings
    assert ":2:1: a text in quotes goes on" in str(warning)


def test_lines_of_text_that_are_comments_are_warned_of(tmp_path: Path) -> None:
    """`#1 fan dancing` is a prompt to its writer."""
    [warning] = load(batch(tmp_path, "p.txt", "a fox\n#1 fan dancing\n# note\n")).warnings
    assert ":2:1: a line that begins with # is a comment and makes no clip (and 1 more)" in str(warning)


@pytest.mark.parametrize(
    ("name", "form"), [("p.csv", "prompt,{0}\na,{1}\n"), ("p.jsonl", '{{"prompt":"a","{0}":{1}}}\n')]
)
@pytest.mark.parametrize(
    ("word", "value"), [("duration", "5.0"), ("takes", "2.0"), ("seed", "42.0"), ("priority", "1.0")]
)
def test_whole_numbers_as_pandas_writes_them_are_whole_numbers(
    tmp_path: Path, name: str, form: str, word: str, value: str
) -> None:
    """A column with one empty cell is a column of floats to it; the clip is the same one."""
    plain = load(batch(tmp_path, name, form.format(word, value.removesuffix(".0"))))
    assert load(batch(tmp_path, name, form.format(word, value))).wanted == plain.wanted


@pytest.mark.parametrize("value", ["5.5", "nan", "1e3", "0x5", "٥"])
def test_what_is_no_whole_number_is_refused(tmp_path: Path, value: str) -> None:
    """Rounding it would be a guess."""
    for word in ("duration", "takes", "seed", "priority"):
        [fault] = faults_of(batch(tmp_path, "p.csv", f"prompt,{word}\na,{value}\n"))
        assert f"{word} can't be {value!r}" in fault


@pytest.mark.parametrize("blank", ["\u200b", "\ufeff\u200d", "\u3164", "\u2800 \u00ad", "\ufe0f"])
def test_a_prompt_that_shows_nothing_is_empty(tmp_path: Path, blank: str) -> None:
    """Its clip would be paid for; in a table an empty cell leaves the defaults."""
    assert "prompt is empty" in str(faults_of(batch(tmp_path, "p.jsonl", json.dumps({"prompt": blank}))))
    assert "has no prompts" in str(faults_of(batch(tmp_path, "p.txt", blank + "\n")))
    assert "p.csv:2:1: prompt is missing" in str(faults_of(batch(tmp_path, "p.csv", f"id,prompt\na,{blank}\n")))


def test_an_emoji_with_joiners_shows_something(tmp_path: Path) -> None:
    """The characters that join it are invisible by themselves."""
    assert len(load(batch(tmp_path, "p.txt", "\u200d👩\u200d🚀\n")).wanted) == 1
