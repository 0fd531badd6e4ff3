"""The files for editors' programs: well-formed, in the order that each program wants, and true to the films."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from handover_samples import sample

from batchgen.handover import edl, fcpxml, otio, xmeml
from batchgen.handover.chosen import Select
from batchgen.handover.film import FilmFacts
from batchgen.review.choice import Choice

#: Children in the order of Apple's DTD 1.10; what is not named here may not be there.
ORDER = {
    "fcpxml": ["resources", "library"],
    "asset": ["media-rep"],
    "event": ["asset-clip", "project"],
    "asset-clip": ["note", "marker", "keyword", "rating"],
    "project": ["sequence"],
    "sequence": ["spine"],
}


@pytest.fixture
def selects(tmp_path: Path) -> list[Select]:
    """A pick with everything, one without sound, and one at another frame rate."""
    silent = FilmFacts(121, Fraction(24), 832, 480)
    ntsc = FilmFacts(300, Fraction(30_000, 1001), 1920, 1080, 1, 24_000)
    full = Choice(
        pick=1, stars=4, tags=("hero", "a & b"), note="<keep> the 1st\x01", marks=((12, "hands"), (999, "late"))
    )
    return [
        sample(tmp_path, "fox é", 1, full),
        sample(tmp_path, "sea", 2, Choice(pick=-1), silent),
        sample(tmp_path, "sky", 3, film=ntsc),
    ]


def test_final_cuts_elements_stand_in_the_order_of_its_dtd(selects: list[Select]) -> None:
    root = ET.fromstring(fcpxml.written(selects, "night"))
    assert root.get("version") == "1.10"
    for parent in root.iter():
        kinds = [child.tag for child in parent]
        if parent.tag in ORDER:
            assert kinds == sorted(kinds, key=ORDER[parent.tag].index)
    ids = {each.get("id") for each in root.iter() if each.get("id")}
    assert all(each.get(ref) in ids for each in root.iter() for ref in ("ref", "format") if each.get(ref))
    assert "modDate" not in fcpxml.written(selects, "night")


def test_final_cut_gets_notes_markers_keywords_and_ratings(selects: list[Select]) -> None:
    root = ET.fromstring(fcpxml.written(selects, "night"))
    first, second, third = root.findall("library/event/asset-clip")
    assert (first.findtext("note") or "").startswith("<keep> the 1st")
    assert [each.get("start") for each in first.findall("marker")] == ["1/2s", "119/24s"]
    assert first.find("keyword").get("value") == "4 stars, hero, a & b, city=Tokyo"  # type: ignore[union-attr]
    assert [clip.find("rating").get("value") for clip in (first, second)] == ["favorite", "reject"]  # type: ignore[union-attr]
    assert root.find("resources/asset/media-rep").get("src") == "./01_fox%20%C3%A9.mp4"  # type: ignore[union-attr]
    assert third.get("duration") == "1001/100s"
    assert [asset.get("hasAudio") for asset in root.findall("resources/asset")] == ["1", None, "1"]


def test_final_cuts_sequence_is_gapless_and_cuts_on_its_own_frames(selects: list[Select]) -> None:
    root = ET.fromstring(fcpxml.written(selects, "night"))
    at = Fraction(0)
    for clip in root.iterfind(".//spine/asset-clip"):
        offset, length = (Fraction(str(clip.get(name)).removesuffix("s")) for name in ("offset", "duration"))
        assert offset == at
        assert (length * 24).denominator == 1
        at += length
    assert root.find(".//sequence").get("duration") == f"{at.numerator}/{at.denominator}s"  # type: ignore[union-attr]


def test_otio_is_read_back_by_its_own_library(selects: list[Select]) -> None:
    """Names are those of the files, media lie next to the timeline, and every length is the film's."""
    library: Any = pytest.importorskip("opentimelineio")
    timeline = library.adapters.read_from_string(otio.written(selects, "night"), "otio_json")
    clips = list(timeline.video_tracks()[0])
    assert [clip.name for clip in clips] == [select.name for select in selects]
    assert [clip.media_reference.target_url for clip in clips] == [select.name for select in selects]
    assert [clip.duration().to_frames() for clip in clips] == [120, 121, 300]
    assert [marker.name for marker in clips[0].markers] == ["hands", "late"]
    assert clips[0].metadata["batchgen"]["stars"] == 4
    assert len(timeline.audio_tracks()[0]) == 3


def test_premieres_xml_has_its_format_filled_in(selects: list[Select]) -> None:
    root = ET.fromstring(xmeml.written(selects, "night"))
    sequence = root.find("sequence")
    assert sequence is not None
    assert [sequence.findtext(f"media/video/format/samplecharacteristics/{name}") for name in ("width", "height")] == [
        "1280",
        "720",
    ]
    clips = sequence.findall("media/video/track/clipitem")
    assert [clip.findtext("file/pathurl") for clip in clips] == ["01_fox%20%C3%A9.mp4", "02_sea.mp4", "03_sky.mp4"]
    assert [clip.findtext("start") for clip in clips] == ["0", "120", "241"]
    assert clips[2].findtext("rate/ntsc") == "TRUE"
    assert len(sequence.findall("media/audio/track/clipitem")) == 2


def test_the_edit_list_warns_and_names_every_clip(selects: list[Select]) -> None:
    text = edl.written([selects[0], replace(selects[1], name="02_sea.mp4")], "night")
    assert text == (
        "TITLE: night\nFCM: NON-DROP FRAME\n"
        "* WARNING: THESE CLIPS HAVE NO TIMECODE AND NO REEL. EACH BEGINS AT 00:00:00:00.\n"
        "* LINK BY CLIP NAME, AND CHECK EVERY TAKE. THE .OTIO AND .FCPXML FILES DO NOT HAVE THIS PROBLEM.\n\n"
        "001  AX       AA/V  C        00:00:00:00 00:00:05:00 01:00:00:00 01:00:05:00\n"
        "* FROM CLIP NAME: 01_fox é.mp4\n"
        "* LOC: 01:00:00:12 WHITE   hands\n"
        "* LOC: 01:00:41:15 WHITE   late\n"
        "002  AX       V     C        00:00:00:00 00:00:05:01 01:00:05:00 01:00:10:01\n"
        "* FROM CLIP NAME: 02_sea.mp4\n"
    )


@pytest.mark.parametrize("write", [fcpxml.written, xmeml.written, edl.written, otio.written])
def test_no_file_holds_a_link_or_a_path_of_the_machine(
    write: Callable[..., str], selects: list[Select], tmp_path: Path
) -> None:
    if write is otio.written:
        pytest.importorskip("opentimelineio")
    text = write(selects, "night")
    assert str(tmp_path) not in text
    assert "http" not in text
