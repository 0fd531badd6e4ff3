"""The parts of the expansion, each for itself: matrix, templates, names, audio, prices."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import ManifestError
from batchgen.manifest import load
from batchgen.manifest.audio import AudioError, check_url, inspect
from batchgen.manifest.faults import TextError
from batchgen.manifest.naming import MAX_BYTES, clean_id, safe_name, slug
from batchgen.manifest.schema import MatrixShape
from batchgen.manifest.templates import Templates
from batchgen.providers.models import Media, Prices, estimate, find

SOUND = Media("audio", max_bytes=15_000_000, seconds=(3.0, 30.0))

# --- matrix ---------------------------------------------------------------------------------------------


def test_the_product_is_in_the_order_written_the_first_key_slowest() -> None:
    """The order of the folder in the morning."""
    cells = MatrixShape(a=[1, 2], b=["x", "y"]).cells()
    assert [tuple(cell.values()) for cell in cells] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert MatrixShape().cells() == [{}]


def test_cells_that_make_the_same_clip_make_it_once(tmp_path: Path) -> None:
    """All cells of a prompt stand in the same line: their clips are told apart by what they are."""
    path = tmp_path / "same.yaml"
    path.write_text("matrix: {word: [a, b]}\nprompts: [rain]\n")
    manifest = load(path)
    assert len(manifest.wanted) == 1
    assert [fault.what for fault in manifest.warnings] == ["several cells of the matrix make the same clip here"]


def test_cells_cannot_share_a_given_id(tmp_path: Path) -> None:
    """A file name for each clip: an id that leaves the cell out is a fault where cells differ."""
    path = tmp_path / "ids.yaml"
    path.write_text('matrix: {word: [a, b]}\nprompts: [{id: "{{ \'x\' }}", prompt: "rain {{ word }}"}]\n')
    with pytest.raises(ManifestError, match="the id x is also that of"):
        load(path)


def test_an_axis_may_have_any_name() -> None:
    """Also one that our own code has a use for."""
    named = {"axes": [1], "cells": ["a", "b"], "copy": [True]}
    made = MatrixShape.model_validate(named).cells()
    assert made == [{"axes": 1, "cells": "a", "copy": True}, {"axes": 1, "cells": "b", "copy": True}]


def test_exclude_comes_first_and_matches_in_part() -> None:
    """As GitHub Actions does; an excluded cell can be included again."""
    matrix = MatrixShape(a=[1, 2], b=["x", "y"], exclude=[{"a": 1}], include=[{"a": 1, "b": "x"}])
    assert matrix.cells() == [{"a": 2, "b": "x"}, {"a": 2, "b": "y"}, {"a": 1, "b": "x"}]


def test_include_has_the_meaning_of_github_actions() -> None:
    """The example of GitHub's own documentation, cell by cell."""
    matrix = MatrixShape(
        fruit=["apple", "pear"],
        animal=["cat", "dog"],
        include=[
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    )
    assert matrix.cells() == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


# --- templates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("50% off $5 #4 {a|b} {x}", "50% off $5 #4 {a|b} {x}"),
        ("{{ x }} and {{x}}", "5 and 5"),
        ("{{ x + 1 }} {{ s|upper }} {{ s.title() }}", "6 RAIN Rain"),
        ("{% if x > 3 %}big{% else %}small{% endif %}", "big"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{{ [s, s]|join(', ') }}{{ '{{' }}", "rain, rain{{"),
        ("{{ nope|default('none') }}", "none"),
    ],
)
def test_texts_are_filled_in(text: str, filled: str) -> None:
    """What people write in prompts comes through, brackets of other tools too."""
    assert Templates().fill(text, {"x": 5, "s": "rain"}) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{{ nope }}",
        "{{ x",
        "{{ x.__class__ }}",
        "{{ 'a' * 10**9 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ x * 99999999999 }}",
        "{{ '%0999999999d' % 1 }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}",
        "{% for i in range(999) %}" + "x" * 100 + "{% endfor %}",
        "{% set a = x %}{{ a }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ x|center(999999999) }}",
        "{{ x|join(x|join(x)) }}",
        "{{ range(1, 2)|random }}",
        "{% include '/etc/passwd' %}",
        "{{ lipsum(n=99999) }}",
    ],
)
def test_a_text_that_could_hang_or_change_by_itself_is_a_fault(text: str) -> None:
    """The plan must end, and give the same keys tomorrow."""
    with pytest.raises(TextError):
        Templates().fill(text, {"x": "y" * 500})


