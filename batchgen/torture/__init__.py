"""Torture: the real command against the fault sandbox, killed and starved at every step; then the books are compared.

Reading order: `plan` (what is done to it, from a seed), `judge` (what must hold), both pure; `proxy` (the bad
network), `service` (the sandbox's process), `command` (the tortured process), `evidence` (what lies on the disk),
`conduct` (round after round, then the end), `report`.
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
