"""The label in a film: one box of XMP behind it, that says it was made by an AI. The rest of the file stays as it is.

`DigitalSourceType` and the AI fields are IPTC's (Photo Metadata 2025.1), rating and take those that Adobe's programs
show. The box is the one that Adobe's XMP specification (part 3) names for MP4: `uuid`, at the top level.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from typing import Final

from batchgen.handover.chosen import Select, for_xml

#: Of XMP in an MP4 file.
UUID: Final = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_NAMES: Final = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpDM": "http://ns.adobe.com/xmp/1.0/DynamicMedia/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
#: Colours as Adobe's programs write them.
_LABELS: Final = {"red": "Red", "yellow": "Yellow", "green": "Green", "blue": "Blue"}


def box(select: Select, *, with_prompt: bool = False) -> bytes:
    """Give the box to append to a copy of the film.

    Args:
        select: the clip and what was chosen about it.
        with_prompt: write the prompt, too; it may be a trade secret, so it is left out otherwise.
    """
    begin = "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"
    body = (begin + _packet(select, with_prompt=with_prompt) + "\n<?xpacket end='r'?>").encode()
    return struct.pack(">I4s", 8 + len(UUID) + len(body), b"uuid") + UUID + body


def _packet(select: Select, *, with_prompt: bool) -> str:
    for prefix, name in _NAMES.items():
        ET.register_namespace(prefix, name)
    choice, wanted = select.choice, select.clip.wanted
    root = ET.Element(_name("x", "xmpmeta"))
    about = ET.SubElement(
        ET.SubElement(root, _name("rdf", "RDF")), _name("rdf", "Description"), {_name("rdf", "about"): ""}
    )
    facts = [
        ("Iptc4xmpExt", "DigitalSourceType", SOURCE_TYPE),
        ("Iptc4xmpExt", "AISystemUsed", wanted.model),
        ("Iptc4xmpExt", "AIPromptInformation", select.prompt if with_prompt else ""),
        ("xmp", "Rating", str(-1 if choice.pick < 0 else choice.stars)),
        ("xmp", "Label", _LABELS.get(choice.label, "")),
        ("xmpDM", "good", "True" if choice.pick > 0 else "False"),
        ("xmpDM", "scene", wanted.prompt_id),
        ("xmpDM", "takeNumber", str(wanted.take)),
        ("xmpDM", "logComment", choice.note),
    ]
    for prefix, tag, text in facts:
        if text:
            ET.SubElement(about, _name(prefix, tag)).text = for_xml(text)
    if select.keywords:
        bag = ET.SubElement(ET.SubElement(about, _name("dc", "subject")), _name("rdf", "Bag"))
        for word in select.keywords:
            ET.SubElement(bag, _name("rdf", "li")).text = for_xml(word)
    return ET.tostring(root, encoding="unicode")


def _name(prefix: str, tag: str) -> str:
    return f"{{{_NAMES[prefix]}}}{tag}"
