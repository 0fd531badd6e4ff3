"""Questions of the page to a ledger that a run may be writing: what changed, cheap at 100,000 clips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from batchgen.clip import Clip, State
from batchgen.ledger import Reader
from batchgen.ledger.integrity import BATCH_ID

#: Events that end a clip for a run, and the one that says how long a film is.
_ENDS: Final = ("Downloaded", "Failed", "Blocked", "Lost", "AnswerLost")


class ClipEnd(NamedTuple):
    """A clip came to an end, for now."""

    row: int
    at: float  #: epoch seconds
    state: str
    seconds: float | None  #: of film, of a file that was downloaded


class PageReader(Reader):
    """A ledger, asked what the page shows."""

    def fingerprint(self) -> str:
        """Give a short text that changes with what no event says: other clips, wanted or in another order, or files.

        A run that begins brings the clips in line with the manifest, and a ledger can be replaced by a rebuilt one.
        """
        sums = "count(*), max(id), sum(wanted * id), sum(ord * (id % 1009)), sum(length(name))"
        found = self._db.execute(f"SELECT {sums} FROM clip").fetchone()  # noqa: S608 - a constant
        text = f"{self.meta(BATCH_ID)} {self.path.stat().st_ino} {found}"
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def changed_since(self, event: int) -> list[int]:
        """Give the rows of the clips that had an event after the given."""
        return [row for (row,) in self._db.execute("SELECT DISTINCT clip FROM event WHERE seq > ?", (event,))]

    def clip_of_key(self, key: str) -> Clip | None:
        """Give one clip by its key."""
        row = self._db.execute("SELECT id FROM clip WHERE key=?", (key,)).fetchone()
        return None if row is None else self.clip(row[0])

    def clips_of(self, rows: Iterable[int]) -> list[Clip]:
        """Give clips by their rows."""
        return [self.clip(row) for row in sorted({*rows})]

    def rows_of(self, keys: Iterable[str]) -> list[int]:
        """Give the rows of those of the keys that the ledger has."""
        found = (self._db.execute("SELECT id FROM clip WHERE key=?", (key,)).fetchone() for key in keys)
        return [row[0] for row in found if row is not None]

    def ended_since(self, event: int) -> Iterator[ClipEnd]:
        """Give what ended after an event, in order."""
        query = (
            "SELECT clip, at, state, json_extract(detail, '$.seconds') FROM event "  # noqa: S608 - constants
            f"WHERE seq > ? AND name IN ({','.join('?' * len(_ENDS))}) ORDER BY seq"
        )
        return map(ClipEnd._make, self._db.execute(query, (event, *_ENDS)))

    def labels(self) -> list[str]:
        """Give the labels of the matrix cells of wanted clips, each once, in the manifest's order."""
        query = "SELECT label FROM clip WHERE wanted=1 AND label <> '' GROUP BY label ORDER BY min(ord)"
        return [label for (label,) in self._db.execute(query)]

    def prompts_of(self, state: State) -> Iterator[tuple[str, str]]:
        """Give key and prompt id of the wanted clips in a state."""
        query = "SELECT key, prompt_id FROM clip WHERE wanted=1 AND state=?"
        yield from self._db.execute(query, (str(state),))

    def charged(self, keys: Iterable[str]) -> int:
        """Add up what all requests for these clips were charged, in micro-dollars."""
        query = "SELECT coalesce(sum(r.cost), 0) FROM request r JOIN clip c ON c.id = r.clip WHERE c.key=?"
        return sum(self._db.execute(query, (key,)).fetchone()[0] for key in keys)

    def models(self) -> list[str]:
        """Name the models of its clips."""
        return [model for (model,) in self._db.execute("SELECT DISTINCT model FROM clip ORDER BY model")]

    def estimates(self) -> dict[str, int]:
        """Give by price class what the latest request was likely to cost, by the prices of its run's manifest."""
        query = "SELECT grade, estimate, max(intent_at) FROM request WHERE estimate IS NOT NULL GROUP BY grade"
        return {price_class: estimate for price_class, estimate, _ in self._db.execute(query)}
