"""One decode of a film finds what a person would want to know before watching it."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from batchgen.files import mp4
from batchgen.files.findings import FRAMES, WAVE_POINTS, Findings, KeptFindings, near_duplicates, picture_names
from batchgen.files.media_checks import check

av = pytest.importorskip("av")

SIZE = (208, 120)
RATE = 24_000


def scene(seed: int) -> Image.Image:
    """A picture with large shapes, another for each seed."""
    picture = Image.new("RGB", SIZE, (60, 80, 100))
    pen = ImageDraw.Draw(picture)
    for n in range(9):
        x, y = (seed * 73 + n * 57) % SIZE[0], (seed * 131 + n * 41) % SIZE[1]
        grey = 40 + (seed * 29 + n * 83) % 200
        pen.ellipse((x - 30, y - 22, x + 30, y + 22), fill=(grey, 255 - grey, grey // 2 + 60))
    return picture.filter(ImageFilter.GaussianBlur(1))


def pan(n: int, seed: int = 1) -> Image.Image:
    return ImageChops.offset(scene(seed), n * 2, 0)


def barred(n: int) -> Image.Image:
    picture = pan(n)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, SIZE[0], 13), fill=(0, 0, 0))
    pen.rectangle((0, SIZE[1] - 14, *SIZE), fill=(0, 0, 0))
    return picture


BLACK = Image.new("RGB", SIZE)
WHITE = Image.new("RGB", SIZE, (250, 240, 220))
FILMS: dict[str, tuple[Callable[[int], Image.Image], list[str]]] = {
    "a pan": (pan, []),
    "stands still from 1 s": (lambda n: pan(min(n, 24)), ["frozen"]),
    "stands still for 0.3 s": (lambda n: pan(n if n < 24 else max(24, n - 7)), []),
    "black at its end": (lambda n: BLACK if n >= 30 else pan(n), ["black", "frozen", "cut"]),
    "black for 0.3 s": (lambda n: BLACK if n < 7 else pan(n), ["cut"]),
    "a hard cut": (lambda n: pan(n) if n < 24 else Image.blend(pan(n, 5), WHITE, 0.6), ["cut"]),
    "bars": (barred, ["letterbox"]),
    "dark on one side only": (lambda n: ImageChops.multiply(pan(n), _half_dark()), []),
}


def _half_dark() -> Image.Image:
    picture = Image.new("RGB", SIZE, (255, 255, 255))
    ImageDraw.Draw(picture).rectangle((0, 0, 40, SIZE[1]), fill=(0, 0, 0))
    return picture


def film(
    path: Path, picture: Callable[[int], Image.Image], *, frames: int = 48, level: int | None = None, crf: int = 23
) -> Path:
    """Write an H.264 film of these pictures, with a tone of this level."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=24, options={"crf": str(crf), "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="mono") if level is not None else None
        for n in range(frames):
            frame = av.VideoFrame.from_image(picture(n))
            frame.pts = n
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            for at in range(0, frames * RATE // 24, 1024):
                sound = av.AudioFrame(format="s16", layout="mono", samples=1024)
                sound.sample_rate, sound.pts = RATE, at
                tone = (int((level or 0) * math.sin((at + n) / 10)) for n in range(1024))
                sound.planes[0].update(array("h", tone).tobytes())
                out.mux(audio.encode(sound))
            out.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("name", FILMS)
def test_what_is_odd_in_a_picture_is_a_flag(name: str, tmp_path: Path) -> None:
    """And what is not odd is none."""
    picture, flags = FILMS[name]
    found, pictures = check(film(tmp_path / "film.mp4", picture))
    assert (found.flags, found.fault, found.frames, found.fps) == (flags, "", 48, "24/1")
    assert (found.width, found.height, found.duration_s) == (*SIZE, 2.0)
    assert len(found.hashes) == FRAMES
    assert pictures


def test_stretches_and_cuts_have_their_times(tmp_path: Path) -> None:
    found, _ = check(film(tmp_path / "film.mp4", FILMS["black at its end"][0]))
    assert found.black == ((1.25, 2.0),)
    assert found.cuts == (1.25,)


@pytest.mark.parametrize(("level", "flags"), [(8_000, []), (0, ["silent"]), (None, [])])
def test_sound(level: int | None, flags: list[str], tmp_path: Path) -> None:
    """No sound track at all is no defect."""
    found, _ = check(film(tmp_path / "film.mp4", pan, level=level))
    assert found.flags == flags
    assert len(found.waveform) == (0 if level is None else WAVE_POINTS)
    if level:
        assert 0.2 < max(found.waveform) < 0.3
        assert found.lufs is not None
        assert -25 < found.lufs < -10


def test_a_poster_is_the_first_frame_that_is_not_dark(tmp_path: Path) -> None:
    import io

    _, pictures = check(film(tmp_path / "film.mp4", FILMS["black for 0.3 s"][0]))
    assert pictures
    poster, strip = (Image.open(io.BytesIO(body)) for body in (pictures.poster, pictures.strip))
    assert poster.format == strip.format == "WEBP"
    assert poster.convert("L").resize((1, 1)).tobytes()[0] > 40
    assert strip.width == FRAMES * 240


def test_a_film_that_does_not_decode_is_named_so(tmp_path: Path) -> None:
    """Zeros in the picture data keep the structure whole: only a decode sees them."""
    data = film(tmp_path / "film.mp4", pan).read_bytes()
    start = data.index(b"mdat") + 4
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(data[:start] + bytes(len(data) // 2) + data[start + len(data) // 2 :])
    assert mp4.inspect(hurt) == ""
    assert check(hurt)[0].fault


@pytest.mark.parametrize("body", [b"", b"<html>no film</html>", b"\0" * 5_000])
def test_what_is_no_film_has_neither_findings_nor_pictures(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(body)
    found, pictures = check(tmp_path / "film.mp4")
    assert found.flags == ["broken"]
    assert pictures is None


def test_takes_that_look_alike_are_marked_and_others_are_not(tmp_path: Path) -> None:
    """The same film in another quality is like the first; another scene is not."""
    kinds = {"one": (1, 18), "again": (1, 32), "other": (5, 23)}
    films = {name: check(film(tmp_path / f"{name}.mp4", lambda n, s=seed: pan(n, s), crf=crf))[0]  # type: ignore[misc]
             for name, (seed, crf) in kinds.items()}  # fmt: skip
    assert near_duplicates(films) == {"again": "one"}


def test_findings_are_kept_by_content(tmp_path: Path) -> None:
    """What is read back is what was written; anything else is nothing."""
    found, pictures = check(film(tmp_path / "film.mp4", pan, level=100))
    kept, sha256 = KeptFindings(tmp_path), "ab" * 32
    assert kept.read(sha256) is None
    kept.write(sha256, found, pictures)
    assert kept.read(sha256) == found
    assert all((tmp_path / name).stat().st_size > 100 for name in picture_names(sha256))
    path = tmp_path / ".review" / f"{sha256}.json"
    for spoilt in (b"", b"[]", b"{", json.dumps({"v": 0, **found.as_json()}).encode(), b'{"v": 1}'):
        path.write_bytes(spoilt)
        assert kept.read(sha256) is None
    assert kept.read("../" * 20 + "abcd") is None


def test_an_unknown_film_has_no_flags() -> None:
    assert Findings().flags == []
