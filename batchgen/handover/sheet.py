"""The contact sheet: a poster of each clip with its name, as pages of A4 in JPEG and PDF. Needs the `media` extra."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from batchgen.files import media_checks
from batchgen.files.findings import KeptFindings
from batchgen.handover.chosen import Select

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

#: A4 across at 110 dots an inch.
_PAGE: Final = (1287, 910)
_COLUMNS, _ROWS = 5, 4
_MARGIN, _GAP, _TEXT = 40, 14, 38
_INK, _DIM, _PAPER = (25, 25, 28), (110, 112, 120), (255, 255, 255)


def pages(selects: list[Select], title: str, kept: KeptFindings) -> list[Image.Image]:
    """Draw the sheet, twenty clips a page."""
    each = _COLUMNS * _ROWS
    return [
        _page(selects[at : at + each], f"{title}   {at // each + 1} / {-(-len(selects) // each)}", kept)
        for at in range(0, len(selects), each)
    ]


def as_jpeg(page: Image.Image) -> bytes:
    """Give a page as a JPEG file."""
    out = io.BytesIO()
    page.save(out, "JPEG", quality=85, dpi=(110, 110))
    return out.getvalue()


def as_pdf(pages: list[Image.Image]) -> bytes:
    """Give all pages as one PDF file."""
    out = io.BytesIO()
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:], resolution=110, quality=85)
    return out.getvalue()


def _page(selects: list[Select], title: str, kept: KeptFindings) -> Image.Image:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", _PAGE, _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, 16), title, fill=_INK, font=_font(15))
    width, height = (_PAGE[0] - 2 * _MARGIN + _GAP) // _COLUMNS, (_PAGE[1] - 2 * _MARGIN + _GAP) // _ROWS
    for select, (left, top) in zip(selects, _places(width, height), strict=False):
        _cell(page, pen, select, (left, top, width - _GAP, height - _GAP - _TEXT), _poster(select, kept))
    return page


def _places(width: int, height: int) -> Iterator[tuple[int, int]]:
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            yield _MARGIN + column * width, _MARGIN + row * height


def _cell(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    select: Select,
    box: tuple[int, int, int, int],
    poster: Image.Image | None,
) -> None:
    left, top, width, height = box
    pen.rectangle((left, top, left + width, top + height), fill=(240, 240, 242))
    if poster is not None:
        poster.thumbnail((width, height))
        page.paste(poster, (left + (width - poster.width) // 2, top + (height - poster.height) // 2))
    stars = "*" * select.choice.stars
    pen.text((left, top + height + 5), _cut(pen, select.stem, width, 11), fill=_INK, font=_font(11))
    facts = "  ".join(part for part in (stars, select.choice.note) if part)
    pen.text((left, top + height + 20), _cut(pen, facts, width, 10), fill=_DIM, font=_font(10))


def poster_of(select: Select, kept: KeptFindings) -> bytes | None:
    """Give a film's poster as WebP, kept or made now; None for a film that does not decode.

    Raises:
        ImportError: it has to be made, and the `media` extra is not installed.
    """
    sha256 = (select.clip.sha256 or "").lower()
    if (body := kept.poster(sha256)) is not None:
        return body
    try:
        found, pictures = media_checks.check(select.source)
    except ImportError:
        raise
    except Exception:  # noqa: BLE001 - decoders fail in their own ways on odd bytes
        return None
    if pictures is None:
        return None
    with suppress(OSError):  # the batch folder may be read-only
        kept.write(sha256, found, pictures)
    return pictures.poster


def _poster(select: Select, kept: KeptFindings) -> Image.Image | None:
    from PIL import Image

    body = poster_of(select, kept)
    return None if body is None else Image.open(io.BytesIO(body)).convert("RGB")


def _cut(pen: ImageDraw.ImageDraw, text: str, width: int, size: int) -> str:
    """Shorten a text to one line of a width."""
    text = " ".join(text.split())
    while text and pen.textlength(text, font=_font(size)) > width:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    return text


def _font(size: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - one of Pillow's two kinds
    from PIL import ImageFont

    return ImageFont.load_default(size)
