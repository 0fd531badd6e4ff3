"""A CMX 3600 edit list, for programs that read nothing else.

Films made by a model have no timecode and no reel: each begins at 00:00:00:00, and programs that match by timecode can
link to the wrong take. The warning stands in the file itself. Short, because the format is.
"""

from __future__ import annotations

from batchgen.handover.chosen import Select

WARNING = (
    "* WARNING: THESE CLIPS HAVE NO TIMECODE AND NO REEL. EACH BEGINS AT 00:00:00:00.",
    "* LINK BY CLIP NAME, AND CHECK EVERY TAKE. THE .OTIO AND .FCPXML FILES DO NOT HAVE THIS PROBLEM.",
)
_HOUR = 3600


def written(selects: list[Select], title: str) -> str:
    """Give the list; its record times begin at one hour."""
    base = round(selects[0].facts.rate)
    at = _HOUR * base
    lines = [f"TITLE: {title}"[:70], "FCM: NON-DROP FRAME", *WARNING, ""]
    for number, select in enumerate(selects, start=1):
        film = select.facts
        length = int(film.seconds * selects[0].facts.rate)
        kind = "AA/V" if film.channels else "V   "
        times = (0, film.frames, at, at + length)
        source = " ".join(_timecode(frame, round(film.rate)) for frame in times[:2])
        record = " ".join(_timecode(frame, base) for frame in times[2:])
        lines += [f"{number:03d}  AX       {kind}  C        {source} {record}", f"* FROM CLIP NAME: {select.name}"]
        lines += [f"* LOC: {_timecode(at + frame, base)} WHITE   {_plain(text)}" for frame, text in select.choice.marks]
        at += length
    return "\n".join(lines) + "\n"


def _timecode(frame: int, base: int) -> str:
    seconds, frames = divmod(frame, base)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"


def _plain(text: str) -> str:
    return " ".join(text.split())[:200]
