"""Texts → ids and file names that are safe everywhere. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_BYTES = 200
_FORBIDDEN = frozenset('/\\:*?"<>|')
#: Categories of control and format characters (right-to-left marks, joiners, tags), lone surrogates, line ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: A clip of such a name would have its sidecar where the note of another clip's `.part` is.
_NOTE = ".mp4.part"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_ .-]{0,150}[A-Za-z0-9_-]")
#: Jinja2's expressions, statements and comments.
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
#: Words of English that say least of what a film shows.
_SHORT = frozenset(
    ("a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "by", "for", "with", "from", "into", "is", "are")
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?= *(?:\.|\Z))", re.IGNORECASE)


def safe_name(text: str) -> str:
    """Return the text as one file or folder name that is legal on Linux, macOS and Windows, never empty.

    No separators, control or unseen characters, no dot first, no dot or space last, no device name, Unicode NFC,
    at most 200 bytes of UTF-8: what is longer is cut and ends in a hash of the whole.
    """
    name = text if _PLAIN.fullmatch(text) else _cleaned(text)
    if _RESERVED.match(name):
        name = f"_{name}"
    if name.casefold().endswith(_NOTE):
        name += "_"
    encoded = name.encode()
    if len(encoded) <= MAX_BYTES:
        return name
    tail = "~" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return encoded[: MAX_BYTES - len(tail)].decode(errors="ignore").rstrip(". ") + tail


def slug(text: str, limit: int = 40) -> str:
    """Return the text's first words as part of an id: letters, digits, `.`, `_`, `-`; "" if it has none."""
    return _joined(_words(text, limit), limit)


def in_cell(given_id: str, cell_id: str) -> str:
    """Return the id of a prompt in a cell of its matrix."""
    return f"{given_id}-{cell_id}" if cell_id else given_id


def prompt_words(template: str, limit: int = 40) -> str:
    """Return what a prompt's template says, as the first part of an id: its variables and short words left out.

    "A courier on a {{ brand }} bike crosses {{ city }}" is "courier-bike-crosses". "" where nothing is left.
    """
    words = _words(_EXPRESSION.sub(" ", template), 2 * limit)
    return _joined([word for word in words if word not in _SHORT], limit) or _joined(words, limit)


def _words(text: str, limit: int) -> list[str]:
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text[: 4 * limit]).lower())


def _joined(words: list[str], limit: int) -> str:
    kept = ""
    for word in words:
        longer = f"{kept}-{word}" if kept else word[:limit]
        if len(longer) > limit:
            break
        kept = longer
    return kept


def clean_id(text: str) -> str:
    """Return an id that was given with only letters, digits, `.`, `_`, `-` and spaces; "" if nothing is left."""
    plain = unicodedata.normalize("NFC", text.strip())
    return re.sub(r"[^\w. -]+", "-", plain).strip("- .")


def hash6(text: str) -> str:
    """Return six hex digits for a text: they differ where its first words are those of another."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _cleaned(text: str) -> str:
    known = unicodedata.normalize("NFC", text)
    plain = "".join("_" if char in _FORBIDDEN or unicodedata.category(char) in _UNSEEN else char for char in known)
    # A name that is nothing but dots would be a folder's own name, or its parent's.
    return plain.lstrip(". ").rstrip(". ") or "_"
