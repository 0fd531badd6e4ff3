"""Which clips of a batch a run may submit: `--limit`, `--only`, a saved plan and resubmissions as one value. Pure."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a batch may be submitted, and the user's decision about clips in doubt."""

    limit: int | None = None  #: submit at most this many clips; None: no limit
    only: str | None = None  #: globs of prompt ids or names, separated by commas; None: every clip
    planned: frozenset[int] | None = None  #: rows of a saved plan, the only ones that may be submitted; None: no plan
    submit: bool = True  #: False: only collect what is paid for
    resubmit_unconfirmed: bool = False  #: submit unconfirmed clips again that the history proves absent
    resubmit_lost: bool = False  #: submit lost clips again

    def takes(self, row: int, *names: str) -> bool:
        """Return whether `only` and the saved plan include the clip of a row; `names` are its prompt id and name."""
        return (self.planned is None or row in self.planned) and matches(self.only, *names)


def matches(globs: str | None, *names: str) -> bool:
    """Return whether one of the names fits one of the globs, which commas separate; None fits every name."""
    if globs is None:
        return True
    each = [glob.strip() for glob in globs.split(",")]
    return any(fnmatch.fnmatchcase(name, glob) for glob in each for name in names)
