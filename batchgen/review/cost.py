"""What the picks have cost: by prompt, matrix cell and model, and what was spent on rejects, by reason. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.clip import ClipSummary, State
from batchgen.review.choice import UNDECIDED, Choice
from batchgen.review.overview import amount, cell_of


@dataclass(slots=True)
class _Sum:
    """Finished clips, decisions about them, and all that was charged, in micro-dollars."""

    clips: int = 0
    picks: int = 0
    rejects: int = 0
    spent: int = 0

    def add(self, clip: ClipSummary, pick: int) -> None:
        self.clips += clip.state is State.DONE
        self.picks += pick == 1
        self.rejects += pick == -1
        self.spent += clip.spent

    def as_json(self) -> dict[str, Any]:
        each = self.spent // self.picks if self.picks else None
        return {
            "picks": self.picks,
            "rejects": self.rejects,
            "clips": self.clips,
            "spent_usd": amount(self.spent),
            "per_pick_usd": amount(each),
        }


def cost_of_picks(clips: Iterable[ClipSummary], choices: Mapping[str, Choice]) -> dict[str, Any]:
    """Give what each pick has cost: all that was charged, for rejects, failures and replaced clips too, by the picks.

    Args:
        clips: every clip of the ledger, no longer wanted ones too.
        choices: by clip key.

    Returns:
        `picks`, `rejects`, `clips`, `spent_usd`, `per_pick_usd` (null without a pick) of the whole; lists of the same
        by `by_prompt`, `by_cell` (with `axis` and `value`) and `by_model`, each with `name`; and `rejects_by_reason`.
    """
    decided = [(clip, choices.get(clip.key, UNDECIDED)) for clip in clips]
    whole = _Sum()
    for clip, choice in decided:
        whole.add(clip, choice.pick)
    cells = _grouped(decided, lambda clip: list(cell_of(clip.label).items()))
    return {
        **whole.as_json(),
        "by_prompt": _named(_grouped(decided, lambda clip: [clip.prompt_id])),
        "by_cell": [{"axis": axis, "value": value} | one.as_json() for (axis, value), one in cells.items()],
        "by_model": _named(_grouped(decided, lambda clip: [clip.model])),
        "rejects_by_reason": _by_reason(decided),
    }


def _grouped(
    decided: Iterable[tuple[ClipSummary, Choice]], groups: Callable[[ClipSummary], Iterable[Any]]
) -> dict[Any, _Sum]:
    found: dict[Any, _Sum] = {}
    for clip, choice in decided:
        if clip.requests:
            for group in groups(clip):
                found.setdefault(group, _Sum()).add(clip, choice.pick)
    return found


def _named(sums: Mapping[str, _Sum]) -> list[dict[str, Any]]:
    return [{"name": name} | one.as_json() for name, one in sums.items()]


def _by_reason(decided: Iterable[tuple[ClipSummary, Choice]]) -> list[dict[str, Any]]:
    found: dict[str, _Sum] = {}
    for clip, choice in decided:
        if choice.pick == -1:
            found.setdefault(choice.reason, _Sum()).add(clip, choice.pick)
    by_size = sorted(found.items(), key=lambda entry: -entry[1].spent)
    return [{"reason": reason, "clips": one.rejects, "spent_usd": amount(one.spent)} for reason, one in by_size]
