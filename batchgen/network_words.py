"""Connection errors in words for people: which host, what happened, what to do. Pure but for one look at a file's name.

One function for all who connect: run, doctor, downloads, request history. No class names, no tuples, no error numbers.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
from yarl import URL

#: By OpenSSL's verify codes (x509_vfy.h): what is wrong with a certificate.
_CERTIFICATES = {
    9: "is not valid yet: check the clock of this machine",
    10: "has expired: check the clock of this machine, or wait until the service has renewed it",
    62: "belongs to another name: a proxy or a log-in page may answer in its place, or the address is wrong",
    64: "belongs to another address: a proxy or a log-in page may answer in its place, or the address is wrong",
}
_UNTRUSTED = "if a company's proxy or filter signs its connections, set SSL_CERT_FILE to a file with its CA (PEM)"
_ERRORS = {
    errno.ECONNREFUSED: "refuses the connection",
    errno.ECONNRESET: "closed the connection",
    errno.EPIPE: "closed the connection",
    errno.ECONNABORTED: "closed the connection",
    errno.ENETUNREACH: "can't be reached: is this machine online?",
    errno.ENETDOWN: "can't be reached: is this machine online?",
    errno.EHOSTUNREACH: "can't be reached: no route leads there",
    errno.ETIMEDOUT: "does not answer",
    errno.EMFILE: "can't be reached: too many files are open (ulimit -n)",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A connection error in words. `needs_user`: waiting can't help, somebody has to change something."""

    text: str
    needs_user: bool = False


def explain(error: BaseException, url: URL, *, connected: bool = False, proxy: str = "") -> Explained:
    """Say what a connection error means.

    Args:
        error: what aiohttp or the system raised.
        url: what was asked for.
        connected: True when the request may have been sent.
        proxy: the proxy on the way, named for people (`SystemProxy.named`); "" for none.
    """
    host = _named(url.host, url.explicit_port)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status, host, proxy or "the proxy")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        cause = _system(error.os_error, _named(error.host, error.port))
        return Explained(f"{proxy or 'the proxy'} for {host} can't be used: {cause.text}", cause.needs_user)
    explained = _direct(error, host, connected=connected)
    return Explained(explained.text + (f" (by way of {proxy})" if proxy else ""), explained.needs_user)


def words_of(error: BaseException, url: URL, proxy: str) -> str:
    """Say why a download broke off."""
    if isinstance(error, TimeoutError):
        return "no answer, or no data, for too long"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "cut short"
    return explain(error, url, proxy=proxy).text


def _named(host: str | None, port: int | None) -> str:
    return f"{host}:{port}" if port else f"{host}"


def _refused_by_proxy(status: int, host: str, proxy: str) -> Explained:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return Explained(f"{proxy} wants another user name and password than it was given (HTTP {status})", True)
    return Explained(f"{proxy} refuses to connect to {host} (HTTP {status})", needs_user=400 <= status < 500)


def _direct(error: BaseException, host: str, *, connected: bool) -> Explained:
    """Say what happened between us and the host."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Explained(f"{host}: its certificate {_certificate(error.certificate_error)}", needs_user=True)
    if isinstance(error, TimeoutError):
        return Explained(f"{host} does not answer" if connected else f"{host} can't be reached: it does not answer")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return Explained(f"{host} closed the connection")
    if isinstance(error, aiohttp.InvalidURL):
        return Explained(f"{host}: the address, or that of a proxy, can't be read", needs_user=True)
    cause = getattr(error, "os_error", error)
    return _system(cause, host) if isinstance(cause, OSError) else Explained(f"{host} gave an answer that is no HTTP")


def _system(error: OSError, host: str) -> Explained:
    if isinstance(error, ssl.SSLEOFError):
        return Explained(f"{host} closed the connection")
    if isinstance(error, ssl.SSLError):
        return Explained(f"{host} does not speak TLS (https) on this port as it should", needs_user=True)
    if isinstance(error, socket.gaierror):
        return Explained(f"the name {host} is not known: is this machine online, and is the address right?")
    return Explained(f"{host} {_ERRORS.get(error.errno or 0, 'can not be reached: the connection failed')}")


def _certificate(error: Exception) -> str:
    code = getattr(error, "verify_code", 0)
    if code in _CERTIFICATES:
        return _CERTIFICATES[code]
    kind = "is self-signed" if code in (18, 19) else "is of a CA that this machine does not know"
    file = os.environ.get("SSL_CERT_FILE", "")
    missing = f"; SSL_CERT_FILE names {file}, which does not exist" if file and not Path(file).exists() else ""
    return f"{kind}: {_UNTRUSTED}{missing}"