# --- names ----------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_any_text_makes_a_name_that_is_safe_everywhere(text: str) -> None:
    """Windows, macOS, exFAT sticks, and no way out of the folder."""
    name = safe_name(text)
    assert 0 < len(name.encode()) <= MAX_BYTES
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert not name.startswith(".")
    assert not name.endswith((".", " "))
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["CON", "con.mp4", "nul", "COM1", "lpt9.x", "Aux .a"])
def test_device_names_of_windows_are_not_used(name: str) -> None:
    """A file called CON can't be opened there."""
    assert safe_name(name).startswith("_")


def test_long_names_that_differ_at_their_end_stay_different() -> None:
    """A cut must not make two clips one file."""
    one, two = safe_name("雨" * 200 + "a"), safe_name("雨" * 200 + "b")
    assert one != two
    assert max(len(one.encode()), len(two.encode())) <= MAX_BYTES


def test_ids_keep_what_people_write_and_drop_the_rest() -> None:
    """An id is part of a file's name."""
    assert (clean_id(" shot 4.b_ü "), clean_id("../../etc"), clean_id("🎬")) == ("shot 4.b_ü", "etc", "")
    assert (slug("A courier, on a Kestrel bike crosses Tokyo at dawn"), slug("雨の夜"), slug("🎬")) == (
        "a-courier-on-a-kestrel-bike-crosses",
        "雨の夜",
        "",
    )


# --- audio ----------------------------------------------------------------------------------------------


def wav(seconds: float) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\0" * int(8000 * seconds))
    return buffer.getvalue()


def mp3(frames: int) -> bytes:
    """MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes and 26.1 ms a frame."""
    return b"ID3\x04\0\0\0\0\0\x05tag.." + (b"\xff\xfb\x90\x00" + b"\0" * 413) * frames


def test_the_length_of_local_audio_is_read_from_its_content(tmp_path: Path) -> None:
    """The name's ending says nothing."""
    (tmp_path / "a.mp3").write_bytes(wav(4))
    (tmp_path / "b.wav").write_bytes(mp3(200))
    assert inspect(tmp_path / "a.mp3", SOUND).seconds == pytest.approx(4)
    assert inspect(tmp_path / "b.wav", SOUND).seconds == pytest.approx(200 * 1152 / 44100)


@pytest.mark.parametrize("content", [wav(2), wav(31), mp3(20), b"", b"hello", b"\0" * 15_000_001])
def test_audio_that_the_service_would_refuse_is_a_fault(tmp_path: Path, content: bytes) -> None:
    """3–30 seconds, 15 MB, wav or mp3."""
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(AudioError):
        inspect(tmp_path / "a.mp3", SOUND)


@pytest.mark.parametrize("url", ["http://example.com/a.mp3", "ftp://h/a", "file:///etc/passwd", "https:///a", "data:x"])
def test_urls_that_the_service_cannot_fetch_are_faults(url: str) -> None:
    """Only https leaves this machine; http may stay on it."""
    check_url("https://example.com/a.mp3")
    check_url("http://127.0.0.1:8080/a.mp3")
    with pytest.raises(AudioError):
        check_url(url)


