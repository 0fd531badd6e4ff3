"""The state file of a batch: `writer` changes clips, `reader` answers, `sql` is the tables, `spill` the last resort."""

from batchgen.ledger.reader import FILE, Reader, Totals
from batchgen.ledger.writer import Home, Ledger, Observer

__all__ = ["FILE", "Home", "Ledger", "Observer", "Reader", "Totals"]
