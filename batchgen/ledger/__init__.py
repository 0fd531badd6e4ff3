"""The state file of a batch: `writer` changes clips, `reader` answers, `sql` is the tables, `spill` the last resort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchgen.ledger.reader import FILE, SANDBOX_ORIGIN, Reader, Totals

__all__ = ["FILE", "SANDBOX_ORIGIN", "Home", "Ledger", "Observer", "Reader", "Totals"]

if TYPE_CHECKING:
    from batchgen.ledger.sqlite import Home, Ledger, Observer


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the writer has by that name
    """Import the writer (asyncio, locks) when it is first asked for: `status` only reads, and answers at once."""
    if name in __all__:
        from batchgen.ledger import sqlite

        return getattr(sqlite, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
