"""One manifest file → a `Manifest`, or all of its faults."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import ROUND_CEILING, Decimal
from importlib.util import find_spec
from pathlib import Path

from batchgen.clip import Wanted
from batchgen.manifest.expand import Expander, TooManyError
from batchgen.manifest.faults import FaultList, read_text, scan_secrets
from batchgen.manifest.model import BudgetLimits, Limits, Manifest
from batchgen.manifest.naming import safe_name, wanted_clips
from batchgen.manifest.price_rows import check_rows
from batchgen.manifest.schema import NOTIFY_SCHEMES, ManifestShape
from batchgen.manifest.schema_check import check_shape
from batchgen.manifest.yaml_loader import Document, load_yaml
from batchgen.money import micro_of
from batchgen.providers.models import Catalogue, Price, Prices
from batchgen.window import Window


def load_manifest(path: Path) -> Manifest:
    """Do what `batchgen.manifest.load` promises.

    Raises:
        ManifestError: with all faults.
    """
    if path.is_symlink():  # a link is the manifest that it leads to: one batch, with its files next to it
        path = path.resolve()
    faults, wanted = FaultList(), list[Wanted]()
    with _without_gc():
        raw, document, shape = opened(path, faults)
        _warn_of_ignored(shape, document, faults)
        models = Catalogue.of_manifest(path.absolute())
        check_rows(shape.prices, models, document, faults)
        expander = Expander(shape, document, path.absolute().parent, faults, models)
        with suppress(TooManyError):  # noted as a fault
            prompts = list(expander.prompts())
            wanted = wanted_clips(
                prompts,
                shape.output.name,
                document.place(("output", "name")),
                expander.fill,
                faults,
                expander.refused,
                variables_known=document.variables_known,
            )
        faults.raise_if_any()
    return Manifest(
        path=path.absolute(),
        name=shape.name or safe_name(path.stem),
        sha256=hashlib.sha256(raw).hexdigest(),
        files=expander.files,
        wanted=wanted,
        limits=Limits(**dict(shape.limits)),
        budget=BudgetLimits(**dict(shape.budget)),
        prices=Prices({model: _price(price) for model, price in shape.prices.items()}, models),
        window=Window(**{**dict(shape.window), "days": tuple(shape.window.days)}) if shape.window else None,
        notify=tuple(shape.notify),
        warnings=list(faults.warnings),
    )


@contextmanager
def _without_gc() -> Iterator[None]:
    """Switch the garbage collector off: it would visit 100,000 new clips again and again, and there are no cycles."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def opened(path: Path, faults: FaultList) -> tuple[bytes, Document, ManifestShape]:
    """Read a manifest's file, its YAML and its structure; nothing is expanded.

    Raises:
        ManifestError: one of these can't be read at all; other faults are noted.
    """
    found = read_text(path, str(path), faults)
    faults.raise_if_any()
    text, raw = found or ("", b"")
    scan_secrets(str(path), text, faults)
    document = load_yaml(str(path), text, faults)
    if document.root is None:
        faults.raise_if_any()
    shape = check_shape(document, faults)
    if shape is None:
        faults.raise_if_any()
        raise AssertionError("a shape is only missing with a fault")
    return raw, document, shape


def _warn_of_ignored(shape: ManifestShape, document: Document, faults: FaultList) -> None:
    for number, address in enumerate(shape.notify):
        scheme = address.partition("://")[0].lower()
        if not (address.startswith("$") or scheme in NOTIFY_SCHEMES or find_spec("apprise")):
            what = f"notify {number + 1}: {scheme}:// needs apprise, which is not installed; nobody is informed there"
            faults.warn(document.place(("notify", number)), what, "pip install '.[notify]'", private=True)


def _price(usd: Decimal | dict[str, Decimal]) -> Price:
    """Give a price in micro-dollars, a fraction of one rounded up: no clip may cost more than it says."""
    if isinstance(usd, dict):
        return {cell: micro_of(amount, ROUND_CEILING) for cell, amount in usd.items()}
    return micro_of(usd, ROUND_CEILING)
