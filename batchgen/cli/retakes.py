"""What `retry` and `reroll` share: the batch, held or only read next to a live run; names, prices, the question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchgen.billing.prices import MEMORY, ChargeHistory, PriceBook
from batchgen.cli import output
from batchgen.clip import Clip, Wanted
from batchgen.errors import LockedError, UsageError
from batchgen.events import Retried
from batchgen.ledger import Reader, SqliteLedger, wishes
from batchgen.ledger.wishes import QueuedWish
from batchgen.locate import find_manifest
from batchgen.manifest import Prices, load, rerolls
from batchgen.money import micro_of, usd
from batchgen.views.text import dollars, plural

#: So much is queued without a question: clips, micro-dollars.
UNASKED_CLIPS, UNASKED_USD = 10, 5_000_000
#: So many lines say what is queued; more are summed up.
LINES = 10
BESIDE_A_RUN = "The run in progress takes them up within seconds; if it ends first, the next run does."


@contextmanager
def open_batch(folder: Path) -> Iterator[SqliteLedger | Reader]:
    """Hold a batch, or only read it while a run holds it. Raises LedgerError as both do."""
    ledger: SqliteLedger | Reader
    try:
        ledger = SqliteLedger(folder)
    except LockedError:
        ledger = Reader(folder)
    try:
        yield ledger
    finally:
        ledger.close()


def carry_out(ledger: SqliteLedger | Reader, wish: QueuedWish) -> list[Wanted]:
    """Do what the user asked for, or queue it for the run that holds the batch; give the new takes."""
    if not isinstance(ledger, SqliteLedger):
        wishes.add(ledger.path, wish)
        return list(wish.takes)
    keys = {*wish.retry}

    async def again() -> None:
        for clip in [clip for clip in ledger.clips() if clip.key in keys]:
            await ledger.record(clip, Retried())
        await ledger.settle()

    asyncio.run(again())
    return ledger.reroll(wish.takes, wish.instead_of)


def with_queued(ledger: Reader) -> list[Clip]:
    """Give every clip of the ledger, and the takes that are queued for a live run: their numbers are taken."""
    queued = [take for _, wish in ledger.wishes() for take in wish.takes]
    return [*ledger.clips(), *(Clip(-number, take) for number, take in enumerate(queued, 1))]


def agree(cost: Mapping[str, Any], count: int, *, yes: bool, sandbox: bool) -> None:
    """Ask before more than a few clips, or dollars, are queued.

    Raises:
        UsageError: nobody can be asked, or the answer was no.
    """
    price = cost["estimated_usd"]
    small = count <= UNASKED_CLIPS and not cost["unpriced"] and micro_of(price or 0) <= UNASKED_USD
    if not (yes or small):
        output.agree(f"This queues {plural(count, 'clip')}, {cost_text(cost)}", "Continue?", sandbox=sandbox)


def under_names(ledger: Reader, arg: str, takes: list[Wanted]) -> tuple[list[Wanted], PriceBook]:
    """Give the takes under the names of the manifest's template, and what clips are likely to cost.

    A manifest that is gone or can't be read is no reason to refuse: names and prices are then plain ones.
    """
    try:
        path = _manifest_of(ledger, arg)
        takes, prices = rerolls.named(path, takes) if takes else [], load(path).prices
    except UsageError:
        prices = Prices()
    return takes, PriceBook(prices, ChargeHistory.of(ledger.charges(MEMORY)))


def _manifest_of(ledger: Reader, arg: str) -> Path:
    bound = ledger.folder / (ledger.meta("manifest") or "")
    return bound if bound.is_file() else find_manifest(arg)


def cost_of(takes: Iterable[Wanted], tariff: PriceBook) -> dict[str, Any]:
    """Give what clips are likely to cost as JSON: the sum of the known ones, and how many have no known price."""
    each = [tariff.estimate(take) for take in takes]
    known = [price for price in each if price is not None]
    total = sum(known) if known or not each else None
    return {"estimated_usd": dollars(total), "unpriced": len(each) - len(known)}


def cost_text(cost: Mapping[str, Any]) -> str:
    """Say a `cost_of` in words: "about $1.25 (estimated)"."""
    if cost["estimated_usd"] is None:
        return "at an unknown price"
    more = f" and {plural(cost['unpriced'], 'clip')} of unknown price" if cost["unpriced"] else ""
    return f"about {usd(micro_of(cost['estimated_usd']))} (estimated){more}"


def shortened(lines: list[str]) -> list[str]:
    """Keep a long list to so many lines as a person reads."""
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], f"  and {len(lines) - LINES + 1:,} more"]
