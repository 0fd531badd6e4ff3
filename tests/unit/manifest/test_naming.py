"""Names from prompts, tables and templates: whatever they hold, a clip's files stay in its folder and its own."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchgen.clip import State
from batchgen.errors import ManifestError, UsageError
from batchgen.files import sidecar
from batchgen.manifest import load, naming
from batchgen.manifest.naming import safe_name
from batchgen.runner.opening import Access, open_ledger
from batchgen.settings import Settings

PIECES = [
    *(
        "..",
        "/",
        "\\",
        "\0",
        "\n",
        "\u202e",
        "\u200b",
        "\ud800",
        "é",
        "e\u0301",
        "\U0001f600",
        "\u200d",
        ".",
        " ",
        "CON",
    ),
    *("nul", ".mp4", ".part", ".json", "~", "a", "A", "ß", "ss", "İ", "K", "x" * 120, "字" * 60, "\U000e0041", "com1"),
]
NAMES = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=8).map("".join)


def files_of(folder: Path, name: str) -> set[str]:
    """Name every file that a clip may have."""
    video = folder / f"{name}.mp4"
    return {video.name, f"{video.name}.part", f"{video.name}.part.json", sidecar.path_for(video).name}


def folded(name: str) -> set[str]:
    """Name the files of a clip as a disk sees them that knows neither case nor composition."""
    return {unicodedata.normalize("NFC", each.casefold()) for each in files_of(Path("clips"), name)}


@given(NAMES)
def test_every_file_of_a_clip_is_in_its_folder(text: str) -> None:
    """No separator, no climbing, nothing that a file system cuts or refuses, nothing that hides its own end."""
    folder = Path("/batch/clips")
    for name in files_of(folder, safe_name(text)):
        assert (folder / name).parent == folder and name not in {".", ".."} and not set("/\\\0\n:") & set(name)
        assert len(name.encode()) <= 255
        assert not name.startswith((".", " "))
        assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert unicodedata.is_normalized("NFC", name)


@given(NAMES, NAMES)
@example("rain", "rain.mp4.part")
@example("rain", "RAIN.MP4.PART")
def test_no_two_clips_share_a_file(one: str, other: str) -> None:
    """Sidecars, `.part`s and notes too, on a disk that knows no case and no composition."""
    first, second = safe_name(one), safe_name(other)
    if first.casefold() == second.casefold():
        return  # told as a fault, or given another name, see below
    folded = [
        {unicodedata.normalize("NFC", name.casefold()) for name in files_of(Path("c"), each)}
        for each in (first, second)
    ]
    assert not folded[0] & folded[1]


@given(NAMES)
def test_a_safe_name_is_left_as_it_is(text: str) -> None:
    """Else a name would depend on how often it was looked at."""
    assert safe_name(safe_name(text)) == safe_name(text)


SAME = {
    "case": ("Rain", "rAIN"),
    "composition": ("caf\u00e9", "cafe\u0301"),
    "compatibility of letters": ("stra\u00dfe", "STRASSE"),
    "unseen marks": ("rain\u202egpj", "rain\u200bgpj"),
    "separators": ("a/b", "a\\b"),
    "trailing dots": ("rain.", "rain"),
    "a cut end": ("x" * 150 + "\u00e9", "X" * 150 + "e\u0301"),
}


@pytest.mark.parametrize("name", SAME)
def test_names_that_some_disk_takes_for_one_are_a_fault(name: str, tmp_path: Path) -> None:
    """Both clips are paid for; one file would hold the one that came last."""
    rows = "\n".join(f"  - {{id: n{n}, prompt: shot {n}, vars: {{v: {each!r}}}}}" for n, each in enumerate(SAME[name]))
    path = tmp_path / "night.yaml"
    path.write_text(f"output: {{name: '{{{{ v }}}}'}}\nprompts:\n{rows}\n".replace("'", '"'), encoding="utf-8")
    with pytest.raises(Exception, match=r"the file name .* is also that of"):
        load(path)


def test_letters_that_only_look_alike_are_two_names() -> None:
    """No disk confuses them; a person's eye does, and the ids in the sidecars tell."""
    assert safe_name("р\u0430in") != safe_name("pain")


