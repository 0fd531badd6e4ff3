"""URL → `.part` → checked → final name.

Reading order: `downloader` (one file, start to end), `body` (its bytes: decoded, bounded, hashed and written in
blocks), `part` (what is on disk, resuming, the final name), `addresses` (which hosts are allowed).
"""

from batchgen.download.downloader import Downloader

__all__ = ["Downloader"]
