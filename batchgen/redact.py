"""Keeping the API key out of everything that is written or shown."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

MARK: Final = "SG_…"  #: written in place of a key
_SHAPE: Final = r"SG_[0-9a-fA-F]{16,}"


class Secret:
    """A value that shows itself only when asked by name (pydantic's `SecretStr` answers to the same)."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The value itself: for a header, never for a message."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MARK})"

    def __str__(self) -> str:
        return MARK


def account_of(key: Secret) -> str:
    """Name an account without revealing its key: the same key, the same 16 hex digits."""
    return hashlib.sha256(b"batchgen account " + key.get_secret_value().encode()).hexdigest()[:16]


class Redactor:
    """Puts `SG_…` where a known secret, or anything of the documented key's shape, stands in a text."""

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # As a secret is written in a text, in a JSON string, in a Python repr and in a URL.
        forms = {
            form
            for secret in secrets
            if secret
            for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""))
        }
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), _SHAPE]))

    def redact(self, text: str) -> str:
        """Return the text without any secret; everything else is left as it is."""
        return self._pattern.sub(MARK, text)

    def __repr__(self) -> str:
        return f"Redactor({MARK})"
