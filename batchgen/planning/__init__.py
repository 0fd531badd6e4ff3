"""What a run would do and why, what it would cost, and how long it would take: clips × ledger. Pure.

Reading order: `model` (what a plan is), `classify` (what a run does with each clip), `diff` (what was edited), `cost`
(prices, caps, disk), `pace` (time), `warnings`, `build` (puts them together), `inputs` (manifest and ledger → plan),
`saved` and `saved_files` (a plan as a file that a run obeys), `retakes` (what the user asks for beyond the manifest).

Money is micro-dollars, None where unknown; every future amount is an estimate until the service bills.
"""

from __future__ import annotations

from batchgen.planning.build import make_plan
from batchgen.planning.model import Action, Change, Conditions, Edit, Group, Plan, PlannedClip, Reason, Step
from batchgen.planning.pace import AssumedPace, time_needed

__all__ = [
    "Action",
    "AssumedPace",
    "Change",
    "Conditions",
    "Edit",
    "Group",
    "Plan",
    "PlannedClip",
    "Reason",
    "Step",
    "make_plan",
    "time_needed",
]
