"""Takes of one prompt → their seeds. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from batchgen.providers.models import whole_number

MAX_TAKES = 1000
SEEDS = 2**31  # 0…2147483647


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
    count = _count(takes)
    given = _listed(seeds)
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


def _count(takes: object) -> int | None:
    if takes is None:
        return None
    count = whole_number(takes)
    if count is None or not 1 <= count <= MAX_TAKES:
        raise TakesError("takes", f"takes can't be {takes!r}", f"write a whole number, 1…{MAX_TAKES}")
    return count


def _listed(seeds: object) -> list[int] | None:
    if seeds is None:
        return None
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
