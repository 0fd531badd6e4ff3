"""Small films for the page: each frame shows its own number as eight bars, black for 0 and white for 1."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import pairwise

import av
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

#: Frames a second of Wan 2.5.
WAN = Fraction(24)
#: Bars, and their width and height in pixels: large enough that no codec blurs them.
BARS, WIDE, TALL = 8, 16, 72


@cache
def numbered(frames: int = 100, fps: Fraction = WAN, *, mark: int = 0) -> bytes:
    """Make a film whose frames spell their numbers; `mark` makes another film of the same pictures.

    Args:
        frames: fewer than 256.
        fps: frames a second.
        mark: shade of the line at its bottom, so that takes differ in content.
    """
    target = BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "10", "g": "48"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = BARS * WIDE, TALL + 8, "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(_picture(number, mark))))  # type: ignore[no-untyped-call]
        container.mux(stream.encode(None))
    return target.getvalue()


def _picture(number: int, mark: int) -> Image.Image:
    picture = Image.new("RGB", (BARS * WIDE, TALL + 8), (mark, mark, mark))
    pen = ImageDraw.Draw(picture)
    for bar, (left, right) in enumerate(pairwise(range(0, BARS * WIDE + 1, WIDE))):
        shade = 255 if number >> bar & 1 else 0
        pen.rectangle((left, 0, right - 1, TALL - 1), fill=(shade, shade, shade))
    return picture


#: JavaScript that reads the number which a video element shows, of a film made here.
READ = """video => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(video, 0, 0);
  let number = 0;
  for (let bar = 0; bar < 8; bar += 1) number |= (pen.getImageData(bar * 16 + 8, 36, 1, 1).data[0] > 127) << bar;
  return number;
}"""
