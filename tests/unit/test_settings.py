"""Whatever is in `.env`, a key file or config.toml: settings that can be run with, or one clear message."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import UsageError
from batchgen.locate import find_key
from batchgen.money import to_micro
from batchgen.settings import CONFIGURABLE, merge, read_config


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One folder for all examples, and no key in the environment."""
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEGMIND_API_KEY", raising=False)
        patch.delenv("SEGMIND_API_KEY_FILE", raising=False)
        patch.chdir(made)
        yield Path(made)


NUMBERS = st.one_of(
    st.sampled_from(["nan", "inf", "-inf", "1e999", "-1", "0", "true", '"5"', "[]", "{}", "0x10", "9" * 5000]),
    st.integers().map(str),
    st.floats().map(str),
)  # fmt: skip
LINES = st.one_of(
    st.builds("{} = {}".format, st.sampled_from([*sorted(CONFIGURABLE), "max_usd", "a.b", '"x"']), NUMBERS),
    st.text(max_size=30),
    st.sampled_from(["[" * 3000, "a = " + "[" * 3000, "a = " + "{b=" * 3000, '"""', "\0", "[[a]]"]),
)


@fuzz(300)
@given(lines=st.lists(LINES, max_size=4), more=st.binary(max_size=8))
def test_any_config_is_read_or_told(folder: Path, lines: list[str], more: bytes) -> None:
    """What is read can be run with: finite, and at least one place."""
    path = folder / "config.toml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + (more if len(more) > 4 else b""))
    try:
        settings = merge({}, None, read_config(path))
    except UsageError as error:
        str(error).encode()
        return
    for name in CONFIGURABLE:
        value = getattr(settings, name)
        assert value is None or (math.isfinite(value) and 0 <= value <= sys.maxsize)
    assert min(settings.in_flight, settings.downloads, settings.submit_concurrency) >= 1


@pytest.mark.parametrize(
    "text", ["rpm = nan", "rpm = inf", "in_flight = 0", "submit_concurrency = 0", "downloads = 0", "a = " + "[" * 5000]
)
def test_a_config_that_no_run_could_live_with_is_told(folder: Path, text: str) -> None:
    """With no place in flight a run would wait for ever."""
    path = folder / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_config(path)


@fuzz(200)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: f"SEGMIND_API_KEY={text}".encode("utf-8", "replace")),
    )
)
def test_any_dotenv_gives_a_key_or_none_or_is_told(folder: Path, content: bytes) -> None:
    """Some editor saved it as UTF-16."""
    (folder / ".env").write_bytes(content)
    try:
        key = find_key(folder)
    except UsageError as error:
        assert ".env" in str(error)
    else:
        assert key is None or key.get_secret_value().strip()


def test_a_key_file_without_an_end_is_not_read_for_ever(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in a unit file."""
    monkeypatch.setenv("SEGMIND_API_KEY_FILE", os.devnull.replace("null", "zero"))
    key = find_key(folder)
    assert key is not None
    assert len(key.get_secret_value()) <= 4096


@fuzz(300)
@given(
    st.one_of(
        st.text(max_size=40),
        st.floats(),
        st.integers(),
        st.none(),
        st.booleans(),
        st.sampled_from(["1e999999999", "1e-999999999", "sNaN", "9" * 9999]),
    )
)
def test_any_price_is_micro_dollars_or_nothing(value: object) -> None:
    """Never negative, never more than a million dollars, never an exception."""
    amount = to_micro(value)
    assert amount is None or 0 <= amount <= 10**12
