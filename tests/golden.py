"""Golden texts: what people see, kept as files, so that a change of it is made on purpose.

Short, since it is the one way in which five test files read and renew them.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "pure" / "golden"
#: Set it, run the tests, and read the difference in git before you commit it.
RENEW = "RENEW_GOLDEN"


def golden(name: str, text: str) -> str:
    """Return the golden text `name`; with RENEW_GOLDEN in the environment, `text` becomes it first."""
    file = FOLDER / name
    if os.environ.get(RENEW):
        file.write_text(text, encoding="utf-8")
    return file.read_text(encoding="utf-8")