def test_a_name_that_the_locale_cannot_write_is_a_fault_before_anything_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found at the download, it ended each run, and the clip was never fetched."""
    monkeypatch.setattr(naming, "_ENCODING", "ascii")
    path = tmp_path / "night.yaml"
    path.write_text("prompts: [a cat, café at night]\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r":1:18: this machine can't write the file name café-night_1 \(ascii\)"):
        load(path)


def test_a_paid_clip_that_was_named_under_another_locale_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest may not have it any more, and it is still collected."""
    path = tmp_path / "night.yaml"
    path.write_text("prompts: [café at night]\n", encoding="utf-8")
    manifest, access = load(path), Access(Settings(sandbox=True), None, tmp_path)
    ledger = open_ledger(manifest, tmp_path / "night", Settings(sandbox=True), access)
    ledger.close()
    monkeypatch.setattr(naming, "_ENCODING", "ascii")
    monkeypatch.setattr("batchgen.runner.opening._COLLECTED", (State.PENDING,))
    with pytest.raises(UsageError, match="can't write the file name café-night_1"):
        open_ledger(manifest, tmp_path / "night", Settings(sandbox=True), access)


# --- ids that nobody gave -----------------------------------------------------------------------------------

MADE: dict[str, tuple[str, list[str]]] = {
    "the template's words, then the cell": (
        """
vars: {brand: Kestrel}
matrix: {city: [Tokyo], time: [night]}
prompts:
  - A courier on a {{ brand }} bike crosses {{ city }} at {{ time }}
""",
        ["courier-bike-crosses_tokyo-night_1"],
    ),
    "at most 40 characters, cut at a word": (
        "prompts: [An old lighthouse keeper climbs the stairs with a lantern in his hand]",
        ["old-lighthouse-keeper-climbs-stairs_1"],
    ),
    "an id that was given goes before the cell": (
        "matrix: {city: [Oslo]}\nprompts: [{id: the-courier, prompt: 'In {{ city }}'}]", ["the-courier-oslo_1"],
    ),
    "short words where there are no others": ("prompts: [On and on]", ["on-and-on_1"]),
    "statements and comments are no words": (
        "prompts: ['{% if 1 %}Rain{# not snow #}{% endif %} falls']", ["rain-falls_1"],
    ),
    "the cell where a prompt is nothing but variables": (
        "matrix: {shot: [Rain falls]}\nprompts: ['{{ shot }}']", ["rain-falls_1"],
    ),
    "its text where there is no cell either": (
        "prompts: [{prompt: '{{ shot }}', vars: {shot: A red fox}}]", ["a-red-fox_1"],
    ),
    "the text where templates have the same words": (
        "prompts: [{prompt: 'A {{ x }} runs', vars: {x: dog}}, {prompt: 'A {{ x }} runs', vars: {x: cat}}]",
        ["dog-runs_1", "cat-runs_1"],
    ),
    "a hash where the texts have the same words": (
        "prompts: [Rain falls., Rain falls!]", ["rain-falls-41e241_1", "rain-falls-4b3453_1"],
    ),
    "no words at all": ("prompts: ['\U0001f3ac']", ["clip_1"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MADE)
def test_a_file_is_called_after_the_words_of_its_prompt(case: str, tmp_path: Path) -> None:
    """What a person reads in the folder says which shot it is."""
    text, names = MADE[case]
    path = tmp_path / "night.yaml"
    path.write_text(text, encoding="utf-8")
    assert [clip.name for clip in load(path).wanted] == names


def test_an_edit_of_a_variable_keeps_the_name(tmp_path: Path) -> None:
    """So the new film takes the place of the old one."""
    path = tmp_path / "night.yaml"
    names = []
    for brand in ("Kestrel", "Merlin"):
        path.write_text(f"vars: {{brand: {brand}}}\nprompts: ['A courier on a {{{{ brand }}}} bike']", encoding="utf-8")
        [clip] = load(path).wanted
        names.append(clip.name)
    assert names == ["courier-bike_1"] * 2


def test_rows_of_a_table_are_called_after_their_texts(tmp_path: Path) -> None:
    """They differ in nothing else; one more row renames none."""
    path = tmp_path / "night.yaml"
    path.write_text("prompts: [{file: shots.csv, prompt: 'A {{ what }} in the rain'}]", encoding="utf-8")
    for rows in (["fox"], ["fox", "red bus"]):
        (tmp_path / "shots.csv").write_text("\n".join(["what", *rows]), encoding="utf-8")
        names = [clip.name for clip in load(path).wanted]
        assert names == ["fox-rain_1", "red-bus-rain_1"][: len(rows)]
