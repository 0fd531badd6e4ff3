"""Final Cut's XML, version 1.10: clips with notes, markers, keywords and ratings in an event, and a sequence of them.

Every version of Final Cut since 10.6 reads it, and Resolve since 19.1. The elements stand in the order of Apple's DTD;
there is no `modDate`, whose format depends on the reader's language.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from fractions import Fraction
from typing import Final
from urllib.parse import quote

from batchgen.handover.chosen import Select, for_xml
from batchgen.handover.film import FilmFacts

VERSION: Final = "1.10"
#: Sizes and rates that Final Cut has a name for; other formats have width, height and frame duration alone.
_KNOWN: Final = {(1280, 720): "720p", (1920, 1080): "1080p"}
_KNOWN_RATES: Final = {
    Fraction(24): "24",
    Fraction(25): "25",
    Fraction(30): "30",
    Fraction(50): "50",
    Fraction(60): "60",
}
#: Sample rates that a sequence may have.
_SAMPLES: Final = {32_000: "32k", 44_100: "44.1k", 48_000: "48k", 96_000: "96k"}


def written(selects: list[Select], title: str) -> str:
    """Give the document for films that lie next to it."""
    root = ET.Element("fcpxml", version=VERSION)
    resources = ET.SubElement(root, "resources")
    formats = _formats(resources, selects)
    for number, select in enumerate(selects):
        _asset(resources, select, f"a{number + 1}", formats[_shape(select.facts)])
    event = ET.SubElement(ET.SubElement(root, "library"), "event", name=title)
    for number, select in enumerate(selects):
        clip = _clip(event, select, f"a{number + 1}", formats[_shape(select.facts)])
        _describe(clip, select)
    _project(event, selects, title, formats)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{ET.tostring(root, encoding="unicode")}\n'


def _shape(film: FilmFacts) -> tuple[int, int, Fraction]:
    return film.width, film.height, film.rate


def _formats(resources: ET.Element, selects: list[Select]) -> dict[tuple[int, int, Fraction], str]:
    found: dict[tuple[int, int, Fraction], str] = {}
    for select in selects:
        shape = _shape(select.facts)
        if shape in found:
            continue
        found[shape] = f"f{len(found) + 1}"
        width, height, rate = shape
        facts = {"id": found[shape]}
        if (width, height) in _KNOWN and rate in _KNOWN_RATES:
            facts["name"] = f"FFVideoFormat{_KNOWN[width, height]}{_KNOWN_RATES[rate]}"
        facts |= {"frameDuration": _time(1 / rate), "width": str(width), "height": str(height)}
        ET.SubElement(resources, "format", facts)
    return found


def _asset(resources: ET.Element, select: Select, number: str, form: str) -> None:
    film = select.facts
    facts = {
        "id": number,
        "name": select.stem,
        "start": "0s",
        "duration": _time(film.seconds),
        "hasVideo": "1",
        "format": form,
    }
    facts |= {"videoSources": "1"}
    if film.channels:
        facts |= {
            "hasAudio": "1",
            "audioSources": "1",
            "audioChannels": str(film.channels),
            "audioRate": str(film.sample_rate),
        }
    asset = ET.SubElement(resources, "asset", facts)
    ET.SubElement(asset, "media-rep", kind="original-media", src=f"./{quote(select.name)}")


def _clip(parent: ET.Element, select: Select, number: str, form: str, **place: str) -> ET.Element:
    facts = {"ref": number, **place, "name": select.stem, "start": "0s", "duration": _time(select.facts.seconds)}
    return ET.SubElement(parent, "asset-clip", {**facts, "format": form, "tcFormat": "NDF"})


def _describe(clip: ET.Element, select: Select) -> None:
    """Add note, markers, keywords and rating, in the order of the DTD: the note first."""
    choice, film = select.choice, select.facts
    note = "\n".join(text for text in (choice.note, select.prompt) if text)
    if note:
        ET.SubElement(clip, "note").text = for_xml(note)
    whole = {"start": "0s", "duration": _time(film.seconds)}
    for frame, text in choice.marks:
        at = _time(min(frame, film.frames - 1) / film.rate)
        ET.SubElement(clip, "marker", start=at, duration=_time(1 / film.rate), value=for_xml(text) or "note")
    if select.keywords:
        ET.SubElement(clip, "keyword", whole, value=for_xml(", ".join(select.keywords)))
    if choice.pick:
        ET.SubElement(clip, "rating", whole, name="picked" if choice.pick > 0 else "rejected",
                      value="favorite" if choice.pick > 0 else "reject")  # fmt: skip


def _project(
    event: ET.Element, selects: list[Select], title: str, formats: dict[tuple[int, int, Fraction], str]
) -> None:
    """Add the clips one after the other; each takes whole frames of the sequence, which has the first one's format."""
    first = selects[0].facts
    lengths = [Fraction(int(select.facts.seconds * first.rate)) / first.rate for select in selects]
    project = ET.SubElement(event, "project", name=f"{title} selects")
    facts = {
        "format": formats[_shape(first)],
        "duration": _time(sum(lengths, Fraction(0))),
        "tcStart": "0s",
        "tcFormat": "NDF",
    }
    if first.channels:
        facts |= {
            "audioLayout": "mono" if first.channels == 1 else "stereo",
            "audioRate": _SAMPLES.get(first.sample_rate, "48k"),
        }
    spine = ET.SubElement(ET.SubElement(project, "sequence", facts), "spine")
    at = Fraction(0)
    for number, (select, length) in enumerate(zip(selects, lengths, strict=True)):
        clip = _clip(spine, select, f"a{number + 1}", formats[_shape(select.facts)], offset=_time(at))
        clip.set("duration", _time(length))
        at += length


def _time(seconds: Fraction) -> str:
    return f"{seconds.numerator}s" if seconds.denominator == 1 else f"{seconds.numerator}/{seconds.denominator}s"
