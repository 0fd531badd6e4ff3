"""What of a batch a run is to do: the value that its options make, and the one rule for `--only`. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass


def globs(only: str) -> list[str]:
    """Split a text such as "singer*, dawn_1" into its globs, with the blanks around each removed."""
    return [glob.strip() for glob in only.split(",")]


def matches(only: str | None, *names: str) -> bool:
    """Say whether one of a clip's names (prompt id, file name) fits one of the globs.

    Args:
        only: globs with commas between them, case-sensitive; None fits every clip, "" fits none.
        names: what the clip is known by.
    """
    return only is None or any(fnmatch.fnmatchcase(name, glob) for glob in globs(only) for name in names)


def unmatched(only: str | None, names: Iterable[str]) -> list[str]:
    """Return the globs that fit no clip: as a rule they are misspelt.

    Args:
        only: as for `matches`.
        names: of all clips, prompt ids and file names.
    """
    every = set(names)
    return [glob for glob in globs(only or "") if glob and not any(fnmatch.fnmatchcase(name, glob) for name in every)]


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the batch a run is to do, as its options say; without any: all of it."""

    limit: int | None = None  #: submit at most this many clips
    only: str | None = None  #: globs of prompt ids or names, with commas between them
    planned: frozenset[int] | None = None  #: ledger rows of a saved plan, the only ones to submit; None: every row
    resubmit_unconfirmed: bool = False  #: submit unconfirmed clips again that the whole history does not have
    resubmit_lost: bool = False  #: submit lost clips again
    skipped: frozenset[str] = frozenset()  #: keys of takes that are not to be made, since another one was picked
    submit: bool = True  #: False: only collect what is paid for

    def takes(self, row: int, *names: str) -> bool:
        """Say whether `only` and `planned` leave a clip in, by its row in the ledger and its names."""
        return (self.planned is None or row in self.planned) and matches(self.only, *names)
