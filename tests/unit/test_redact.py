"""The key stays out of what is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.redact import MARK, Redactor, Secret

KEY = "SG_0123456789abcdef"


def test_a_known_key_of_any_shape_is_replaced() -> None:
    """A test account's key need not look like the documented one."""
    assert Redactor(["hunter2/ä"]).redact("key=hunter2/ä.") == f"key={MARK}."


def test_a_key_of_the_documented_shape_is_replaced_even_when_unknown() -> None:
    """The log may hold another account's key: a pasted error, a second environment."""
    assert Redactor().redact(f"x {KEY} y") == f"x {MARK} y"


@pytest.mark.parametrize("spell", [json.dumps, repr, lambda key: key.replace('"', "%22").replace("\\", "%5C")])
def test_a_key_is_found_in_json_repr_and_urls(spell: object) -> None:
    """Escaping must not carry it past."""
    key = 'we"ird\\key'
    assert callable(spell)
    text = Redactor([key]).redact(f"<{spell(key)}>")
    assert "ird" not in text


def test_the_longer_of_two_keys_is_replaced_whole() -> None:
    """A key that starts as another one must not leave its tail."""
    assert Redactor(["abc", "abcdef"]).redact("abcdef") == MARK


def test_a_secret_shows_itself_only_by_name() -> None:
    """reprs end up in tracebacks and logs."""
    secret = Secret(KEY)
    assert secret.get_secret_value() == KEY
    assert KEY not in f"{secret} {secret!r} {[secret]}" + repr(Redactor([KEY]))


@given(st.text(), st.text(), st.text(alphabet=st.characters(codec="latin-1"), min_size=8))
def test_no_text_around_a_key_hides_it(before: str, after: str, key: str) -> None:
    """Whatever surrounds it."""
    assert key not in Redactor([key]).redact(before + key + after).replace(MARK, "")
