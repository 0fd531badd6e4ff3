"""How long fuzzing lasts: the same few cases in CI, other and many more ones where somebody has an hour.

`FUZZ_TIMES=50 python -m pytest tests/flow/test_any_batch.py` tries fifty times as many, each time new ones.
"""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings

TIMES: Final = int(os.environ.get("FUZZ_TIMES", "1"))
#: To look for the shortest way to a fault can take minutes: only where it is asked for.
SHRINK: Final = "FUZZ_SHRINK" in os.environ


def fuzz(examples: int, **more: Any) -> settings:
    """Settings for so many examples in CI; they are always the same ones there, so that a red run can be repeated."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SHRINK else [])],
        report_multiple_bugs=False,
        print_blob=TIMES > 1,
        **more,
    )
