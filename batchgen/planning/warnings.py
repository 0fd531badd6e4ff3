"""What a person should know before saying yes to a plan: budget, prices, disk. Pure.

A module of its own although it is short: these are the texts of a plan, the other modules are its values.
"""

from __future__ import annotations

from batchgen.billing.budget import Cap
from batchgen.billing.prices import drift_text
from batchgen.money import usd
from batchgen.planning.model import Plan


def warnings(plan: Plan) -> list[str]:
    """Give the warnings of a plan, in the order of their weight."""
    return [*_of_budget(plan), *_of_prices(plan), *_of_disk(plan)]


def _of_budget(plan: Plan) -> list[str]:
    budget, caps = plan.budget, plan.budget.caps
    if budget.barrier is None or budget.reach is None:
        return []
    far = f"enough for the first {budget.reach:,} of {len(plan.keys.submit):,} clips; the run will stop there"
    left = max(0, (caps.usd or 0) - budget.spent - budget.reserved)
    why = {
        Cap.TOTAL: f"the budget has {usd(left)} left of {usd(caps.usd)}, and the estimate is {usd(plan.cost.total)}: "
        f"{far}",
        Cap.DAY: f"{usd(budget.today)} of the day's {usd(caps.usd_per_day)} are spent or reserved: {far}",
        Cap.CLIPS: f"{budget.clips:,} of {caps.clips or 0:,} clips are submitted already: {far}",
        Cap.PRICE: "the price of some clips is not known, and there is a budget: the run will submit nothing. "
        "Add their prices to the manifest (prices:), or pass --allow-unknown-price",
    }
    return [why[budget.barrier]]


def _of_prices(plan: Plan) -> list[str]:
    cost = plan.cost
    drifts = [f"prices: {text}" for name, quote in cost.quotes.items() if (text := drift_text(name, quote))]
    if not cost.unpriced or plan.budget.barrier is Cap.PRICE:
        return drifts
    count = "1 new clip has" if cost.unpriced == 1 else f"{cost.unpriced:,} new clips have"
    unknown = f"{count} no known price, so the total is not known in full: add prices to the manifest (prices:)"
    return [*drifts, unknown]


def _of_disk(plan: Plan) -> list[str]:
    needed, free = plan.disk.needed, plan.disk.free
    if needed is None or free is None or needed <= free:
        return []
    return [f"the new clips may need {needed / 1e9:,.1f} GB, and the disk has {free / 1e9:,.1f} GB left"]
