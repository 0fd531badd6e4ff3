"""Do ledger, journal and spill file of a batch agree? For `doctor`; a run reads only the journal's end."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.ledger import journal, schema
from batchgen.ledger.integrity import FILE


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far ledger, journal and spill file of a batch agree."""

    events: int  #: of the ledger
    missing: int  #: of these, not in the journal; the next run adds them
    other: int  #: otherwise in the journal
    damaged: int  #: lines of the journal that can't be read
    spilled: int  #: request ids that only the spill file has; the next run takes them up


def compare(folder: Path) -> Agreement:
    """Compare ledger, journal and spill file; for `doctor`. The ledger has to be sound.

    SQLite keeps no checksums: a letter of an id that has changed is sound to it. The lines of the journal have them.

    Raises:
        LedgerError, OSError: one of them can't be read.
    """
    damaged, other = 0, 0
    seen: set[int] = set()
    with closing(schema.connect(folder / FILE, writable=False)) as db:
        params = dict(db.execute("SELECT key, params FROM clip WHERE n > 0"))
        stored = "SELECT c.key, e.name, e.detail FROM event e JOIN clip c ON c.id = e.clip WHERE e.seq = ?"
        for values in journal.lines(folder / journal.FILE) if (folder / journal.FILE).is_file() else ():
            match values:
                case None:
                    damaged += 1
                case ["e", int(seq), key, _, name, detail]:
                    row = db.execute(stored, (seq,)).fetchone()
                    other += seq not in seen and (row is None or row[:2] != (key, name) or _differs(row[2], detail))
                    seen.add(seq)
                case ["c", {"key": key, "params": sent}]:
                    other += params.get(key, sent) != sent
                case _:
                    pass
        events = db.execute("SELECT count(*) FROM event").fetchone()[0]
        known = {found for (found,) in db.execute("SELECT request_id FROM request")}
    return Agreement(events, events - len(seen), other, damaged, len(_spilled(folder / journal.SPILL) - known))


def _differs(text: str, detail: object) -> bool:
    try:
        return bool(json.loads(text) != detail)
    except ValueError:
        return True


def _spilled(path: Path) -> set[str]:
    found = set()
    with suppress(OSError):
        for text in path.read_bytes().rstrip(b"\0").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                found.add(str(json.loads(text)["request_id"]))
    return found
