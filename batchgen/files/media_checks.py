"""One decode of a whole film: does every frame decode, and what would a person want to know before watching it?

The pass gives a poster, a strip of eight frames, and findings: black and frozen stretches, hard cuts, bars around the
picture, loudness, the waveform, and hashes by which near-duplicate takes are found. Findings are flags: they sort what
is looked at first, and reject nothing. The detectors are those of FFmpeg. Needs the `media` extra.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchgen.files.findings import FRAMES, STRETCH_S, WAVE_POINTS, Findings, Pictures, Stretches

if TYPE_CHECKING:
    import av
    from PIL import Image

#: The longer side of a strip's frames and of a poster, in pixels.
_STRIP_SIDE, _POSTER_SIDE = 240, 384
#: Mean luma (0 to 255) that the frame of a poster passes.
_POSTER_LUMA: Final = 20
#: Luma that bars around the picture do not pass, and the share of a side that they take at least, each.
_BAR_LUMA, _BAR_SHARE = 32, 0.04
#: What sees the picture: small, so that it costs less than decoding.
_SMALL: Final = 160
_PICTURE: Final = (
    ("scale", f"{_SMALL}:{_SMALL}:force_original_aspect_ratio=decrease:force_divisible_by=2"),
    ("format", "yuv420p"),
    ("blackdetect", f"d={STRETCH_S}:pix_th=0.10:pic_th=0.98"),
    ("freezedetect", f"d={STRETCH_S}:n=0.0001"),
    ("scdet", "t=10"),
)
_SOUND: Final = (
    ("aformat", "sample_fmts=s16:channel_layouts=mono"),
    ("ebur128", "metadata=1"),
    ("aformat", "sample_fmts=s16"),
)


def check(path: Path) -> tuple[Findings, Pictures | None]:
    """Decode a film once, to its end.

    Takes about 0.3 s of CPU for five seconds of 480p, 0.6 for 720p, 2 for ten seconds of 1080p.

    Returns:
        The findings, and the pictures; None when not one frame decoded.

    Raises:
        ImportError: the `media` extra is not installed.
    """
    import av

    film, sound, fault = _Picture(), _Sound(), ""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return Findings("no picture track"), None
            fault = _decode(container, film, sound)
    except (av.FFmpegError, OSError) as error:
        fault = f"does not decode: {error}"
    if not film.frames:
        return Findings(fault or "has no frames"), None
    return film.findings(fault, sound), film.pictures()


def _decode(container: av.container.InputContainer, film: _Picture, sound: _Sound) -> str:
    """Feed both tracks, and say what is wrong with them; a damaged sound track spoils no picture."""
    import av

    video, audio = container.streams.video[0], next(iter(container.streams.audio), None)
    video.codec_context.thread_count = 1  # several films at a time use the cores better
    film.begin(video)
    fault = ""
    for packet in container.demux(video, *([audio] if audio else [])):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    film.take(frame)
                elif isinstance(frame, av.AudioFrame):
                    sound.take(frame)
        except av.FFmpegError as error:
            fault = fault or f"does not decode: {error}"
    film.end()
    sound.end()
    return fault


class _Filters:
    """A chain of FFmpeg's filters: frames go in, and come out with what was found in their metadata."""

    def __init__(self, chain: tuple[tuple[str, str], ...]) -> None:
        self._chain = chain
        self._graph: av.filter.Graph | None = None

    def run(self, frame: av.VideoFrame | av.AudioFrame | None) -> list[Any]:
        """Give the frames that come out for this one; None is the end."""
        import av

        if self._graph is None:
            if frame is None:
                return []
            self._graph = self._made(frame)
        self._graph.push(frame)
        out = []
        while True:
            try:
                out.append(self._graph.pull())
            except (av.BlockingIOError, av.EOFError):
                return out

    def _made(self, frame: av.VideoFrame | av.AudioFrame) -> av.filter.Graph:
        import av

        graph = av.filter.Graph()
        if isinstance(frame, av.VideoFrame):
            first = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            last = "buffersink"
        else:
            first = graph.add_abuffer(
                format=frame.format.name,
                sample_rate=frame.sample_rate,
                layout=frame.layout.name,
                time_base=frame.time_base,
            )
            last = "abuffersink"
        graph.link_nodes(first, *(graph.add(name, args) for name, args in self._chain), graph.add(last)).configure()
        return graph


