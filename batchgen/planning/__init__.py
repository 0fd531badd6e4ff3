"""What a run would do and why, what it would cost, and how long it would take: clips × ledger. Pure.

Read in this order: values (what a plan is), sorting (which clip is what), changes (from what to what), cost (prices,
cap, time, disk), make (put together), saved (a plan as a file that a run is held to).

Money is micro-dollars, None where unknown; every amount of what is to come is an estimate until the service bills.
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
