"""The rows of `prices:` that no clip can have: a price that is never found is an unknown price, at 3 a.m.

A module of its own: it needs the models, which the manifest's shape does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchgen.manifest.faults import FaultList, shown
from batchgen.manifest.yaml_loader import Document
from batchgen.providers.models import Catalogue, can_have, price_axes


def check_rows(prices: Mapping[str, object], models: Catalogue, document: Document, faults: FaultList) -> None:
    """Note every row whose values the model does not take, or that names what its clips have not."""
    for slug, rows in prices.items():
        odd = list(_odd(slug, rows, models)) if isinstance(rows, dict) else []
        if odd:
            axes = price_axes(models.find(slug))
            what = f"prices.{slug}: no clip can have the price of {', '.join(map(shown, odd))}"
            faults.error(
                document.place(("prices", slug)), what, f"write a row as {'/'.join(axes)}, or one price for all"
            )


def _odd(slug: str, rows: Iterable[str], models: Catalogue) -> Iterable[str]:
    return (row for row in rows if not can_have(models.find(slug), row))
