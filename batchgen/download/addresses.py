"""Which addresses a file may be fetched from: any public https host, and loopback where it is asked for.

The *resolved* address is judged, at each redirect and each new connection, so that neither a redirect nor a name
that changes its address leads into the local network. Behind a proxy (`https_proxy`) the proxy resolves and
connects, and its own rules hold; addresses written as numbers are refused here all the same.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from batchgen.errors import AddressRefused, DownloadError

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Not to be fetched from, though `ipaddress` has them for public: site-local (given up), IETF and cloud metadata,
#: translation within a network, documentation, a relay that is no more, and the host of a cloud's own machines.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        ("fec0::/10", "192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "192.88.99.0/24", "168.63.129.16/32"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: Bytes of one header, or of one line: signed links, cookies and policies of real services pass 8 KiB.
HEADER_MAX = 65_536


def may_connect(address: str, *, loopback: bool) -> bool:
    """Return whether an IP address is a public one (or loopback, where that is allowed).

    IPv4 inside IPv6 (mapped, 6to4, NAT64) counts as what it stands for. What is no address at all may not.
    """
    ip = _parsed(address)
    if ip is None or ip.is_loopback:
        return ip is not None and loopback
    special = any(ip in network for network in _SPECIAL)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or special)


def check(url: URL, *, loopback: bool) -> None:
    """Refuse a URL that may not be fetched, as far as can be seen without asking the name service.

    Raises:
        AddressRefused: not https (http only to loopback), no host, user and password, an address
            that is not public. The message names the host alone: a query may hold a signature.
    """
    host = url.host
    if not host or url.scheme not in {"https", "http"} or url.user is not None:
        raise _refused(url, "not a plain https address")
    ip = _parsed(host)
    # The system would take "127.1" and "0x7f.1" for addresses, and no top-level domain begins with a digit.
    if ip is None and host.rpartition(".")[2][:1].isdigit():
        raise _refused(url, "a number in an unusual notation")
    if ip is not None and not may_connect(host, loopback=loopback):
        raise _refused(url, "not a public address")
    local = host == "localhost" or (ip is not None and ip.is_loopback)
    if url.scheme == "http" and not (loopback and local):
        raise _refused(url, "http without encryption")


def parse(text: str) -> URL:
    """Read a link as it stands: signatures are often made over its very spelling.

    Raises:
        AddressRefused: it is none.
    """
    try:
        link = URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
        _ = link.host, link.port  # read only when asked for, and may be nonsense
        return link
    except ValueError:
        raise AddressRefused("an address that can't be read") from None


def name(link: URL) -> str:
    """Name a link without its query, which may hold a signature."""
    return f"{link.host}{link.path}"


class PublicResolver(AbstractResolver):
    """A resolver that gives only addresses which may be connected to.

    The machine's own proxy is let through: it often has a private address.
    """

    def __init__(self, *, loopback: bool, proxy: str | None = None) -> None:
        self._inner = ThreadedResolver()
        self._loopback = loopback
        self._proxy = proxy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name.

        Raises:
            AddressRefused: all of its addresses are private, or it is no name.
            OSError: it is not known.
        """
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError:  # a label too long, or none
            raise AddressRefused(f"may not fetch from {host[:80]}: no host has such a name") from None
        if host == self._proxy:
            return found
        fit = [one for one in found if may_connect(one["host"], loopback=self._loopback)]
        if not fit:
            raise AddressRefused(f"may not fetch from {host}: not a public address")
        return fit

    async def close(self) -> None:
        """Release the inner resolver."""
        await self._inner.close()


def _refused(url: URL, why: str) -> DownloadError:
    return AddressRefused(f"may not fetch from {url.scheme}://{url.host or ''}: {why}")


@lru_cache(maxsize=64)  # the same few hosts all night
def _parsed(text: str) -> _Address | None:
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
