"""What a run would do and why, what it would cost, and how long it would take.

Reading order: `model` (what a plan is), `pace` (the limits that its time rests on), `classify` (what a run does with
each clip), `diff` (from what to what), `cost` (prices, caps, disk), `build` (puts them together), `warnings` (what to
know before saying yes). These are pure. `inputs` asks ledger, settings and machine for what a plan needs. `saved` is a
plan as a file and what has changed since, `saved_files` reads and writes it. `retakes` is apart: which clips a user
means, and which may be tried again.

Money is micro-dollars, None where unknown; every future amount is an estimate until the service bills.
"""

from __future__ import annotations

from batchgen.planning.build import make_plan
from batchgen.planning.model import (
    Action,
    Change,
    Conditions,
    Edit,
    Group,
    ModelCost,
    ModelFacts,
    Plan,
    PlannedClip,
    Reason,
    Step,
)
from batchgen.planning.pace import AssumedPace, time_needed

__all__ = [
    "Action",
    "AssumedPace",
    "Change",
    "Conditions",
    "Edit",
    "Group",
    "ModelCost",
    "ModelFacts",
    "Plan",
    "PlannedClip",
    "Reason",
    "Step",
    "make_plan",
    "time_needed",
]
