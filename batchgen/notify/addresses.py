"""Who is informed: the addresses of a manifest's `notify:`, with variables filled in. Pure.

An address is a secret, since who knows it can write there: what is shown of one is its kind and its host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

#: How a manifest marks the address of a heartbeat monitor.
HEARTBEAT = "heartbeat+"
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")


class AddressKind(Enum):
    """What is at an address."""

    WEBHOOK = "webhook"  #: takes a JSON object by POST
    HEARTBEAT = "heartbeat"  #: takes a sign of life, and reports when there is none


@dataclass(frozen=True, slots=True)
class Address:
    """One address; its text is never shown."""

    number: int  #: in the manifest's list, from 1
    kind: AddressKind
    url: str = field(repr=False)

    def __str__(self) -> str:
        """Name it as messages do: its number, kind and host."""
        return f"notify {self.number} ({self.kind.value} at {urlsplit(self.url).hostname or '?'})"

    def signal(self, word: str) -> str:
        """Give a heartbeat's address for a signal: "start", "fail", or "" for a sign of life."""
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{word}" if word else parts.path
        return urlunsplit(parts._replace(path=path))


@dataclass(frozen=True, slots=True)
class Addresses:
    """What a `notify:` list leads to, and what of it cannot be used and why."""

    usable: tuple[Address, ...] = ()
    faults: tuple[str, ...] = ()


def addresses(listed: Iterable[str], environment: Mapping[str, str]) -> Addresses:
    """Fill in the variables of a list, and sort its addresses by kind; one that cannot be used is a fault in words."""
    usable, faults = [], []
    for number, text in enumerate(listed, 1):
        missing = [name for name in _names(text) if not environment.get(name)]
        if missing:
            faults.append(f"notify {number}: the variable {missing[0]} is not set; nobody is informed there")
            continue
        url = _VARIABLE.sub(lambda found: environment[found["braced"] or found["plain"]].strip(), text)
        kind = AddressKind.HEARTBEAT if url.lower().startswith(HEARTBEAT) else AddressKind.WEBHOOK
        url = url[len(HEARTBEAT) :] if kind is AddressKind.HEARTBEAT else url
        scheme = url.partition("://")[0].lower()
        if not _well_formed(url):
            faults.append(f"notify {number}: this is not an address that can be called; write https://…")
        elif scheme not in ("https", "http"):
            faults.append(f"notify {number}: {scheme}:// is not supported yet; write a webhook's https:// address")
        elif scheme == "http" and not _on_this_machine(url):
            faults.append(f"notify {number}: a notification over http can be read by others; write https://")
        else:
            usable.append(Address(number, kind, url))
    return Addresses(tuple(usable), tuple(faults))


def _names(text: str) -> list[str]:
    return [found["braced"] or found["plain"] for found in _VARIABLE.finditer(text)]


def _well_formed(url: str) -> bool:
    try:
        return bool(re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", url, re.IGNORECASE) and urlsplit(url).hostname)
    except ValueError:
        return False


def _on_this_machine(url: str) -> bool:
    from batchgen.proxy import is_loopback

    return is_loopback(urlsplit(url).hostname or "")