def test_local_audio_is_told_by_its_content_and_left_out_of_what_is_sent(tmp_path: Path) -> None:
    """Renaming a file is no new clip; another content is."""
    path = tmp_path / "night.yaml"
    keys = []
    for name, seconds in (("a.wav", 4), ("b.wav", 4), ("c.wav", 6)):
        (tmp_path / name).write_bytes(wav(seconds))
        path.write_text(f"prompts:\n  - {{prompt: rain, audio: {name}}}\n")
        manifest = load(path)
        [wanted] = manifest.wanted
        keys.append(wanted.key)
        assert (wanted.audio_file, "audio" in wanted.params) == (str(tmp_path / name), False)
        assert manifest.files == {name: wanted.audio_sha256}
    assert keys[0] == keys[1] != keys[2]
    assert "6.0 s long, and the service cuts it at 5 s" in str(manifest.warnings[0])


# --- prices ---------------------------------------------------------------------------------------------


def test_a_price_is_the_manifests_else_the_tables_else_unknown() -> None:
    """An unknown price is unknown, never 0."""
    five, ten = {"size": "832*480", "duration": 5}, {"size": "1080*1920", "duration": 10}
    assert estimate("wan-2.5-t2v", five) == 312_500
    assert estimate("wan-2.5-t2v", ten) == 1_875_000
    assert estimate("wan-2.5-t2v", {}) == 625_000
    assert estimate("wan-2.5-t2v", ten, Prices({"wan-2.5-t2v": {"1080*1920/10": 7}})) == 7
    assert estimate("other", five) is None
    assert estimate("other", five, Prices({"other": 0})) == 0


def test_what_is_known_of_the_model_is_found_by_its_name() -> None:
    """The poller believes the published mean before it has learned anything."""
    model = find("wan-2.5-t2v")
    assert model is not None
    assert (model.mean_latency_s, find("nope")) == (213.0, None)


LONG = ",".join(map(str, range(4000)))


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in n.split(',') %}{{ n|unique|list|length }}{% endfor %}",
        "{% for i in n %}x{% endfor %}",
        "{% for i in n.split(',') if n|sort|list|length %}x{% endfor %}",
        "{% for i in range(1000) %}{{ 'x' in n }}{% endfor %}",
        "{% for i in range(1000) %}{{ n.split(',') == n.split(',') }}{% endfor %}",
        "{% for i in many %}{{ i }}{% endfor %}",
        "{{ n|sort|join|length }}" * 30,
        "{{ n.split(',')[0] }}" * 60,
        "{{ many[0] }}" * 400,
    ],
)
def test_work_without_end_in_a_text_is_refused_at_once(text: str) -> None:
    """A loop over a long text, with a filter over it in each turn, would hang `check` for hours."""
    with pytest.raises(TextError, match="takes too long"):
        Templates().fill(text, {"n": LONG, "many": ["word"] * 100_000})


def test_texts_that_are_cheap_alone_are_refused_when_all_together_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table has 100,000 rows."""
    monkeypatch.setattr("batchgen.manifest.templates.MAX_TOTAL", 100_000)
    templates = Templates()
    with pytest.raises(TextError, match="all texts together"):
        for _ in range(10):
            templates.fill("{{ n|upper|length }}", {"n": LONG})


def test_loops_as_people_write_them_are_filled_in() -> None:
    """`loop`, keys and pairs of a mapping, and a loop without a turn."""
    values = {"cast": ["Ana", "Bo"], "wear": {"hat": "red"}}
    text = "{% for who in cast %}{{ loop.index }} {{ who }}{{ ', ' if not loop.last }}{% endfor %}"
    assert Templates().fill(text, values) == "1 Ana, 2 Bo"
    assert Templates().fill("{% for k, v in wear.items() %}{{ k }} {{ v }}{% endfor %}", values) == "hat red"
    assert Templates().fill("{% for k in wear %}{{ k }}{% else %}none{% endfor %}", values) == "hat"
    assert Templates().fill("{% for who in cast if who == 'x' %}{{ who }}{% else %}none{% endfor %}", values) == "none"
