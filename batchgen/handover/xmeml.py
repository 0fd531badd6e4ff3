"""The XML of Final Cut 7 (xmeml 4): the sure way into Premiere before 25.6, and into Resolve. A sequence of the clips.

`<sequence>` is a child of `<xmeml>`, with its format filled in: without that Premiere asks, and Resolve guesses.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from fractions import Fraction
from urllib.parse import quote

from batchgen.handover.chosen import Select, for_xml
from batchgen.handover.film import FilmFacts


def written(selects: list[Select], title: str) -> str:
    """Give the document for films that lie next to it."""
    first = selects[0].facts
    root = ET.Element("xmeml", version="4")
    sequence = ET.SubElement(root, "sequence", id="sequence-1")
    lengths = [int(select.facts.seconds * first.rate) for select in selects]
    _texts(sequence, name=f"{title} selects", duration=sum(lengths))
    _rate(sequence, first.rate)
    media = ET.SubElement(sequence, "media")
    video, audio = ET.SubElement(media, "video"), ET.SubElement(media, "audio")
    _format(video, first)
    track, sound = ET.SubElement(video, "track"), ET.SubElement(audio, "track")
    at = 0
    for number, (select, length) in enumerate(zip(selects, lengths, strict=True), start=1):
        _item(track, select, number, at, length, "video")
        if select.facts.channels:
            _item(sound, select, number, at, length, "audio")
        at += length
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n{ET.tostring(root, encoding="unicode")}\n'


def _item(track: ET.Element, select: Select, number: int, at: int, length: int, kind: str) -> None:
    item = ET.SubElement(track, "clipitem", id=f"{kind}-{number}")
    _texts(item, name=select.stem, duration=select.facts.frames)
    _rate(item, select.facts.rate)
    _texts(item, start=at, end=at + length, **{"in": 0, "out": select.facts.frames})
    if kind == "video":
        _file(item, select, number)
        for frame, text in select.choice.marks:
            _texts(ET.SubElement(item, "marker"), name=for_xml(text), **{"in": frame, "out": -1})
        good = "TRUE" if select.choice.pick > 0 else "FALSE"
        log = ET.SubElement(item, "logginginfo")
        _texts(log, scene=select.clip.wanted.prompt_id, lognote=for_xml(select.choice.note), good=good)
    else:
        ET.SubElement(item, "file", id=f"file-{number}")
        _texts(ET.SubElement(item, "sourcetrack"), mediatype="audio", trackindex=1)
    for other in ("video", "audio") if select.facts.channels else ():
        _texts(ET.SubElement(item, "link"), linkclipref=f"{other}-{number}", mediatype=other)


def _file(item: ET.Element, select: Select, number: int) -> None:
    film = select.facts
    file = ET.SubElement(item, "file", id=f"file-{number}")
    _texts(file, name=select.name, pathurl=quote(select.name), duration=film.frames)
    _rate(file, film.rate)
    media = ET.SubElement(file, "media")
    _format(ET.SubElement(media, "video"), film)
    if film.channels:
        audio = ET.SubElement(media, "audio")
        _texts(ET.SubElement(audio, "samplecharacteristics"), depth=16, samplerate=film.sample_rate)
        _texts(audio, channelcount=film.channels)


def _format(video: ET.Element, film: FilmFacts) -> None:
    holder = ET.SubElement(ET.SubElement(video, "format"), "samplecharacteristics")
    _rate(holder, film.rate)
    _texts(
        holder,
        width=film.width,
        height=film.height,
        anamorphic="FALSE",
        pixelaspectratio="square",
        fielddominance="none",
    )


def _rate(parent: ET.Element, rate: Fraction) -> None:
    base = round(rate)
    _texts(ET.SubElement(parent, "rate"), timebase=base, ntsc="FALSE" if base == rate else "TRUE")


def _texts(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = str(text)
