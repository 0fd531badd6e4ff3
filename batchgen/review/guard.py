"""Who may ask the page's server for what: the Host list, the token, and the headers of every answer.

The Host header, not Origin, is what a rebinding attack can't forge. The token is in the address's fragment, which no
browser sends; the page puts it into a header, and into a cookie for what a `<video>` asks for by itself.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEADER: Final = "X-Batchgen-Token"
COOKIE: Final = "batchgen_token"
#: Nothing but our own files, no inline script or style, and no frame around us.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def guard(token: str, *, hosts: frozenset[str], private: bool) -> Middleware:
    """Refuse whoever asks by another name than ours, and writes without the token; give every answer its headers.

    Args:
        token: of this server.
        hosts: names that may stand in Host, without the port.
        private: reads of the batch need the token too; the page itself and its assets never do.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _name(request.host) not in hosts:
            return _refused(421, "this server has another name")
        reads = request.method in {"GET", "HEAD"}
        open_to_all = reads and (not private or request.path == "/" or request.path.startswith("/assets/"))
        if not open_to_all and not _has(request, token):
            return _refused(403, "the token is missing: open the address that batchgen review printed")
        if not reads and request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return _refused(403, "another site may not write here")
        return await handler(request)

    return check


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer the headers that every one has; a signal of `on_response_prepare`."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


def is_loopback(address: str) -> bool:
    """True when a server that listens there is reached from this machine alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def names_of(address: str) -> frozenset[str]:
    """Give the names by which a server that listens at an address may be asked: for `0.0.0.0`, all of this machine's.

    No name that a DNS server could give out is among them, so that a page of another site can't ask by it.
    """
    ours = {"127.0.0.1", "localhost", "::1"}
    if is_loopback(address):
        return frozenset({*ours, address})
    try:
        everywhere = ipaddress.ip_address(address).is_unspecified
    except ValueError:
        everywhere = False
    return frozenset({*ours, address, *(addresses() if everywhere else ())})


def addresses() -> list[str]:
    """Give this machine's own addresses, the one that leads to the network first; nothing is sent to find them."""
    found: dict[str, None] = {}
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))  # of UDP: it only asks the system for the way there
            found[probe.getsockname()[0]] = None
    with suppress(OSError):
        for *_, sockaddr in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM):
            found[str(sockaddr[0])] = None
    return [each for each in found if not ipaddress.ip_address(each.partition("%")[0]).is_unspecified]


def _name(host: str) -> str:
    """Give a Host header without its port."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _has(request: web.Request, token: str) -> bool:
    header = request.headers.get(HEADER)
    if header is not None:
        return hmac.compare_digest(header.encode(), token.encode())
    # A cookie alone may read: `SameSite=Strict` keeps it from other sites, and a form of theirs can't set our header.
    cookie = request.cookies.get(COOKIE, "")
    return request.method in {"GET", "HEAD"} and hmac.compare_digest(cookie.encode(), token.encode())


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": why}}, status=status)
