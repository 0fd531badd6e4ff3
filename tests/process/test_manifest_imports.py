"""What importing the manifest's types and prices costs: nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.real_time


def test_looking_up_a_model_imports_nothing_heavy() -> None:
    """`status` answers in 100 ms."""
    code = (
        "import sys, batchgen.manifest; from batchgen.providers.models import estimate, find;"
        "estimate('wan-2.5-t2v', {}); print([m for m in ('pydantic', 'yaml', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
