"""Takes of one prompt → their seeds; parameters → canonical JSON → a clip's versioned key. Pure, and permanently fixed.

Texts are hashed as they are, without Unicode normalisation: they are sent as they were written, and nothing proves
that the service makes the same clip of a composed and of a decomposed text. What is made here may never change: with
another seed or key, every user would pay for finished clips again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from batchgen.providers.models import whole_number

VERSION = "c1"
MAX_TAKES = 1000
SEEDS = 2**31  # 0…2147483647
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Mapping[str, Any]) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, UTF-8 as it is.

    Raises:
        ValueError: it holds what JSON can't: infinity, NaN, a mapping that holds itself.
    """
    return _ENCODER.encode(value)


def key_of(model: str, asked: Mapping[str, Any]) -> str:
    """Return a clip's key: "c1-" and 32 hex digits.

    `asked` is what the user asked for, normalised, the seed included, the model's built-in defaults left
    out, and local audio as "sha256:…" of its content.
    """
    return key_of_text(model, canonical(asked))


def key_of_text(model: str, asked: str) -> str:
    """Return the key of a clip whose parameters have this canonical text."""
    text = f'{{"model":{_ENCODER.encode(model)},"params":{asked}}}'
    return f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class KeyFrame:
    """The canonical text of parameters in which only prompt and seed change: the text around them is made once.

    Most of 100,000 clips are alike in all other parameters, and making their texts took a quarter of the load time.

    Raises:
        ValueError: as `canonical` does.
    """

    __slots__ = ("_after", "_before", "_between")

    def __init__(self, params: Mapping[str, Any]) -> None:
        names = sorted({*params} - {"prompt", "seed"})
        texts = {name: canonical({name: params[name]})[1:-1] for name in names}
        self._before = "{" + "".join(f"{texts[name]}," for name in names if name < "prompt") + '"prompt":'
        between = (f",{texts[name]}" for name in names if "prompt" < name < "seed")
        self._between = "".join(between) + ',"seed":'
        self._after = "".join(f",{texts[name]}" for name in names if name > "seed") + "}"

    def text(self, prompt: str, seed: int) -> str:
        """Return the canonical text of these parameters with a prompt and a seed."""
        return f"{self._before}{_ENCODER.encode(prompt)}{self._between}{seed:d}{self._after}"


# --- seeds ----------------------------------------------------------------------------------------------


class TakesError(ValueError):
    """Takes and seeds don't fit together: the `field` at fault, and how to `fix` it."""

    def __init__(self, field: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.field = field
        self.what = what
        self.fix = fix


def derive_seed(prompt: str, take: int) -> int:
    """Return a seed (0…2147483647) that depends on the final prompt and the take alone.

    Not on size or duration, so that a draft and its final share it; not on the position in the manifest.
    """
    digest = hashlib.sha256(f"{take}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % SEEDS


def seeds_of(prompt: str, takes: object = None, seed: object = None, seeds: object = None) -> list[int]:
    """Return the seed of each take, in order; -1 or none is derived.

    Raises:
        TakesError: a value can't be read, the values contradict each other, or two takes have one seed.
    """
    count = None if takes is None else whole_number(takes)
    if takes is not None and (count is None or not 1 <= count <= MAX_TAKES):
        raise TakesError("takes", f"takes can't be {takes!r}", f"write a whole number, 1…{MAX_TAKES}")
    given = None if seeds is None else _listed(seeds)
    if given is not None:
        _agree(count, seed, len(given))
    else:
        one = -1 if seed is None else _seed("seed", seed)
        if one != -1 and (count or 1) > 1:
            raise TakesError("seed", f"one seed for {count} takes", "write seeds: [...] or remove seed")
        given = [one] * (count or 1)
    final = _derived(prompt, given)
    if len(set(final)) < len(final):
        twice = next(value for value in final if final.count(value) > 1)
        raise TakesError(
            "seeds", f"seed {twice} is given twice, so two takes would be the same clip", "remove one of them"
        )
    return final


def _derived(prompt: str, given: Sequence[int]) -> list[int]:
    """Return the seeds with each -1 derived; one in 8,000 prompts with 1,000 takes derives a seed twice."""
    final: list[int] = []
    used: set[int] = set()
    for take, value in enumerate(given, 1):
        seed = derive_seed(prompt, take) if value == -1 else value
        while value == -1 and seed in used:
            seed = (seed + 1) % SEEDS
        if value == -1:
            used.add(seed)
        final.append(seed)
    return final


def _listed(seeds: object) -> list[int]:
    values = re.split(r"[\s,;]+", seeds.strip(" []")) if isinstance(seeds, str) else seeds
    if not isinstance(values, Sequence) or not 1 <= len(values) <= MAX_TAKES:
        raise TakesError("seeds", "seeds is not a list of seeds", f"write seeds: [1, 2, 3], at most {MAX_TAKES}")
    return [_seed("seeds", value) for value in values]


def _agree(count: int | None, seed: object, length: int) -> None:
    if seed is not None:
        raise TakesError("seed", "both seed and seeds are given", "remove one of them")
    if count not in (None, length):
        raise TakesError("takes", f"takes is {count}, and there are {length} seeds", "remove takes")


def _seed(field: str, value: object) -> int:
    number = whole_number(value)
    if number is None or not -1 <= number < SEEDS:
        fix = f"write 0…{SEEDS - 1}, or -1 for a derived one"
        raise TakesError(field, f"a seed can't be {str(value)[:40]!r}", fix)
    return number
