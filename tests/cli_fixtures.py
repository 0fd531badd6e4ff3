"""Fixtures of the tests that run the command: a service of their own, and a desk to run it from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Desk
from scripted_service import FakeApi


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """A fresh service with empty books."""
    with FakeApi() as api:
        yield api


@pytest.fixture
def desk(tmp_path: Path, api: FakeApi) -> Desk:
    """A fresh folder with a manifest of three prompts, to be run against `api`."""
    desk = Desk(tmp_path, api.url)
    desk.manifest("a cat", "a dog", "an owl")
    return desk
