"""How a run ends before its work does: why, with which exit code, and how long it still collects."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from batchgen.errors import Exit

_ORDER = (Exit.INTERRUPTED, Exit.TERMINATED, Exit.STOPPED)


@dataclass
class Shutdown:
    """Pulled once or more; each pull can only shorten what is left. Submissions are closed by the first.

    `grace_s` counts from the pull; infinite means: collect all that is in flight (drain).
    """

    why: str = ""
    exit: Exit | None = None
    needs_edit: bool = False  #: the same run would end at once again: a cap has to be raised, or a price written
    now: bool = False  #: leave at once, even with answers outstanding
    _until: float = field(default=math.inf, init=False, repr=False)
    _changed: asyncio.Future[None] | None = field(default=None, init=False, repr=False)

    @property
    def requested(self) -> bool:
        """True once nothing more may be submitted."""
        return self.exit is not None

    def request(
        self, why: str, exit_code: Exit, *, grace_s: float = math.inf, now: bool = False, needs_edit: bool = False
    ) -> None:
        """Stop submitting, and stop collecting `grace_s` seconds from now."""
        if self.exit is None or _ORDER.index(exit_code) < _ORDER.index(self.exit):
            self.why, self.exit, self.needs_edit = why, exit_code, needs_edit
        self.now = self.now or now
        self._until = min(self._until, asyncio.get_running_loop().time() + grace_s)
        if self._changed and not self._changed.done():
            self._changed.set_result(None)

    def left_s(self) -> float | None:
        """Seconds that may still be spent on collecting; None while there is no end to it."""
        if math.isinf(self._until):
            return None
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def next_request(self) -> asyncio.Future[None]:
        """Give a future that is done at the next pull."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed
