"""TLS on loopback: a certificate that is not trusted is no outage, the words are for people, SSL_CERT_FILE works."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from scripted_service import KEY, drop

from batchgen.errors import TryAgain, Unreachable
from batchgen.providers.base import Accepted
from batchgen.providers.paced import read_whole
from batchgen.providers.segmind.client import Segmind
from batchgen.redact import Secret

pytestmark = pytest.mark.real_time

CA = trustme.CA()
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
#: What nobody who has to act on it should have to read.
JARGON = re.compile(r"\w+Error|ssl:|\[|\('|Errno|_ssl\.c|CERTIFICATE_|certificate verify failed")


@asynccontextmanager
async def listening(cert: trustme.LeafCert | None, *, says: object = None) -> AsyncIterator[int]:
    """Serve one answer by https with a certificate, or by http without; gives the port."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.json_response(says)

    context = None
    if cert is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(context)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", reply)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trust the tests' CA, by the variable that a user sets."""
    path = tmp_path / "company.pem"
    CA.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


async def reason_of(port: int, host: str = "127.0.0.1") -> Unreachable:
    """Give what all calls say of that address: the same of each, and that a person has to act."""
    async with Segmind(Secret(KEY), base_url=f"https://{host}:{port}", get_timeout_s=5.0) as segmind:
        caught = []
        for call in (segmind.submit("m", {}), segmind.balance(), read_whole(segmind.history("m", 0.0, 1.0))):
            with pytest.raises(Unreachable) as error:
                await call
            caught.append(error.value)
    assert {error.needs_user for error in caught} == {True}
    assert len({str(error).partition(": ")[2] for error in caught}) == 1
    assert not JARGON.search(str(caught[0]))
    assert f"{host}:{port}" in str(caught[0])
    return caught[0]


@pytest.mark.usefixtures("trusted")
async def test_ssl_cert_file_makes_a_companys_ca_trusted() -> None:
    """It is what the message says to set, so it has to work, from the next run on."""
    async with (
        listening(CA.issue_cert("127.0.0.1"), says={"request_id": "r1"}) as port,
        Segmind(Secret(KEY), base_url=f"https://127.0.0.1:{port}") as segmind,
    ):
        assert await segmind.submit("m", {}) == Accepted("r1")


async def test_an_unknown_ca_is_named_with_the_way_to_trust_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's filter signs for the whole world."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with listening(CA.issue_cert("127.0.0.1")) as port:
        said = str(await reason_of(port))
    assert "SSL_CERT_FILE" in said
    assert "does not exist" not in said


async def test_a_cert_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A typing error in the variable changes nothing, and nobody would know."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing.pem"))
    async with listening(CA.issue_cert("127.0.0.1")) as port:
        assert "nothing.pem, which does not exist" in str(await reason_of(port))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("cert", "words"),
    [
        (CA.issue_cert("127.0.0.1", not_after=LONG_AGO, not_before=LONG_AGO), "has expired"),
        (CA.issue_cert("127.0.0.1", not_before=datetime(2200, 1, 1, tzinfo=UTC)), "is not valid yet"),
        (CA.issue_cert("10.1.2.3"), "belongs to another address"),
    ],
    ids=["expired", "not yet", "wrong address"],
)
async def test_a_certificate_that_is_wrong_is_told_by_what_is_wrong(cert: trustme.LeafCert, words: str) -> None:
    """Each has another remedy, and for none of them waiting helps."""
    async with listening(cert) as port:
        assert words in str(await reason_of(port))


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_name_is_told() -> None:
    """A captive portal's, or a wrong address."""
    async with listening(CA.issue_cert("other.example")) as port:
        assert "belongs to another name" in str(await reason_of(port, "localhost"))


async def test_plain_http_on_a_tls_port_is_told() -> None:
    """--base-url https:// for a server that has no TLS."""
    async with listening(None) as port:
        assert "does not speak TLS" in str(await reason_of(port))


@pytest.mark.usefixtures("trusted")
async def test_a_self_signed_certificate_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The CA itself answers in place of one of its certificates."""
    leaf = CA.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = tmp_path / "self.pem"
    both.write_bytes(CA.cert_pem.bytes() + CA.private_key_pem.bytes())
    context.load_cert_chain(both)
    monkeypatch.setattr(leaf, "configure_cert", lambda server: server.load_cert_chain(both))
    monkeypatch.delenv("SSL_CERT_FILE")
    async with listening(leaf) as port:
        assert "is self-signed" in str(await reason_of(port))


async def test_connection_errors_are_in_words() -> None:
    """Refused and cut: the host, and what happened; no class, no tuple, no number of an error."""
    async with listening(None) as port:
        pass
    async with Segmind(Secret(KEY), base_url=f"http://127.0.0.1:{port}") as segmind:
        with pytest.raises(TryAgain, match=rf"^balance: 127\.0\.0\.1:{port} refuses the connection$"):
            await segmind.balance()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", drop)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = int(runner.addresses[0][1])
        async with Segmind(Secret(KEY), base_url=f"http://127.0.0.1:{port}") as segmind:
            with pytest.raises(TryAgain, match=rf"no answer: 127\.0\.0\.1:{port} closed the connection$"):
                await segmind.balance()
    finally:
        await runner.cleanup()
