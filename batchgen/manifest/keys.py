"""Parameters → canonical JSON → a clip's versioned content key. Pure, and permanently fixed.

Texts are hashed as they are, without Unicode normalisation: they are sent as they were written, and nothing proves
that the service makes the same clip of a composed and of a decomposed text. A module of its own because nothing in it
may ever change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

VERSION = "c1"
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
