"""A prompt's audio: a URL that may be sent, or a local file that may be uploaded."""

from __future__ import annotations

import hashlib
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.manifest.faults import read_bounded
from batchgen.providers.models import Media
from batchgen.proxy import is_loopback

#: kbit/s of MPEG-1 and MPEG-2/2.5 layer III, by the index in the frame's header.
_BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
#: That the upload of a service without a known limit is trusted with.
_MOST_BYTES = 15_000_000
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


class AudioError(ValueError):
    """This audio can't be sent: `what`, and how to `fix` it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Audio:
    """A local file that may be uploaded; `seconds` is None where its length is unknown."""

    path: Path
    sha256: str
    seconds: float | None


def is_url(text: str) -> bool:
    """Say whether a text is a URL and not the name of a file."""
    return "://" in text or text.lower().startswith(("data:", "blob:"))


def check_url(text: str, name: str = "audio") -> None:
    """Accept an https URL, and http only to this machine.

    Raises:
        AudioError: anything else.
    """
    example = "https://host/file.mp3" if name == "audio" else "https://host/file"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError as error:
        raise AudioError(f"the {name} URL can't be read", f"write {example}") from error
    if any(c.isspace() for c in text) or not host or parts.scheme not in ("https", "http"):
        raise AudioError(f"the service can't fetch this {name} URL", f"write {example}")
    if parts.scheme == "http" and not is_loopback(host):
        raise AudioError(f"{_article(name)} {name} URL over http can be read by others", "write https://")


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def inspect(path: Path, takes: Media | None) -> Audio:
    """Return the length and the hash of a local file, read once; `takes` is what the model takes, as far as is known.

    Raises:
        AudioError: it is missing, too big, neither wav nor mp3, too short or too long.
    """
    data = _read(path, (takes and takes.max_bytes) or _MOST_BYTES)
    seconds = _wav_seconds(data) if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else mp3_seconds(data)
    shortest, longest = (takes and takes.seconds) or (0.0, float("inf"))
    # An mp3 is padded to whole frames, so a few milliseconds are no error.
    if seconds is not None and not shortest - 0.05 <= seconds <= longest + 0.05:
        raise AudioError(
            f"the audio {path.name} is {seconds:.1f} s long", f"the service takes {shortest:g}–{longest:g} s"
        )
    return Audio(path, hashlib.sha256(data).hexdigest(), seconds)


def _read(path: Path, most: int) -> bytes:
    try:
        data = read_bounded(path, most)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise AudioError(
            f"the audio file {path.name} can't be read ({why})", "check its path from the manifest"
        ) from error
    if data is None:
        size = path.stat().st_size / 1e6
        raise AudioError(f"the audio {path.name} has {size:.1f} MB", f"the service takes {most / 1e6:g} MB at most")
    return data


def _wav_seconds(data: bytes) -> float | None:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            frames: int = sound.getnframes()
            rate: int = sound.getframerate()
            return frames / rate
    except (wave.Error, EOFError, ZeroDivisionError):
        return None  # float or extensible formats, which the stdlib does not read


def mp3_seconds(data: bytes) -> float | None:
    """Return an mp3's length in seconds by adding up its frames; None: frames are there, but something else follows.

    Raises:
        AudioError: it is no mp3.
    """
    at = _after_id3(data)
    total, frames = 0.0, 0
    while frame := _frame(data, at):
        length, seconds = frame
        at, total, frames = at + length, total + seconds, frames + 1
    if frames < 3:
        raise AudioError("the audio is neither wav nor mp3", "convert it; the file name's extension does not count")
    rest = len(data) - at
    return total if rest <= 128 or data[at : at + 3] in (b"TAG", b"APE") or not any(data[at:]) else None


def _after_id3(data: bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _frame(data: bytes, at: int) -> tuple[int, float] | None:
    """Return (bytes, seconds) of the layer III frame that begins here."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, rate_index, bit_index = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or rate_index == 3 or bit_index in (0, 15):
        return None
    rate = _RATES[version][rate_index]
    samples = 1152 if version == 3 else 576
    kbit = _BITRATES[0 if version == 3 else 1][bit_index]
    return samples // 8 * kbit * 1000 // rate + (head[2] >> 1 & 1), samples / rate