class _Picture:
    """Gathers from the frames of a film what there is to see."""

    def __init__(self) -> None:
        self.frames = 0
        self._filters = _Filters(_PICTURE)
        self._black, self._frozen = _Stretch("lavfi.black_"), _Stretch("lavfi.freezedetect.freeze_")
        self._cuts: list[float] = []
        self._brightest: Image.Image | None = None  #: each point at its brightest, over the whole film
        self._hashes: dict[int, str] = {}
        self._poster: Image.Image | None = None
        self._poster_luma = -1.0
        self._strip: dict[int, Image.Image] = {}
        self._every = 1
        self._seen = 0

    def begin(self, stream: av.VideoStream) -> None:
        """Learn how many frames there will be, to choose eight of them."""
        self._fps = stream.average_rate
        self._size = stream.width, stream.height
        expected = stream.frames or int(float((stream.duration or 0) * (stream.time_base or 0)) * float(self._fps or 0))
        self._every = max(1, expected // FRAMES)

    def take(self, frame: av.VideoFrame) -> None:
        """See one frame."""
        if self.frames % self._every == self._every // 2 and len(self._strip) < FRAMES:
            self._strip[self.frames] = _scaled(frame, _STRIP_SIDE)
        self._last = (frame.time or 0.0) + (1 / float(self._fps) if self._fps else 0.0)
        self._offer_poster(frame)
        self.frames += 1
        for small in self._filters.run(frame):
            self._see(small)

    def end(self) -> None:
        """See what the filters held back."""
        for small in self._filters.run(None):
            self._see(small)

    def findings(self, fault: str, sound: _Sound) -> Findings:
        """Say what was found."""
        length = round(self._last, 3)
        return Findings(
            fault=fault,
            frames=self.frames,
            width=self._size[0],
            height=self._size[1],
            fps=f"{self._fps.numerator}/{self._fps.denominator}" if self._fps else "",
            duration_s=length,
            black=self._black.all(length),
            frozen=self._frozen.all(length),
            cuts=tuple(self._cuts),
            bars=self._bars(),
            lufs=sound.lufs,
            waveform=sound.waveform(),
            hashes=tuple(self._hashes.values()),
        )

    def pictures(self) -> Pictures:
        """Make the WebP files."""
        from PIL import Image

        frames = list(self._strip.values())
        width, height = frames[0].size
        strip = Image.new("RGB", (width * FRAMES, height))
        for index in range(FRAMES):
            strip.paste(frames[min(index, len(frames) - 1)], (index * width, 0))
        return Pictures(_webp(self._poster or frames[0]), _webp(strip))

    def _offer_poster(self, frame: av.VideoFrame) -> None:
        """Keep the first frame that is not dark; until there is one, the first of all."""
        if self._poster_luma > _POSTER_LUMA:
            return
        plane = frame.planes[0]
        sample = bytes(plane)[::97]
        luma = sum(sample) / max(1, len(sample))
        if self._poster is None or luma > _POSTER_LUMA:
            self._poster = _scaled(frame, _POSTER_SIDE)
            self._poster_luma = luma

    def _see(self, small: av.VideoFrame) -> None:
        from PIL import Image, ImageChops

        facts = {str(name): str(value) for name, value in small.metadata.items()}
        self._black.take(facts)
        self._frozen.take(facts)
        if "lavfi.scd.time" in facts:
            self._cuts.append(round(float(facts["lavfi.scd.time"]), 3))
        plane = small.planes[0]
        grey = Image.frombytes("L", (small.width, small.height), bytes(plane), "raw", "L", plane.line_size)
        self._brightest = grey if self._brightest is None else ImageChops.lighter(self._brightest, grey)
        if self._seen in self._strip:
            self._hashes[self._seen] = _difference_hash(grey)
        self._seen += 1

    def _bars(self) -> tuple[float, float, float, float]:
        """Measure what never gets bright at opposite sides; one side alone is a dark picture, no bar."""
        if self._brightest is None:
            return (0.0, 0.0, 0.0, 0.0)
        width, height = self._brightest.size
        box = self._brightest.point([0] * _BAR_LUMA + [255] * (256 - _BAR_LUMA)).getbbox()
        if box is None:
            return (0.0, 0.0, 0.0, 0.0)
        left, top, right, bottom = box[0] / width, box[1] / height, 1 - box[2] / width, 1 - box[3] / height
        across, down = min(left, right) >= _BAR_SHARE, min(top, bottom) >= _BAR_SHARE
        return (round(left * across, 3), round(top * down, 3), round(right * across, 3), round(bottom * down, 3))


class _Stretch:
    """Reads stretches from the metadata of frames: `…start` on one of them, `…end` on a later one, or never."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._began: float | None = None
        self._found: list[tuple[float, float]] = []

    def take(self, facts: Mapping[str, str]) -> None:
        ended = facts.get(self._prefix + "end")
        if ended is not None:
            self._close(float(ended))
        began = facts.get(self._prefix + "start")
        if began is not None:
            self._began = float(began)

    def all(self, length: float) -> Stretches:
        """Give those that are long enough; one that is still open lasts to the end of the film."""
        self._close(length)
        return tuple(self._found)

    def _close(self, ended: float) -> None:
        if self._began is not None and ended - self._began >= STRETCH_S:
            self._found.append((round(self._began, 3), round(ended, 3)))
        self._began = None


class _Sound:
    """Gathers loudness and levels from the sound of a film."""

    def __init__(self) -> None:
        self.lufs: float | None = None
        self._filters = _Filters(_SOUND)
        self._samples = array("h")

    def take(self, frame: av.AudioFrame) -> None:
        """Hear one frame."""
        frame.pts = None  # a gap between frames is none in the sound
        self._hear(self._filters.run(frame))

    def end(self) -> None:
        """Hear what the filters held back."""
        self._hear(self._filters.run(None))

    def waveform(self) -> tuple[float, ...]:
        """Give the highest level in each of 200 parts, 0 to 1."""
        total = len(self._samples)
        if not total:
            return ()
        edges = [total * index // WAVE_POINTS for index in range(WAVE_POINTS + 1)]
        parts = (self._samples[start : max(stop, start + 1)] for start, stop in pairwise(edges))
        return tuple(round(max(map(abs, part), default=0) / 32768, 3) for part in parts)

    def _hear(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            self._samples.frombytes(bytes(frame.planes[0])[: 2 * frame.samples])
            loud = frame.metadata.get("lavfi.r128.I")
            if loud is not None:
                self.lufs = round(float(str(loud)), 1)


def _scaled(frame: av.VideoFrame, side: int) -> Image.Image:
    """Give a frame as a picture whose longer side has so many pixels."""
    share = side / max(frame.width, frame.height)
    width, height = (max(2, round(length * share / 2) * 2) for length in (frame.width, frame.height))
    picture: Image.Image = frame.reformat(width, height, "rgb24").to_image()  # type: ignore[no-untyped-call]
    return picture


def _webp(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=70, method=2)
    return out.getvalue()


def _difference_hash(grey: Image.Image) -> str:
    """Hash a picture by which of its neighbours are brighter: 64 bits that change little when it does (dHash)."""
    from PIL import Image

    small = grey.resize((9, 8), Image.Resampling.BOX).tobytes()
    bits = "".join("1" if small[at] < small[at + 1] else "0" for row in range(8) for at in range(row * 9, row * 9 + 8))
    return f"{int(bits, 2):016x}"
