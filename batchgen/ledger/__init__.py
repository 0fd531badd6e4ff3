"""The state file of a batch. Read `writer` for how a clip changes, `reader` for what can be asked."""

from batchgen.ledger.reader import FILE, Reader, Totals
from batchgen.ledger.writer import Home, Ledger, Observer

__all__ = ["FILE", "Home", "Ledger", "Observer", "Reader", "Totals"]
