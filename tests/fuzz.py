"""How many cases are generated: few in the fast tier, the same ones each time; all of them with `-m ''`.

`FUZZ_TIMES=50 python -m pytest tests/flow/test_any_batch.py` tries fifty times as many, each time new ones.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings

TIMES: Final = int(os.environ.get("FUZZ_TIMES", "1"))
#: To look for the shortest way to a fault can take minutes: only where it is asked for.
SHRINK: Final = "FUZZ_SHRINK" in os.environ
#: The profile of the fast tier: a fourth of the cases. In both tiers they are the same ones each time, so that a red
#: run can be repeated, and no case has a deadline: how long it takes depends on what else the machine does.
FAST: Final = "fast"
WHOLE: Final = "whole"
PART: Final = 4


def choose_tier(config: pytest.Config) -> None:
    """Choose how many cases `@given` and `fuzz` generate, before any test module is imported."""
    settings.register_profile(FAST, max_examples=100 // PART, derandomize=True, database=None, deadline=None)
    settings.register_profile(WHOLE, derandomize=TIMES == 1, database=None, deadline=None)
    settings.load_profile(FAST if "not slow" in config.option.markexpr and TIMES == 1 else WHOLE)


def fuzz(examples: int, **more: Any) -> settings:
    """Settings for so many examples in the slow tier, and a part of them in the fast one."""
    fast = settings.get_current_profile_name() == FAST
    return settings(
        max_examples=max(1, examples // PART) if fast else examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SHRINK else [])],
        report_multiple_bugs=False,
        print_blob=TIMES > 1,
        **more,
    )
