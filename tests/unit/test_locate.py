"""Finding a manifest by what was typed; what is not found is answered with what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.errors import UsageError
from batchgen.locate import find_manifest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a manifest in each of the places where people keep them."""
    for name in ("jobs/night.yaml", "draft.yml", "examples/my shots.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("typed", "tip"),
    [
        ("nigth", "did you mean night?"),
        ("drafts", "did you mean draft.yml?"),
        ("my shot", "did you mean 'examples/my shots.yaml'?"),
        ("jobs/nigt.yaml", "did you mean night?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_one_as_it_can_be_typed(typed: str, tip: str) -> None:
    """Wherever it is, and quoted for the shell."""
    with pytest.raises(UsageError) as caught:
        find_manifest(typed)
    assert caught.value.tip == tip


def test_a_name_that_nothing_is_near_to_is_answered_with_all_that_there_are() -> None:
    """The paths that were tried help nobody."""
    with pytest.raises(UsageError) as caught:
        find_manifest("xyzzy")
    assert caught.value.message == ("there is no manifest xyzzy; there are: night, draft.yml, 'examples/my shots.yaml'")
    assert caught.value.tip == "`batchgen init xyzzy` writes one"
