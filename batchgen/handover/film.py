"""Facts of a film that editors' programs need, read from the file: never assumed. Needs the `media` extra.

Short, because it is one question of its own, and the only part of a hand-over that opens a film.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from batchgen.errors import UsageError


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What a file says of itself.

    Attributes:
        frames: pictures in it.
        rate: frames a second.
        channels: of its sound; 0 without a sound track.
        sample_rate: samples a second; 0 without a sound track.
    """

    frames: int
    rate: Fraction
    width: int
    height: int
    channels: int = 0
    sample_rate: int = 0

    @property
    def seconds(self) -> Fraction:
        """Its length; whole frames."""
        return self.frames / self.rate


def read(path: Path) -> FilmFacts:
    """Read a film's facts.

    Raises:
        UsageError: it is no film, or PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise UsageError(
            "the files for editors need facts that are read from each film, and PyAV is not installed",
            tip="pip install '.[media]', or pass --for folder",
        ) from None
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            audio = next(iter(container.streams.audio), None)
            rate = video.average_rate or video.guessed_rate
            frames = video.frames or sum(packet.size > 0 for packet in container.demux(video))
            sound = (audio.codec_context.channels, audio.codec_context.sample_rate) if audio else (0, 0)
            return FilmFacts(frames, Fraction(rate or 0), video.width, video.height, *sound)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise UsageError(
            f"{path} can't be read as a film: {error}", tip="check the files with `batchgen verify`"
        ) from None
