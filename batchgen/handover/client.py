"""The page for a client: a folder or zip file that opens from `file://`, with chosen films to watch and choose from.

It says nothing of how a film was made, unless that is asked for: films have neutral names, and clips are known by
handles that only the batch can read back (`review.client_reports`). The page is one file; it loads nothing but films.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from batchgen.files.findings import KeptFindings
from batchgen.handover import sheet
from batchgen.handover.chosen import Select
from batchgen.handover.folder import put_films
from batchgen.handover.target import staged, target_of
from batchgen.money import usd
from batchgen.review.client_reports import ClientReport, keep
from batchgen.views.text import bare_urls

#: What a page may show in addition: what it is called there, and its value of a clip; None is not shown.
SHOWN: Final[Mapping[str, tuple[str, Callable[[Select], str | None]]]] = {
    "prompts": ("Prompt", lambda select: bare_urls(select.prompt)),
    "costs": ("Cost", lambda select: usd(select.clip.request.cost if select.clip.request else None)),
    "ids": ("Clip", lambda select: select.clip.wanted.name),
    "seeds": ("Seed", lambda select: None if select.seed is None else str(select.seed)),
    "models": ("Model", lambda select: select.clip.wanted.model),
}
#: Ends a script's text early in HTML, or a line in old engines.
_UNSAFE: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class ClientPage:
    """What was written.

    Attributes:
        path: the folder or the zip file.
        selects: the clips, with the names of their films below `clips/`.
        posters: how many clips have one; the others show the film's own first frame.
    """

    path: Path
    selects: list[Select]
    posters: int


def write(
    selects: list[Select],
    target: Path,
    report: ClientReport,
    kept: KeptFindings,
    *,
    title: str,
    shown: Collection[str] = (),
    as_zip: bool = False,
) -> ClientPage:
    """Write a client's page.

    Args:
        selects: the clips; at least one.
        target: the folder to make, or the zip file.
        report: a new one; the batch folder has it before the page is there, so that no answer comes too early.
        kept: posters of the batch.
        title: the batch's name, which heads the page.
        shown: names of `SHOWN`.
        as_zip: one file instead of a folder.

    Raises:
        UsageError: the target is there already or in the batch folder, or a film has changed or is gone.
        OutputError: it can't be written. Nothing is left behind.
    """
    target = target_of(target, kept.batch, as_zip=as_zip)
    numbered = list(_numbered(selects))
    selects = [replace(select, name=f"shot-{shot:02d}_take-{take}.mp4") for select, shot, take in numbered]
    posters = [_poster(select, kept) for select in selects]
    places = [(shot, take) for _, shot, take in numbered]
    clips = [
        _clip(select, place, report.handle(select.clip.key), poster, shown)
        for select, place, poster in zip(selects, places, posters, strict=True)
    ]
    with staged(target, as_zip=as_zip) as part:
        (part / "clips").mkdir()
        put_films(selects, part / "clips")
        page = _page(title, {"schema_version": 1, "report": report.id, "clips": clips})
        (part / "index.html").write_text(page, encoding="utf-8", newline="\n")
        keep(kept.batch, report)
    return ClientPage(target, selects, sum(poster is not None for poster in posters))


def _numbered(selects: Iterable[Select]) -> Iterable[tuple[Select, int, int]]:
    """Number prompts as they first come, and the clips of each: the manifest's numbers would say what is missing."""
    shots: dict[str, int] = {}
    takes: dict[str, int] = {}
    for select in selects:
        prompt = select.clip.wanted.prompt_id
        takes[prompt] = takes.get(prompt, 0) + 1
        yield select, shots.setdefault(prompt, len(shots) + 1), takes[prompt]


def _clip(
    select: Select, place: tuple[int, int], handle: str, poster: bytes | None, shown: Collection[str]
) -> dict[str, Any]:
    width, _, height = str(select.clip.wanted.values.get("size") or "").partition("*")
    sized = width.isdecimal() and height.isdecimal()
    facts = [(name, value) for key, (name, of) in SHOWN.items() if key in shown and (value := of(select)) is not None]
    return {
        "handle": handle,
        "shot": place[0],
        "take": place[1],
        "file": f"clips/{select.name}",
        "poster": poster and f"data:image/webp;base64,{base64.b64encode(poster).decode()}",
        "width": int(width) if sized else None,
        "height": int(height) if sized else None,
        "facts": facts,
    }


def _poster(select: Select, kept: KeptFindings) -> bytes | None:
    try:
        return sheet.poster_of(select, kept)
    except ImportError:
        return None


def _page(title: str, data: Mapping[str, Any]) -> str:
    script, style = (_asset(name) for name in ("client.js", "client.css"))
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
    inserted = {
        "policy": policy, "title": html.escape(title), "style": style, "script": script,
        "data": json.dumps(data, ensure_ascii=False).translate(_UNSAFE),
    }  # fmt: skip
    head, *rest = _asset("client.html").split("{")
    parts = (part.partition("}") for part in rest)
    return head + "".join(inserted[name] + after for name, _, after in parts)


def _asset(name: str) -> str:
    return files("batchgen").joinpath("handover", "assets", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Give the source expression that lets exactly this inline text pass the page's policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
