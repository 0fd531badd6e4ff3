"""The entry of the command; `python -m batchgen` is the same as `batchgen`.

A module of its own, since it acts before the command line is imported, which takes a third of a second.
"""

from __future__ import annotations

import signal
import sys

#: The exit code of a command that SIGTERM ended (`batchgen.errors.Exit.TERMINATED`).
TERMINATED = 143


def main() -> None:
    """Run the command line and exit. SIGTERM ends it with its own exit code from here on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    from batchgen import cli

    cli.main()


if __name__ == "__main__":
    main()
