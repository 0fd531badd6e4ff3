"""batchgen: overnight batches of paid text-to-video.

A YAML manifest of prompts goes through a paid service; checked MP4s and an honest bill come out. It never
pays twice, never loses a paid clip, and a run that was killed anywhere goes on with `run`.

Reading order: `clip`, `events` and `states` (what a clip is, what can happen to it, and the table), `manifest` (YAML →
clips), `ledger` (the state file), `runner` (a run, and one clip's life: submit → collect → fetch), `ratelimit` and
`polling` (when what is asked), `providers` (the service), `download` and `files` (the checked file), `history` (what
is in doubt), `billing` (what it costs), `views` and `cli` (what people see), `sandbox` (the stand-in service).

The public API is `load`, `plan` and `run` (see `batchgen.api`); it is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Happened", "Run", "__version__", "load", "plan", "run"]

if TYPE_CHECKING:
    from batchgen.api import Happened, Run, load, plan, run


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the API has by that name
    """Import the API when it is first asked for, so that `--version` stays quick."""
    if name in __all__:
        from batchgen import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
