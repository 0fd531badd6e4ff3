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
        ("p.csv", "city\nTokyo\n", "p.csv:2:1: prompt is missing"),
        ("p.csv", "prompt,x\na,b,c\n", "p.csv:2:1: the row has 3 cells, and the header 2"),
        ("p.csv", "prompt,x,x\na,b,c\n", "p.csv:1:1: the column x appears twice"),
        ("p.csv", 'prompt\n"a\n', "the table can't be read"),
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
