"""Renders a job's clip: a slate with prompt, seed and size, something that moves, and a soft chord.

The picture is drawn once by Pillow and turned into YUV; a frame is a copy of it with a ball and its trail
written straight into the planes, so that a second of 720p costs a tenth of one of CPU. Needs the `media` extra.
"""

from __future__ import annotations

import colorsys
import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from batchgen.sandbox.clips import StoppedError, stamp
from batchgen.sandbox.protocol import Order

if TYPE_CHECKING:
    import av
    from PIL import Image, ImageDraw, ImageFont

_FPS = 24
_RATE = 24_000
_AAC_FRAME = 1024
_INK, _DIM = (244, 241, 234), (168, 170, 186)


def render(order: Order, request_id: str, path: Path, stop: Event) -> None:
    """Write an MP4 (H.264 + AAC, 24 frames a second) of the asked size and duration.

    Raises:
        StoppedError: `stop` was set; what lies at `path` is not whole.
    """
    _encode(order, request_id, path, stop, {"preset": "ultrafast", "crf": "30", "threads": "1"})
    stamp(path, order, request_id)


def _encode(order: Order, request_id: str, path: Path, stop: Event, options: dict[str, str]) -> None:
    """Encode picture and sound; `options` are x264's."""
    import av

    slate = _Slate.draw(order, request_id)
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=_FPS, options=options)
        video.width, video.height, video.pix_fmt = order.width, order.height, "yuv420p"
        video.codec_context.gop_size = 10 * _FPS
        audio = out.add_stream("aac", rate=_RATE, layout="mono")
        audio.bit_rate = 12_000
        for packet in _packets(video, audio, slate, order):
            out.mux(packet)
            if stop.is_set():
                raise StoppedError


def render_packaged(folder: Path) -> None:
    """Make the clips that the package carries: six sizes, 5 and 10 seconds."""
    for size in ("832*480", "480*832", "1280*720", "720*1280", "1920*1080", "1080*1920"):
        width, height = map(int, size.split("*"))
        for duration in (5, 10):
            words = "A clip from the package: with the media extra, your prompt would stand here."
            order = Order(prompt=words, width=width, height=height, duration=duration, seed=42, price=0)
            path = folder / f"{width}x{height}-{duration}s.mp4"
            _encode(order, "packaged with batchgen", path, Event(), {"preset": "medium", "crf": "43"})


def _packets(video: av.VideoStream, audio: av.AudioStream, slate: _Slate, order: Order) -> Iterator[list[Any]]:
    """Encode picture and sound interleaved, a picture frame at a time."""
    total = order.duration * _FPS
    sounds = _sound(order)
    for index in range(total):
        frame = slate.frame(index / (total - 1))
        frame.pts = index
        yield video.encode(frame)
        for sound in sounds:
            yield audio.encode(sound)
            if (sound.pts or 0) / _RATE > index / _FPS:
                break
    yield video.encode(None)
    yield audio.encode(None)


