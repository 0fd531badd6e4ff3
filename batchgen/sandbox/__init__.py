"""A local server that speaks the provider's protocol, renders real MP4s, and misbehaves on request.

Reading order: `protocol` (requests and prices) and `any_model` (of any model), `store` (jobs, durable), `faults`,
`render` and `clips` (the videos), `worker` (renders in threads), `service` (the service without HTTP), `answers` (the
shape of its answers) and `bad_answers`, then the HTTP handlers `api`, `history` and `files`, and `server`, which
joins them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchgen.sandbox.faults import Faults

if TYPE_CHECKING:
    from batchgen.sandbox.server import Sandbox
    from batchgen.sandbox.service import Booking

__all__ = ["Booking", "Faults", "Sandbox"]


def __getattr__(name: str) -> object:
    """Load the server only when asked for: the names of the faults must not cost aiohttp's import."""
    if name == "Sandbox":
        from batchgen.sandbox.server import Sandbox

        return Sandbox
    if name == "Booking":
        from batchgen.sandbox.service import Booking

        return Booking
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
