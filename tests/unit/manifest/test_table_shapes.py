"""Prompts come from a table by `- file: shots.csv`; every other shape of that wish is answered with this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.errors import ManifestError
from batchgen.manifest import load

SHAPES = [
    "prompts: shots.csv",
    "prompts: [shots.csv]",
    "prompts: {file: shots.csv}",
    "prompts: - file: shots.csv",
    "prompts: file: shots.csv",
    "prompts:\n  file: shots.csv",
    "prompts:\n  from: shots.csv",
    "prompts:\n  - shots.csv",
    "prompts:\n  - file shots.csv",
    "prompts:\n  - file:shots.csv",
    "prompts:\n  - '@shots.csv'",
    "prompts:\n  - prompt: shots.csv",
    "prompts:\n  - from: shots.csv",
    "prompts:\n  - csv: shots.csv",
    "prompts:\n  - text: shots.csv",
    "prompts:\n  - prompts: shots.csv",
    "prompts:\n  - import: shots.csv\n    takes: 2",
    "prompts:\n  - file: [shots.csv]",
    "prompts:\n  - file: {path: shots.csv}",
    "file: shots.csv",
    "csv: shots.csv",
    "prompt: shots.csv",
    "prompts_file: shots.csv",
]


@pytest.mark.parametrize("text", SHAPES)
def test_each_wrong_shape_of_a_table_names_the_right_one(text: str, tmp_path: Path) -> None:
    """As a text, `shots.csv` would be a clip, and paid for."""
    (tmp_path / "shots.csv").write_text("prompt\na cat\n")
    manifest = tmp_path / "n.yaml"
    manifest.write_text(text)
    with pytest.raises(ManifestError) as refused:
        load(manifest)
    (fault,) = refused.value.faults
    assert "- file: shots.csv" in fault.fix
    manifest.write_text("prompts:\n  - file: shots.csv")
    assert [clip.prompt_id for clip in load(manifest).wanted] == ["cat"]


@pytest.mark.parametrize("kind", ["csv", "CSV", "tsv", "jsonl", "ndjson", "txt"])
def test_every_kind_of_table_is_known_by_its_ending(kind: str, tmp_path: Path) -> None:
    """Also where the file is not there."""
    (tmp_path / "n.yaml").write_text(f"prompts:\n  - my/shots.{kind}")
    with pytest.raises(ManifestError, match=f"- file: my/shots.{kind}"):
        load(tmp_path / "n.yaml")


@pytest.mark.parametrize("text", ["A sign that reads notes.txt", "a cat.", "www.example.com", "the csv of a cat"])
def test_a_text_that_speaks_of_a_file_is_a_prompt(text: str, tmp_path: Path) -> None:
    """Only the bare name is none."""
    (tmp_path / "n.yaml").write_text(f"prompts:\n  - {text}")
    assert len(load(tmp_path / "n.yaml").wanted) == 1
