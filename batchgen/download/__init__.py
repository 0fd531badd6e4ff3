"""URL → `.part` → checked → final name. Reading order: `downloader`, `blocks`, `part`, `body`, `hosts`, `slots`."""

from batchgen.download.downloader import Downloader

__all__ = ["Downloader"]
