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
#: What an address that only apprise knows needs, in words.
NEEDS_APPRISE = "needs apprise, the extra `notify`: pip install '.[notify]'"
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")


class AddressKind(Enum):
    """What is at an address."""

    WEBHOOK = "webhook"  #: takes a JSON object by POST
    APPRISE = "apprise"  #: a chat, a phone, a mailbox: whatever apprise knows
    HEARTBEAT = "heartbeat"  #: takes a sign of life, and reports when there is none


@dataclass(frozen=True, slots=True)
class Address:
    """One address; its text is never shown."""

    number: int  #: in the manifest's list, from 1
    kind: AddressKind
    url: str = field(repr=False)

    def __str__(self) -> str:
        """Name it as messages do: its number, kind and host; of an address for apprise even the host may be a token."""
        if self.kind is AddressKind.APPRISE:
            return f"notify {self.number} ({self.url.partition('://')[0].lower()}:// by apprise)"
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


def addresses(listed: Iterable[str], environment: Mapping[str, str], *, apprise: bool = False) -> Addresses:
    """Fill in the variables of a list, and sort its addresses by kind; one that cannot be used is a fault in words.

    `apprise`: the extra is installed.
    """
    usable, faults = [], []
    for number, text in enumerate(listed, 1):
        missing = [name for name in _names(text) if not environment.get(name)]
        if missing:
            faults.append(f"notify {number}: the variable {missing[0]} is not set; nobody is informed there")
            continue
        url = _VARIABLE.sub(lambda found: environment[found["braced"] or found["plain"]].strip(), text)
        kind = kind_of(url)
        url = url[len(HEARTBEAT) :] if kind is AddressKind.HEARTBEAT else url
        scheme = url.partition("://")[0].lower()
        if not _well_formed(url, kind):
            faults.append(f"notify {number}: this is not an address that can be called; write https://…")
        elif kind is AddressKind.APPRISE and not apprise:
            faults.append(f"notify {number}: {scheme}:// {NEEDS_APPRISE}; nobody is informed there")
        elif scheme == "http" and not _on_this_machine(url):
            faults.append(f"notify {number}: a notification over http can be read by others; write https://")
        else:
            usable.append(Address(number, kind, url))
    return Addresses(tuple(usable), tuple(faults))


def _names(text: str) -> list[str]:
    return [found["braced"] or found["plain"] for found in _VARIABLE.finditer(text)]


def kind_of(url: str) -> AddressKind:
    """Say what is at an address, by its scheme."""
    if url.lower().startswith(HEARTBEAT):
        return AddressKind.HEARTBEAT
    scheme, mark, _rest = url.partition("://")
    web = not mark or scheme.lower() in ("https", "http")
    return AddressKind.WEBHOOK if web else AddressKind.APPRISE


def _well_formed(url: str, kind: AddressKind) -> bool:
    schemes = "[a-z][a-z0-9+.-]*" if kind is AddressKind.APPRISE else "https?"
    try:
        found = re.fullmatch(rf"{schemes}://\S+", url, re.IGNORECASE)
        return bool(found and (kind is AddressKind.APPRISE or urlsplit(url).hostname))
    except ValueError:
        return False


def _on_this_machine(url: str) -> bool:
    from batchgen.proxy import is_loopback

    return is_loopback(urlsplit(url).hostname or "")
