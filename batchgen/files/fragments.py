"""The index of a film that comes in fragments: how far it says that they reach (ISO/IEC 14496-12, section 8.16.3).

A module of its own, since it reads one box and knows nothing of the walk that finds it.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

#: An index of 65,535 entries has 786 kB.
_MAX = 2**20


def index_end(file: BinaryIO, start: int, end: int) -> int | None:
    """Give the byte at which the fragments end that a segment index (sidx) lists; None where it can't be read.

    Args:
        file: of the film; its position is moved.
        start: of the box's payload (bytes).
        end: of the box: what it lists begins there, or further on.
    """
    file.seek(start)
    sidx = file.read(min(end - start, _MAX))
    layout, skip = (">QHH", 20) if sidx[:1] == b"\1" else (">IHH", 16)
    try:
        first, _, count = struct.unpack_from(layout, sidx, skip)
        sizes = struct.unpack_from(">" + "Iii" * count, sidx, skip + struct.calcsize(layout))[::3]
    except struct.error:
        return None
    return int(end + first + sum(size & 0x7FFF_FFFF for size in sizes))
