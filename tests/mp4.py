"""Small whole MP4s built box by box, for tests that need thousands of them at once."""

from __future__ import annotations

import struct


def box(kind: bytes, *parts: bytes, wide: bool = False, open_ended: bool = False) -> bytes:
    """Build one box; `wide` uses the 64-bit size, `open_ended` the size 0."""
    body = b"".join(parts)
    if wide:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", 0 if open_ended else len(body) + 8, kind) + body


def mvhd(seconds: float, version: int = 0) -> bytes:
    if version:
        return box(b"mvhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 1000, int(seconds * 1000)), bytes(80))
    return box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, int(seconds * 1000)), bytes(80))


def trak(size: tuple[int, int], samples: list[int], offset: int) -> bytes:
    tkhd = box(b"tkhd", bytes(76), struct.pack(">II", size[0] << 16, size[1] << 16))
    stsz = box(b"stsz", struct.pack(f">III{len(samples)}I", 0, 0, len(samples), *samples))
    stco = box(b"stco", struct.pack(">III", 0, 1, offset))
    return box(b"trak", tkhd, box(b"mdia", box(b"minf", box(b"stbl", stsz, stco))))


def moov(seconds: float, size: tuple[int, int], samples: list[int], offset: int = 0, version: int = 0) -> bytes:
    return box(b"moov", mvhd(seconds, version), trak(size, samples, offset), trak((0, 0), [], offset))


def ftyp() -> bytes:
    return box(b"ftyp", b"isom", bytes(4), b"isomiso2avc1mp41")


def video(
    payload: int | bytes = 5_000,
    *,
    seconds: float = 5.0,
    size: tuple[int, int] = (832, 480),
    fast_start: bool = False,
    open_ended: bool = False,
    wide: bool = False,
    version: int = 0,
) -> bytes:
    """Build a whole MP4 with `payload` bytes of picture data (or those very bytes)."""
    data = bytes(i * 37 % 251 for i in range(payload)) if isinstance(payload, int) else payload
    half = len(data) // 2
    header = moov(seconds, size, [half, len(data) - half], len(ftyp()) + 8, version)
    mdat = box(b"mdat", data, wide=wide, open_ended=open_ended)
    return ftyp() + header + mdat if fast_start or open_ended else ftyp() + mdat + header


def fragmented(parts: int = 3, *, index: bool = False, trailer: bool = False) -> bytes:
    """Build a fragmented MP4: an empty header, then moof + mdat pairs; with an index before or after them."""
    each = [box(b"moof", box(b"mfhd", bytes(8))) + box(b"mdat", bytes([n] * 100)) for n in range(1, parts + 1)]
    references = b"".join(struct.pack(">III", len(part), 1000, 0) for part in each)
    sidx = box(b"sidx", struct.pack(">IIIIIHH", 0, 1, 1000, 0, 0, 0, parts), references) if index else b""
    mfra = box(b"mfra", box(b"mfro", bytes(4), struct.pack(">I", 24))) if trailer else b""
    return ftyp() + moov(0, (832, 480), []) + sidx + b"".join(each) + mfra