# --- picture ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Slate:
    """A drawn picture as YUV planes, and the ball that runs along its track."""

    order: Order
    planes: list[bytes]
    strides: list[int]
    ball: list[bytes]
    side: int  #: of the ball's square, even
    track: tuple[int, int, int]  #: left, right, top; even

    @classmethod
    def draw(cls, order: Order, request_id: str) -> _Slate:
        colour = _accent(order)
        margin = _even(min(order.width, order.height) // 12)
        side = _even(min(order.width, order.height) // 14)
        track = (margin, order.width - margin - side, _even(order.height * 3 // 4))
        picture = _picture(order, request_id, margin, colour)
        frame, ball = _yuv(picture), _yuv(_ball(picture, track, side, colour))
        tight = [
            b"".join(bytes(plane)[row * plane.line_size :][: plane.width] for row in range(plane.height))
            for plane in ball.planes
        ]
        strides = [plane.line_size for plane in frame.planes]
        return cls(order, [bytes(plane) for plane in frame.planes], strides, tight, side, track)

    def frame(self, share: float) -> av.VideoFrame:
        """Give the frame at this share (0–1) of the clip: the ball swings once across and back."""
        import av

        left, right, top = self.track
        x = _even(left + round((right - left) * (1 - math.cos(2 * math.pi * share)) / 2))
        frame = av.VideoFrame(self.order.width, self.order.height, "yuv420p")
        for plane, base, stride, ball, half in zip(
            frame.planes, self.planes, self.strides, self.ball, (1, 2, 2), strict=True
        ):
            picture = bytearray(base)
            width = self.side // half
            for row in range(width):
                inset = round(width / 2 - math.sqrt((row + 0.5) * (width - row - 0.5)))  # of the circle in its square
                at = (top // half + row) * stride + x // half
                picture[at + inset : at + width - inset] = ball[row * width + inset : (row + 1) * width - inset]
            plane.update(bytes(picture))
        return frame


def _yuv(picture: Image.Image) -> av.VideoFrame:
    import av

    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    return frame.reformat(format="yuv420p")


def _picture(order: Order, request_id: str, margin: int, colour: tuple[int, int, int]) -> Image.Image:
    from PIL import ImageDraw

    width, height = order.width, order.height
    picture = _scene(order, colour)
    pen = ImageDraw.Draw(picture)
    small = max(14, min(width, height) // 32)
    pen.text((margin, margin), "SANDBOX", font=_font(small), fill=colour)
    pen.text((width - margin, margin), "no real video", font=_font(small), fill=_DIM, anchor="ra")
    _prompt(pen, order.prompt, (margin, margin + 3 * small, width - margin, height * 7 // 10))
    facts = f"seed {order.seed}   {width} x {height}   {order.duration} s"
    pen.text((margin, height - margin - 2 * small), facts, font=_font(small), fill=_INK)
    pen.text((margin, height - margin), request_id, font=_font(small * 7 // 10), fill=_DIM, anchor="ls")
    return picture


def _scene(order: Order, colour: tuple[int, int, int]) -> Image.Image:
    """Draw a sky, a sun and three ridges, each seed its own, so that takes can be told apart at a glance."""
    from PIL import Image, ImageDraw

    width, height = order.width, order.height
    chance = random.Random(f"scene:{order.prompt}:{order.seed}")
    sky = Image.new("RGB", (1, height))
    for y in range(height):
        sky.putpixel((0, y), _shade(colour, 0.44 - 0.26 * y / height))
    picture = sky.resize((width, height))
    pen = ImageDraw.Draw(picture)
    sun, radius = (chance.uniform(0.25, 0.9) * width, chance.uniform(0.3, 0.5) * height), min(width, height) * 0.13
    pen.ellipse((sun[0] - radius, sun[1] - radius, sun[0] + radius, sun[1] + radius), fill=_shade(colour, 0.62))
    for base, value in ((0.55, 0.25), (0.68, 0.17), (0.82, 0.08)):
        waves = [(chance.uniform(0.02, 0.09), chance.uniform(0.6, 2.6), chance.uniform(0, 6.3)) for _ in range(2)]
        ridge = [
            (x, height * (base + sum(a * math.sin(f * 6.283 * x / width + p) for a, f, p in waves)))
            for x in range(0, width + 8, 8)
        ]
        pen.polygon([*ridge, (width, height), (0, height)], fill=_shade(colour, value))
    return picture


def _prompt(pen: ImageDraw.ImageDraw, prompt: str, box: tuple[int, int, int, int]) -> None:
    """Write the prompt as large as it fits; what does not fit at the smallest size is cut with an ellipsis."""
    left, top, right, bottom = box
    for size in range((right - left) // 14, 13, -2):
        font = _font(size)
        lines = _wrap(prompt, font, right - left)
        room = max(1, int((bottom - top) / (size * 1.3)))
        if len(lines) <= min(room, 9 if bottom > right else 5) or size <= 16:
            break
    if len(lines) > room:
        lines = [*lines[: room - 1], lines[room - 1][:-1] + "…"]
    pen.multiline_text((left, top), "\n".join(lines), font=font, fill=_INK, spacing=size * 0.3)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break into lines that are no wider than `width` pixels; a word that is wider is broken too."""
    lines = [""]
    for word in text[:1500].split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            lines += [""] if font.getlength(lines[-1] + letter) > width else []
            lines[-1] += letter
    return lines


def _ball(picture: Image.Image, track: tuple[int, int, int], side: int, colour: tuple[int, int, int]) -> Image.Image:
    from PIL import Image, ImageDraw

    left, _, top = track
    square = picture.crop((left, top, left + side, top + side))
    mask = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(mask).ellipse((2, 2, 4 * side - 2, 4 * side - 2), fill=255)
    square.paste(Image.new("RGB", (side, side), colour), mask=mask.resize((side, side)))
    return square


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _accent(order: Order) -> tuple[int, int, int]:
    """A colour of the clip's own, by prompt and seed."""
    return _rgb(random.Random(f"{order.prompt}:{order.seed}").random(), 0.55, 0.98)


def _shade(colour: tuple[int, int, int], value: float) -> tuple[int, int, int]:
    """A cold, dark hue (teal to violet) that goes with the accent."""
    hue, _, _ = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    return _rgb(0.53 + 0.27 * hue, 0.55, value)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _even(number: int) -> int:
    """Chroma has half the resolution, so what moves does so by two pixels."""
    return number // 2 * 2


# --- sound --------------------------------------------------------------------------------------------


def _sound(order: Order) -> Iterator[av.AudioFrame]:
    """A soft fifth. Its tones fit whole periods into one AAC frame, so the samples are computed once."""
    import av

    base = random.Random(order.seed).randrange(4, 8) * 2
    wave = [_tone(base, at) + 0.6 * _tone(base * 3 // 2, at) for at in range(_AAC_FRAME)]
    total = order.duration * _RATE // _AAC_FRAME
    for index in range(total):
        gain = 0.08 * min(1.0, (index + 1) / 12, (total - index) / 12)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=_AAC_FRAME)
        frame.planes[0].update(array("f", (gain * sample for sample in wave)).tobytes())
        frame.sample_rate, frame.time_base, frame.pts = _RATE, Fraction(1, _RATE), index * _AAC_FRAME
        yield frame


def _tone(periods: int, at: int) -> float:
    return math.sin(2 * math.pi * periods * at / _AAC_FRAME)
