"""The marks that stand beside the words for states: never colour alone, and ASCII where ✓ can't be written."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.clip import State

#: The order in which states are told.
SHOWN = (
    State.DONE,
    State.DOWNLOADING,
    State.GENERATING,
    State.SUBMITTING,
    State.PENDING,
    State.FAILED,
    State.BLOCKED,
    State.UNCONFIRMED,
    State.LOST,
)


@dataclass(frozen=True, slots=True)
class Marks:
    """One set of characters."""

    done: str
    bad: str
    ask: str
    working: str
    waiting: str
    bar: str  #: done, in the works, in trouble, waiting
    ellipsis: str

    def of(self, state: State) -> str:
        """Give a state's mark."""
        match state:
            case State.DONE:
                return self.done
            case State.PENDING:
                return self.waiting
            case State.FAILED | State.BLOCKED:
                return self.bad
            case State.UNCONFIRMED | State.LOST:
                return self.ask
        return self.working


UNICODE = Marks("✓", "✗", "?", "▸", "·", "█▒✗░", "…")
ASCII = Marks("+", "x", "?", ">", "-", "#=x.", "...")
