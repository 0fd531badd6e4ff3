"""Parameters → canonical JSON → a clip's versioned content key. Pure, and fixed for ever.

Texts are hashed as they are, without Unicode normalisation: what is sent is what was written, and a clip
whose text was sent composed is not proved to be the clip that was sent decomposed.
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
    text = canonical({"model": model, "params": asked})
    return f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
