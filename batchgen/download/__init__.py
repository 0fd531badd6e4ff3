"""URL → `.part` → checked → final name.

Reading order: `downloader` (one file, start to end), `part` (what is on disk, resuming, the final name), `writer`
(blocks hashed and written in threads), `limits` (length and speed of a body), `addresses` (which hosts are allowed).
"""

from batchgen.download.downloader import Downloader

__all__ = ["Downloader"]
