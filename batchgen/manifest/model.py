"""What a manifest says, as frozen values: money as Decimal USD, rates a minute, times of day as "HH:MM"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from batchgen.clip import Wanted
from batchgen.errors import Fault
from batchgen.providers.models import Prices
from batchgen.window import Window


@dataclass(frozen=True, slots=True)
class Limits:
    """The pace; None: not given. `rpm` 0 takes the rate limit off."""

    rpm: float | None = None
    in_flight: int | None = None
    downloads: int | None = None
    count_polls: bool | None = None
    submit_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """The limits on spending; None: no limit. A cap of 0 is a cap."""

    max_usd: Decimal | None = None
    max_usd_per_day: Decimal | None = None
    max_clips: int | None = None
    allow_unknown_price: bool | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, read, checked and expanded."""

    path: Path  #: absolute
    name: str
    sha256: str  #: of the manifest's bytes
    files: dict[str, str]  #: prompt files and local audio: path from the manifest's folder → sha256
    wanted: list[Wanted]  #: in the order of the manifest
    limits: Limits = Limits()
    budget: BudgetLimits = BudgetLimits()
    prices: Prices = field(default_factory=Prices)
    window: Window | None = None
    notify: tuple[str, ...] = ()
    warnings: list[Fault] = field(default_factory=list)

    def keys(self) -> Iterator[str]:
        """Yield every key under which a ledger may have the clips, older ones too."""
        for clip in self.wanted:
            yield clip.key
            if clip.older:
                yield clip.older.key
