"""Stress test: the real command against the sandbox, killed and obstructed at every step; then the books are compared.

Reading order: `plan` (what is done, from a seed) and `judge` (what must hold), both pure; `batch` (the manifest),
`proxy` (the bad network), `process` (the command and the sandbox), `evidence` (what is found on disk), `counters`
(what was tried), and `driver` (round after round, the end, the report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchgen.torture.driver import Torture

__all__ = ["Torture"]


def __getattr__(name: str) -> object:
    """Load what runs only when it is asked for: the help must not cost its imports."""
    if name == "Torture":
        from batchgen.torture.driver import Torture

        return Torture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
