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
from operator import itemgetter
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlsplit

Say: TypeAlias = Callable[[object, int], str]  #: (anything, most characters) -> text that may be shown

_DEEPEST: Final = 50  #: nesting past this is no honest answer, and could exhaust the stack
_PREFERRED: Final = (
    *("output", "video", "videos", "video_url", "url", "uri"),
    *("value", "data", "file", "files", "file_urls", "urls", "result", "generation_url"),
)
#: What holds our own input, calls of the API, and words: none of its links is the film.
_NO_OUTPUT: Final = re.compile(
    r"^(inputs?|param(eter)?s|request(_body)?|audio)$|status|response|cancel|hook|callback|poll|docs|help|support"
    r"|error|detail|message|reason|msg",
    re.IGNORECASE,
)
_POSTER: Final = re.compile(r"thumb|poster|preview_image|cover", re.IGNORECASE)
_TYPES: Final = ("type", "content_type", "mime_type", "media_type")
_VIDEO, _KNOWN, _UNKNOWN, _PICTURE, _LONE = range(5)  #: ranks of links, the likeliest first
_MARKS: Final = {"video": _VIDEO, "image": _PICTURE, "audio": _PICTURE, "text": _PICTURE}
_OTHER_NAME: Final = re.compile(r"\.(jpe?g|png|webp|gif|bmp|avif|mp3|wav|m4a|aac|ogg|json|txt|srt|vtt)$", re.IGNORECASE)
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
    too_long: bool = False  #: the body is larger than is read, and is left out

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
        return self.say(self.body.decode("utf-8", "replace"), limit) or (
            "(the answer is too large to be read)" if self.too_long else "(empty answer)"
        )


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
    """The likeliest link to the file, in every known shape of an output; see `find_links`."""
    return next(iter(find_links(value)), None)


def find_links(value: object) -> list[str]:
    """All links that may lead to the film, the likeliest first: no name says for sure what is behind it.

    A string, a list, an object, a stringified JSON, nested. First come those that are named or marked as a video, then
    others under known names and inside them; pictures and sounds only where there is nothing else. Under a name that
    nobody documented counts what looks like a video, else a link that is the only one of the answer. http and https
    only, so a `data:` URI is none.
    """
    found = sorted(islice(_links(value, _DEEPEST), 100), key=itemgetter(0))
    likely = [link for rank, link in found if rank < _PICTURE] or [link for rank, link in found if rank == _PICTURE]
    return list(dict.fromkeys(likely)) or [link for _, link in found if len(found) == 1]


def _links(value: object, left: int, mark: int | None = None, *, known: bool = False) -> Iterator[tuple[int, str]]:
    """Yield ranked links; `mark` is what the object that they stand in says that they are."""
    if left == 0:
        return
    if isinstance(value, str):
        text = value.strip()
        if (link := as_link(text)) is not None:
            if (rank := _rank(link, mark, known=known)) is not None:
                yield rank, link
        elif text[:1] in {"{", "[", '"'}:
            yield from _links(decode(text), left - 1, mark, known=known)
    elif isinstance(value, list):
        for each in value:
            yield from _links(each, left - 1, mark, known=known)
    elif isinstance(value, dict):
        mark = next((_MARKS[word] for word in map(_marked, map(value.get, _TYPES)) if word in _MARKS), mark)
        for key in _PREFERRED:
            yield from _links(value.get(key), left - 1, mark, known=True)
        for key in value:
            if key not in _PREFERRED and not _NO_OUTPUT.search(key):
                inside = _UNKNOWN if known and mark is None else mark
                yield from _links(value[key], left - 1, _PICTURE if _POSTER.search(key) else inside, known=known)


def _rank(link: str, mark: int | None, *, known: bool) -> int | None:
    """The smaller, the likelier; None: surely not the film."""
    path = urlsplit(link).path
    if mark == _VIDEO or (_VIDEO_NAME.search(path) and mark != _PICTURE):
        return _VIDEO
    if mark == _PICTURE or _OTHER_NAME.search(path):
        return _PICTURE if known and mark != _UNKNOWN else None
    if known:
        return mark or _KNOWN
    return None if "%20" in link else _LONE


def _marked(kind: object) -> str:
    return kind.strip().lower().partition("/")[0] if isinstance(kind, str) else ""


def as_link(text: str) -> str | None:
    """An http or https URL with a host, with what no URL may hold quoted; None when it is none.

    All else stays byte for byte: signatures are often made over the very spelling.
    """
    text = f"https:{text}" if text.startswith("//") else text
    if len(text) > 8000 or text[:5].lower() not in {"http:", "https"}:
        return None
    if not text.isprintable() or " " in text:
        text = "".join(char if char.isprintable() and char != " " else quote(char, errors="replace") for char in text)
    try:
        parts = urlsplit(text)
        return text if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


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
