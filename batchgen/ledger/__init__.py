"""The store of a batch: every clip, request, event and cent.

To read in this order: `base` is what a run may ask, and what it is promised; `sqlite` keeps the promises in a file.
Under it, `commits` judges moves and makes many of them durable at once, and `schema` has the tables. `wanted` says
which clips the batch wants, and which of them owns which file name; `wishes` has what was queued next to a run, and
which takes are not to be made. `reader` answers the questions of views, also while a run writes. `journal` is the
second copy of all events, with the last resort for a request id; `lock` keeps a second run out, `filesystem` knows
which disks can be trusted, `integrity` checks a file before it is opened, and whether it is the last one of its batch.
`agreement` compares all copies for the doctor command, and `recovery` builds a new ledger from what is left of a
damaged one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchgen.ledger.base import (
    FencedError,
    Home,
    Ledger,
    NoRoomError,
    Observer,
    SkippedError,
    Totals,
    about,
    replacing,
)
from batchgen.ledger.reader import FILE, SANDBOX_ORIGIN, Reader

__all__ = [
    "FILE",
    "SANDBOX_ORIGIN",
    "FencedError",
    "Home",
    "Ledger",
    "NoRoomError",
    "Observer",
    "Reader",
    "SkippedError",
    "SqliteLedger",
    "Totals",
    "about",
    "replacing",
]

if TYPE_CHECKING:
    from batchgen.ledger.sqlite import SqliteLedger


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the writer has by that name
    """Import the writer (asyncio, locks) when it is first asked for: `status` only reads, and answers at once."""
    if name == "SqliteLedger":
        from batchgen.ledger.sqlite import SqliteLedger

        return SqliteLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
