"""Further takes of a clip, beyond what the manifest asks for: seed, key and name as a larger `takes:` gives them.

A module of its own because it is the way back: from a clip in the ledger to the manifest that it came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchgen.clip import Wanted
from batchgen.manifest.expand import Expander, TooManyError
from batchgen.manifest.faults import FaultList
from batchgen.manifest.keys import SEEDS, canonical, derive_seed, key_of
from batchgen.manifest.loader import opened
from batchgen.manifest.naming import DEFAULT_NAME, names_of, safe_name
from batchgen.manifest.parameters import Take
from batchgen.providers.models import Catalogue, find


def further(clip: Wanted, root: str, take: int, used: Container[int]) -> Wanted:
    """Return one more take of a clip, with a seed of its own that is not among the `used` ones.

    If the manifest later asks for that very take, it has the same key: it is not paid for twice.
    """
    params = json.loads(clip.params)
    seed = derive_seed(str(params["prompt"]), take)
    while seed in used:
        seed = (seed + 1) % SEEDS
    params["seed"] = seed
    return replace(
        clip,
        key=key_of(clip.model, _asked(clip, params)),
        take=take,
        params=canonical(params),
        name=_plain_name(clip, take),
        reroll_of=root,
    )


def named(path: Path, takes: Iterable[Wanted]) -> list[Wanted]:
    """Return the takes under the names that the manifest's own template gives them.

    Raises:
        ManifestError: the manifest can't be read as it is.
    """
    rows = list(takes)
    by_root: dict[str, list[Take]] = {}
    for row in rows:
        seed = int(json.loads(row.params)["seed"])
        by_root.setdefault(row.reroll_of or "", []).append(Take(row.take, seed, row.key, row.params))
    faults = FaultList()
    _, document, shape = opened(path, faults)
    if shape.output.name == DEFAULT_NAME:  # the ledger knows the id, which may be an earlier release's
        return [replace(row, name=safe_name(f"{row.prompt_id}_{row.take}")) for row in rows]
    expander = Expander(shape, document, path.absolute().parent, faults, Catalogue.of_manifest(path.absolute()))
    try:
        prompts = list(expander.prompts())
    except TooManyError:  # noted as a fault
        prompts = []
    names = names_of(prompts, shape.output.name, document.place(("output", "name")), expander.fill, faults, by_root)
    faults.raise_if_any()
    return [replace(row, name=names.get(row.key, row.name)) for row in rows]


def _asked(clip: Wanted, sent: dict[str, Any]) -> dict[str, Any]:
    """Return what the key is made of: built-in defaults left out, local audio by its content."""
    known = find(clip.model)
    defaults = known.defaults if known else {}
    asked = {name: value for name, value in sent.items() if name not in defaults or value != defaults[name]}
    return asked | ({"audio": f"sha256:{clip.audio_sha256}"} if clip.audio_sha256 else {})


def _plain_name(clip: Wanted, take: int) -> str:
    """Return a name without the template: the take's number replaces the old one, or follows the name."""
    stem = re.sub(rf"_{clip.take}$", "", clip.name)
    return safe_name(f"{stem}_{take}")
