"""Reading Segmind's bodies: bytes into our small values, whatever comes (pure).

The service promises no fixed set of keys, so every reader here is tolerant of shape and strict of content:
it gives a value or None, and never raises.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

Say: TypeAlias = Callable[[object, int], str]  #: (anything, most characters) -> text that may be shown

_DEEPEST: Final = 50  #: nesting past this is no honest answer, and could exhaust the stack
_PREFERRED: Final = (
    *("output", "video", "videos", "video_url", "url", "uri"),
    *("value", "data", "file", "files", "file_urls", "urls", "result", "generation_url"),
)
_NOT_OUTPUT: Final = frozenset({"input", "inputs", "parameters", "params", "request", "request_body", "audio"})
_VIDEO_NAME: Final = re.compile(r"\.(mp4|m4v|mov|webm|mkv)$", re.IGNORECASE)
_REASONS: Final = ("code", "error", "error_description", "detail", "message", "reason", "msg")
_ABSURD: Final = Decimal(10) ** 30


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read within bounds. `whole` is False when its body was cut, late or too large."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  #: asked for in lower case
    whole: bool = True
    redact: Callable[[str], str] = str
    video: bool = False  #: the body is a video and was not read

    @property
    def ok(self) -> bool:
        """True for a 2xx."""
        return 200 <= self.status < 300

    @property
    def kind(self) -> str:
        """The media type, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def data(self) -> Any:  # noqa: ANN401 - JSON is anything
        """The JSON in the body; None when it is none, or `null`."""
        return decode(self.body)

    def say(self, value: object, limit: int = 300) -> str:
        """Text of anything: one line, printable, redacted, cut to `limit` characters."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return self.redact(plain(text))[:limit]

    def message(self, limit: int = 300) -> str:
        """What the service gives as its reason, else its body, ready to be shown."""
        data = self.data()
        if isinstance(data, dict) and (reason := reason_in(data)) is not None:
            return self.say(reason, limit)
        return self.say(self.body.decode("utf-8", "replace"), limit) or "(empty answer)"


def is_video(kind: str, head: bytes) -> bool:
    """Say by its media type and first bytes whether a body is a video in place of JSON."""
    return head[4:8] == b"ftyp" or (kind.startswith("video/") and head.lstrip()[:1] not in {b"", b"{", b"["})


def plain(text: str) -> str:
    """The text in one line, without what could steer a terminal or can't be encoded."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())


def decode(raw: bytes | str) -> Any:  # noqa: ANN401 - JSON is anything
    """JSON of strict UTF-8, of bounded depth; None when it is anything else."""
    try:
        text = raw.removeprefix(BOM_UTF8).decode() if isinstance(raw, bytes) else raw
        data = json.loads(text)
        brackets = text.count("{") + text.count("[")  # where there are few, none can be deep
        return data if brackets <= _DEEPEST or _shallow(data, _DEEPEST) else None
    except (ValueError, RecursionError):
        return None


def _shallow(value: object, left: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_shallow(each, left - 1) for each in inner)


def mapping(value: object) -> dict[str, Any]:
    """A JSON object, or one written as a JSON string; an empty one when it is neither."""
    data = decode(value) if isinstance(value, str) else value
    return data if isinstance(data, dict) else {}


def reason_in(body: Mapping[str, Any]) -> str | None:
    """All that an error body says, an error given as an object or a list included; None if nothing."""
    parts = [body[key] for key in _REASONS if body.get(key) and (key != "code" or isinstance(body[key], str))]
    texts = [part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in parts]
    return "; ".join(dict.fromkeys(texts)) or None


def request_id_in(data: object) -> str | None:
    """The id of an accepted request: at the top, under `data`, or in a list of one such object."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return None
    return usable_id(data.get("request_id")) or usable_id(mapping(data.get("data")).get("request_id"))


def usable_id(value: object) -> str | None:
    """An id that a URL and a ledger can carry: 1 to 200 printable characters, one of them a letter or digit."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**100:
        value = str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    fits = len(text) <= 200 and text.isprintable() and any(char.isalnum() for char in text)
    return text if fits else None


# --- links ---------------------------------------------------------------------------------------------


def find_link(value: object) -> str | None:
    """The link to the file, in every known shape of an output.

    A string, a list, an object, a stringified JSON, nested: the first link that looks like a video, else
    the first under a known name. http and https only, so a `data:` URI is none.
    """
    if isinstance(value, dict) and isinstance(link := value.get("output"), str) and is_link(link) and _video_name(link):
        return link  # the documented shape, answered without a walk
    found = list(islice(_links(value, _DEEPEST), 100))
    return next(filter(_video_name, found), found[0] if found else None)


def _links(value: object, left: int) -> Iterator[str]:
    if left == 0:
        return
    if isinstance(value, str):
        yield from _links_in_text(value.strip(), left)
    elif isinstance(value, list):
        for each in value:
            yield from _links(each, left - 1)
    elif isinstance(value, dict):
        for key in _PREFERRED:
            yield from _links(value.get(key), left - 1)
        for key in (key for key in value if key not in _PREFERRED and key not in _NOT_OUTPUT):
            # Under a name that nobody documented only what is surely a video counts.
            yield from filter(_video_name, _links(value[key], left - 1))


def _links_in_text(text: str, left: int) -> Iterator[str]:
    if is_link(text):
        yield text
    elif text[:1] in {"{", "[", '"'}:
        yield from _links(decode(text), left - 1)


def is_link(text: str) -> bool:
    """True for an http or https URL with a host and nothing unprintable in it."""
    if not text.isprintable() or " " in text or len(text) > 8000:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _video_name(link: str) -> bool:
    return bool(_VIDEO_NAME.search(urlsplit(link).path))


# --- numbers and times ---------------------------------------------------------------------------------


def seconds(value: object) -> float | None:
    """A duration in seconds, as number or text; None when absurd or negative."""
    number = _decimal(value)
    return float(number) if number is not None and 0 <= number <= 10**9 else None


def file_bytes(value: object) -> int | None:
    """A file's size, as number or text; None when it is no positive whole number."""
    number = _decimal(value)
    fits = number is not None and 0 < number <= 2**53 and number == number.to_integral_value()
    return int(number) if number is not None and fits else None


def epoch(value: object) -> float | None:
    """Epoch seconds of ISO text (no zone: UTC) or of epoch seconds or milliseconds; None when absurd."""
    number = _decimal(value)
    if number is None:
        return _iso(value)
    at = float(number) if abs(number) < 10**15 else 0.0
    at = at / 1000 if at >= 1e11 else at
    return at if at >= 1e9 else None


def _iso(value: object) -> float | None:
    try:
        at = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) > 10**30:
        return None  # too long to be written as text, and no amount of anything
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.copy_abs() < _ABSURD else None
