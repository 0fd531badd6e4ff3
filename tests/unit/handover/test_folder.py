"""A hand-over is there whole or not at all, holds what was paid for, and leaves the batch as it was."""

from __future__ import annotations

import hashlib
import os
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from handover_samples import sample

from batchgen.errors import OutputError, UsageError
from batchgen.files import mp4
from batchgen.files.findings import KeptFindings
from batchgen.handover import folder, xmp
from batchgen.handover.folder import Delivery, deliver
from batchgen.handover.lists import PROGRAMS
from batchgen.review.choice import Choice

ALL = tuple(PROGRAMS)


def kept(tmp_path: Path) -> KeptFindings:
    return KeptFindings(tmp_path / "batch")


def tree(path: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.rglob("*.mp4"))}


def test_films_are_hard_links_and_the_batch_stays_as_it_is(tmp_path: Path) -> None:
    selects = [sample(tmp_path, "fox"), sample(tmp_path, "sea", 2)]
    before = tree(tmp_path / "batch")
    done = deliver(selects, tmp_path / "out", Delivery("night", ALL), kept(tmp_path))
    assert done.copied == 0
    assert all((tmp_path / "out" / each.name).samefile(each.source) for each in selects)
    assert tree(tmp_path / "batch") == before
    assert {
        "names.txt",
        "selects.csv",
        "sha256.txt",
        "README.txt",
        "selects.fcpxml",
        "selects.xml",
        "selects.edl",
    } <= set(done.files)
    names = (tmp_path / "out" / "README.txt").read_text()
    assert all(name in names for name in done.files if name != "README.txt" and not name.startswith("contact-sheet-"))


def test_a_label_goes_into_a_copy_and_leaves_the_picture_alone(tmp_path: Path) -> None:
    """One box behind the film: all bytes before it are the original's, and the file is still a whole film."""
    chosen = sample(tmp_path, "fox", choice=Choice(pick=1, stars=3, note="a <note>"))
    done = deliver([chosen], tmp_path / "out", Delivery("night", label=True), kept(tmp_path))
    body, original = (tmp_path / "out" / chosen.name).read_bytes(), chosen.source.read_bytes()
    assert done.copied == 1
    assert body.startswith(original)
    assert mp4.inspect(tmp_path / "out" / chosen.name) == ""
    box = body[len(original) :]
    assert (int.from_bytes(box[:4]), box[4:8], box[8:24]) == (len(box), b"uuid", xmp.UUID)
    root = ET.fromstring(box[24:].decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    texts = {each.tag.partition("}")[2]: each.text for each in root.iter() if each.text and each.text.strip()}
    assert texts["DigitalSourceType"] == xmp.SOURCE_TYPE
    assert texts["Rating"] == "3"
    assert texts["logComment"] == "a <note>"
    assert "AIPromptInformation" not in texts
    assert f"{hashlib.sha256(body).hexdigest()}  {chosen.name}" in (tmp_path / "out" / "sha256.txt").read_text()


@pytest.mark.parametrize("with_prompt", [True, False])
def test_prompts_are_in_the_files_only_if_that_was_asked_for(with_prompt: bool, tmp_path: Path) -> None:
    deliver(
        [sample(tmp_path, "fox")],
        tmp_path / "out",
        Delivery("night", ALL, label=True, with_prompt=with_prompt),
        kept(tmp_path),
    )
    found = [path.name for path in (tmp_path / "out").iterdir() if b"a secret prompt" in path.read_bytes()]
    assert bool(found) is with_prompt
    if with_prompt:
        assert {"01_fox.mp4", "selects.csv", "selects.fcpxml"} <= set(found)


def test_a_film_that_has_changed_is_not_handed_over(tmp_path: Path) -> None:
    chosen = sample(tmp_path, "fox")
    chosen.source.write_bytes(chosen.source.read_bytes() + b"x")
    for label in (True, False):
        with pytest.raises(UsageError, match="has changed since it was downloaded"):
            deliver([chosen], tmp_path / "out", Delivery("night", label=label), kept(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch"]


@pytest.mark.parametrize("broken", ["_papers", "_put"])
def test_what_fails_leaves_nothing_behind(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, broken, fail)
    with pytest.raises(OutputError, match="out"):
        deliver([sample(tmp_path, "fox")], tmp_path / "out", Delivery("night"), kept(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    deliver([sample(tmp_path, "fox")], tmp_path / "out", Delivery("night"), kept(tmp_path))
    with pytest.raises(UsageError, match="exists already"):
        deliver([sample(tmp_path, "fox")], tmp_path / "out", Delivery("night"), kept(tmp_path))


def test_a_disk_without_hard_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    chosen = sample(tmp_path, "fox")
    assert deliver([chosen], tmp_path / "out", Delivery("night"), kept(tmp_path)).copied == 1
    assert (tmp_path / "out" / chosen.name).read_bytes() == chosen.source.read_bytes()


def test_a_zip_holds_one_folder(tmp_path: Path) -> None:
    done = deliver([sample(tmp_path, "fox")], tmp_path / "out", Delivery("night", as_zip=True), kept(tmp_path))
    assert done.path == tmp_path / "out.zip"
    with zipfile.ZipFile(done.path) as file:
        assert file.testzip() is None
        assert {"out/01_fox.mp4", "out/README.txt"} <= set(file.namelist())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch", "out.zip"]


def test_a_table_runs_no_formula(tmp_path: Path) -> None:
    deliver(
        [sample(tmp_path, "fox", choice=Choice(pick=1, note="＝HYPERLINK(1)"))],
        tmp_path / "out",
        Delivery("night"),
        kept(tmp_path),
    )
    assert ",'＝HYPERLINK(1)," in (tmp_path / "out" / "selects.csv").read_text()


def test_a_film_that_is_gone_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    """The trouble is with the batch, not with the folder that was asked for."""
    chosen = sample(tmp_path, "fox")
    chosen.source.unlink()
    with pytest.raises(UsageError, match=r"fox\.mp4 is missing"):
        deliver([chosen], tmp_path / "out", Delivery("night"), kept(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch"]


def test_a_strangers_folder_of_a_likely_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "mine").touch()
    deliver([sample(tmp_path, "fox")], tmp_path / "out", Delivery("night"), kept(tmp_path))
    assert (tmp_path / ".out.part" / "mine").exists()
