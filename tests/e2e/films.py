"""Small films for the page: each frame shows its own number as eight bars, black for 0 and white for 1."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from io import BytesIO

import av
from av.video.stream import VideoStream

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
            container.mux(stream.encode(_picture(number, mark)))
        container.mux(stream.encode(None))
    return target.getvalue()


def _picture(number: int, mark: int) -> av.VideoFrame:
    """Draw one frame. Grey planes are written as they are: no conversion, and no picture library."""
    line = bytes(255 if number >> bar & 1 else 0 for bar in range(BARS) for _ in range(WIDE))
    frame = av.VideoFrame(BARS * WIDE, TALL + 8, "yuv420p")
    luma, *chroma = frame.planes
    gap = bytes(luma.line_size - len(line))
    luma.update((line + gap) * TALL + bytes([mark]) * (luma.line_size * 8))
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    return frame


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
#: Press keys in the loupe, one after the other, and read picture and label once each is done. A seek ends a moment
#: before its frame is painted; a wrong frame would stay.
STEPS = (
    "async keys => { const read = "
    + READ
    + """;
  const { app } = await import('/assets/app.js');
  const { films } = app.mode.view;
  const painted = async wanted => {
    for (let frames = 0; frames < 60 && read(films.now.video) !== wanted; frames += 1) {
      await new Promise(requestAnimationFrame);
    }
    return read(films.now.video);
  };
  const found = [];
  for (const key of keys) {
    document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    await films.now.settled();
    const label = Number(/frame (\\d+) of/.exec(document.querySelector('output.frame').textContent)[1]);
    found.push([await painted(label), label]);
  }
  return found;
}"""
)
