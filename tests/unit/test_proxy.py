"""The machine's proxy: read once, at the start, as curl reads it; a mistake names the variable and no password."""

from __future__ import annotations

from pathlib import Path

import pytest
from yarl import URL

from batchgen.errors import ProxyError
from batchgen.proxy import SystemProxy
from batchgen.redact import Secret
from batchgen.runner.opening import Access
from batchgen.settings import Settings

API = URL("https://api.segmind.com/v2/x")
KEY = Secret("SG_0123456789abcdef")
BAD = [
    *("http://ana:se#same@proxy:3128", "http://ana:sesame@proxy:port", "http://[::1", "http://", "http://proxy:0"),
    *("https://ana:sesame@proxy:443", "socks5://proxy:1080", "proxy:99999", "http://ana:se/same@proxy:3128", "://"),
]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("text", ["proxy.corp:3128", "http://proxy.corp:3128", " http://proxy.corp:3128/ "])
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_a_proxy_is_read_as_curl_reads_it(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Without a scheme, too, as IT departments hand it out."""
    monkeypatch.setenv(name, text)
    assert SystemProxy.read().options(API) == {"proxy": URL("http://proxy.corp:3128"), "proxy_headers": {}}


def test_name_and_password_go_to_the_proxy_in_their_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in its address, which messages may show."""
    monkeypatch.setenv("https_proxy", "studio:p%23ss@proxy.corp:3128")
    options = SystemProxy.read().options(API)
    assert options["proxy"] == URL("http://proxy.corp:3128")
    assert options["proxy_headers"] == {"Proxy-Authorization": "Basic c3R1ZGlvOnAjc3M="}


def test_this_machine_and_excepted_hosts_are_reached_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A studio's proxy does not lead back to this machine."""
    monkeypatch.setenv("https_proxy", "proxy.corp:3128")
    monkeypatch.setenv("no_proxy", "files.example")
    proxy = SystemProxy.read()
    for url in ("http://127.0.0.1:8080/", "http://[::1]:1/", "http://localhost/", "https://files.example/a.mp4"):
        assert proxy.options(URL(url)) == {}
    monkeypatch.delenv("https_proxy")
    assert SystemProxy.read().options(API) == {}


@pytest.mark.parametrize("text", BAD)
def test_a_proxy_that_cannot_be_used_is_refused_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """It was a traceback, two hours of waiting, or ignored."""
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(ProxyError) as caught:
        Access(Settings(), KEY, tmp_path)
    assert caught.value.exit_code == 2
    assert "HTTPS_PROXY" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("ana", "same"))


@pytest.mark.parametrize("settings", [Settings(sandbox=True), Settings(base_url="http://127.0.0.1:9")])
def test_what_stays_on_this_machine_needs_no_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> None:
    """A rehearsal works wherever it is tried."""
    monkeypatch.setenv("https_proxy", "http://[::1")
    assert Access(settings, KEY, tmp_path).proxy.host is None
