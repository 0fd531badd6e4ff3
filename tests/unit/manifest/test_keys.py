"""Keys and derived seeds: the same in every release, for they are what was paid for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.keys import KeyFrame, TakesError, canonical, derive_seed, key_of, key_of_text, seeds_of


def test_golden_keys_are_the_same_in_every_release() -> None:
    """A changed key would buy every clip of every batch again."""
    asked = {
        "prompt": "Füße 雨 🎬",
        "seed": 7,
        "size": "832*480",
        "duration": 10,
        "enable_prompt_expansion": False,
        "negative_prompt": "blurry",
        "audio": "sha256:" + "0" * 64,
    }
    assert key_of("wan-2.5-t2v", {"prompt": "rain", "seed": 7}) == "c1-2577e0f97d0fc82c00d3e120a29736b4"
    assert key_of("wan-2.5-t2v", asked) == "c1-33ef11800f34ce77130b544ea1641ca1"


_NAMES = st.sampled_from(
    ["audio", "duration", "prompt", "prompts", "q", "seed", "seeds", "size", "a\u00e9", "\U0001f3ac"]
)
_VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.dictionaries(_NAMES, _VALUES | st.lists(_VALUES)), st.text(), st.integers(0, 2**31 - 1))
def test_a_text_that_is_put_together_is_the_canonical_one(params: dict[str, object], prompt: str, seed: int) -> None:
    """The key, and what is sent, come of it: a letter more would buy every clip again."""
    whole = {**params, "prompt": prompt, "seed": seed}
    assert KeyFrame(params).text(prompt, seed) == canonical(whole)
    assert key_of_text("m", KeyFrame(params).text(prompt, seed)) == key_of("m", whole)


def test_golden_seeds_are_the_same_in_every_release() -> None:
    """The seed is in the key."""
    assert [derive_seed("rain", take) for take in (1, 2)] == [2070021640, 1350914028]


def test_texts_are_not_normalised() -> None:
    """What is sent is what was written: é in one character and in two are two texts."""
    assert key_of("m", {"prompt": "\u00e9"}) != key_of("m", {"prompt": "e\u0301"})


def test_what_json_cannot_say_has_no_key() -> None:
    """NaN is written by Python and read by nobody."""
    with pytest.raises(ValueError, match="JSON"):
        key_of("m", {"x": float("nan")})


def test_a_derived_seed_depends_on_prompt_and_take_alone() -> None:
    """A draft and its final at another size share it."""
    seeds = seeds_of("rain", takes=3)
    assert seeds == [derive_seed("rain", take) for take in (1, 2, 3)] == seeds_of("rain", seeds=[-1, -1, -1])
    assert len(set(seeds)) == 3
    assert all(0 <= seed <= 2147483647 for seed in seeds)
    assert seeds_of("rain", seed=-1) == seeds[:1]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"takes": 0}, "takes"),
        ({"takes": True}, "takes"),
        ({"takes": "many"}, "takes"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 1, "seeds": [1]}, "seed"),
        ({"takes": 3, "seeds": [1, 2]}, "takes"),
        ({"seeds": []}, "seeds"),
        ({"seeds": "1 x"}, "seeds"),
        ({"seeds": [3, 4, 3]}, "seeds"),
        ({"takes": 2, "seed": 3}, "seed"),
    ],
)
def test_takes_and_seeds_that_do_not_fit_are_refused(given: dict[str, object], field: str) -> None:
    """Two takes with one seed would be one clip, and a night short."""
    with pytest.raises(TakesError) as caught:
        seeds_of("rain", **given)
    assert caught.value.field == field
    assert caught.value.fix


def test_two_takes_never_derive_the_same_seed() -> None:
    """Takes 163 and 774 of this prompt hash to one seed; a writer could not mend that."""
    assert derive_seed("prompt 9560", 163) == derive_seed("prompt 9560", 774) == 978623567
    assert seeds_of("prompt 9560", takes=800)[773] == 978623568


def test_seeds_from_a_table_are_read() -> None:
    """A cell of a table is text."""
    assert seeds_of("rain", seeds="3, 4 5") == [3, 4, 5]
    assert seeds_of("rain", seed="9") == [9]
    assert len(seeds_of("rain", takes="2")) == 2
