# ruff: noqa: F811
from __future__ import annotations

import socket
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from filehost import SMALL, Host, check, downloader, host, plain, served  # noqa: F401
from yarl import URL

from batchgen.download import Downloader, addresses
from batchgen.errors import AddressRefused, DownloadError

pytestmark = pytest.mark.real_time


async def test_a_redirect_is_followed(host: Host, downloader: Downloader, tmp_path: Path) -> None:
    """Storage behind a download link is the usual shape."""
    host.script = [plain(302, Location="/other/place.mp4?x=%2F"), served(SMALL)]
    check(await downloader.fetch(host.url, tmp_path / "a.mp4"), tmp_path / "a.mp4", SMALL)
    assert host.seen[1].path_qs == "/other/place.mp4?x=%2F"


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://example.com/a", "data:video/mp4;base64,AA", "http://10.0.0.1/", "https://[fe80::1]/",
     "http://example.com/a.mp4", "https://169.254.169.254/latest", "/again", "https://h:99999/"],
)  # fmt: skip
async def test_a_redirect_leads_nowhere_else(host: Host, downloader: Downloader, tmp_path: Path, target: str) -> None:
    """A file host must not be able to make us read the local network or the disk."""
    host.script = [plain(307, Location=target)]
    with pytest.raises(DownloadError) as caught:
        await downloader.fetch(host.url, tmp_path / "a.mp4")
    assert type(caught.value) is AddressRefused
    assert len(host.seen) == (6 if target == "/again" else 1)


@pytest.mark.parametrize(
    "url",
    ["http://images.example/a.mp4", "https://127.0.0.1/a", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://0/",
     "https://[64:ff9b::a00:1]/", "https://127.1/", "https://0x7f.1/", "https://2130706433/", "https://192.168.1.1/",
     "https://224.0.0.1/", "https://0.0.0.0/", "https://100.64.0.1/", "https://user:pw@images.example/a", "https://",
     "file:///etc/passwd", "data:video/mp4;base64,AAAA", "", "https://h:99999/", "https://[broken", "https://localhost/a.mp4"],
)  # fmt: skip
async def test_an_address_that_is_not_public_is_refused(tmp_path: Path, url: str) -> None:
    """Any public https host may serve the file, nothing else may."""
    async with Downloader(backoff_s=0.001) as downloader:
        with pytest.raises(DownloadError) as caught:
            await downloader.fetch(url, tmp_path / "a.mp4")
    assert type(caught.value) is AddressRefused
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0",
     "255.255.255.255", "192.0.0.192", "168.63.129.16", "100.100.100.200", "198.18.0.1", "240.0.0.1", "224.0.0.251",
     "::", "::1", "::10.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
     "2002:a00:1::", "2001:0:a00:1::", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
     "2001:db8::1", "3fff::1", "100::1"],
)  # fmt: skip
async def test_a_name_that_leads_to_such_an_address_is_refused(address: str) -> None:
    """Private, link-local, metadata of clouds, IPv4 in IPv6's clothes: a name is as good as where it leads."""
    resolver = addresses.PublicResolver(loopback=True)

    class Rebound(ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host=address, port=port, family=0, proto=0, flags=0)]

    resolver._inner = Rebound()
    if address in {"127.0.0.1", "::1"}:
        assert not addresses.may_connect(address, loopback=False)
    else:
        with pytest.raises(DownloadError, match="not a public address"):
            await resolver.resolve("images.example", 443)
    await resolver.close()


def test_public_addresses_may_be_fetched_from() -> None:
    """The wall must have a door."""
    for url in (
        "https://images.segmind.com/a.mp4",
        "https://8.8.8.8/",
        "https://[2606:4700::1]/",
        "https://1e100.net/a",
    ):
        addresses.check(URL(url), loopback=False)
    for url in ("http://127.0.0.1:80/", "http://localhost/", "http://[::1]/a", "https://localhost/"):
        addresses.check(URL(url), loopback=True)
    assert addresses.may_connect("fe80::1%eth0", loopback=True) is False
    assert addresses.may_connect("no address", loopback=True) is False


async def test_a_name_that_leads_to_loopback_works_only_beside_loopback(
    host: Host, downloader: Downloader, tmp_path: Path
) -> None:
    """The resolved address is judged, not the name."""
    host.script = [served(SMALL)]
    await downloader.fetch(host.url.replace("127.0.0.1", "localhost"), tmp_path / "a.mp4")
    resolver = addresses.PublicResolver(loopback=False)
    with pytest.raises(DownloadError, match="localhost: not a public address"):
        await resolver.resolve("localhost", 443)
    await resolver.close()
