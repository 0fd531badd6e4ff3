"""The proxy of this machine: read once at the start of a run, so that a mistake in it is found before anything is paid.

Every call leaves over https, or goes to this machine, which needs no proxy; so the only one that counts is that for
https (`https_proxy`, else `HTTPS_PROXY`, else the system's own setting), less what `no_proxy` names.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from batchgen.errors import ProxyError

if TYPE_CHECKING:
    from yarl import URL


class SystemProxy:
    """The way out: straight (no address), or through one proxy."""

    def __init__(self, address: URL | None = None, variable: str = "") -> None:
        self._variable = variable
        self._headers: dict[str, str] = {}
        if address is not None and (address.user is not None or address.password is not None):
            secret = base64.b64encode(f"{address.user or ''}:{address.password or ''}".encode()).decode()
            self._headers = {"Proxy-Authorization": f"Basic {secret}"}
            address = address.with_user(None)
        self._address = address

    @classmethod
    def read(cls) -> SystemProxy:
        """Read the environment, or the system's setting where it has one.

        Raises:
            ProxyError: it can't be used; the message names the variable, and never the address, which may hold a
                password.
        """
        text = getproxies().get("https", "").strip()
        variable = _variable(os.environ)
        return cls(_parsed(text, variable), variable) if text else cls()

    @property
    def host(self) -> str | None:
        """The proxy's own host; None: there is no proxy."""
        return self._address.host if self._address is not None else None

    def options(self, url: URL) -> dict[str, Any]:
        """Return what a request of aiohttp to this URL needs; empty: it goes straight there."""
        return {"proxy": self._address, "proxy_headers": self._headers} if self._carries(url) else {}

    def named(self, url: URL) -> str:
        """Name the proxy on the way to a URL and the setting that it comes from, without its password; "": none."""
        address = self._address
        if address is None or not self._carries(url):
            return ""
        setting = f" (from {self._variable})" if self._variable else ""
        return f"the proxy {address.host}:{address.port}{setting}"

    def _carries(self, url: URL) -> bool:
        host = url.host or ""
        return self._address is not None and not (is_loopback(host) or proxy_bypass(host))


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine itself: 127.0.0.0/8, ::1, localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _variable(environ: Mapping[str, str]) -> str:
    names = [name for name in ("https_proxy", "HTTPS_PROXY") if environ.get(name)]
    return names[0] if names else "the system's proxy setting"


def _parsed(text: str, variable: str) -> URL:
    """Read a proxy's address as curl does: `host:port` is `http://host:port`."""
    from yarl import URL

    try:
        url = URL(text if "://" in text else f"http://{text}")
        host, port = url.host, url.explicit_port
    except ValueError:
        host, port, url = None, None, URL()
    if url.scheme not in ("http", ""):
        what = f"{variable}: a proxy that is reached by {url.scheme} is not supported"
        raise ProxyError(what, tip="name one that is reached by http (it carries https, too), or unset the variable")
    if not host or port == 0 or url.path not in ("", "/") or url.query_string or url.fragment:
        what = f"{variable} is not the address of a proxy"
        raise ProxyError(what, tip="write http://host:port; in a password write %23 for #, %40 for @, %2F for /")
    return url.origin().with_user(url.user).with_password(url.password)
