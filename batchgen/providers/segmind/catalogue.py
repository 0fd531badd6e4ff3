"""The service's public catalogue of models: read when a person asks for it, never by a run. No key is sent."""

from __future__ import annotations

from typing import Final

from batchgen import __version__
from batchgen.errors import UsageError
from batchgen.providers.segmind.http import ExchangeFailed, Http, address
from batchgen.proxy import SystemProxy

#: Undocumented; the vendor's SDK reads it (`models.py`).
CATALOGUE: Final = "https://api.spotprod.segmind.com/inference-model-information/list"
_TIMEOUT_S: Final = 60.0


async def read_catalogue(url: str = CATALOGUE) -> object:
    """Give the answer of the catalogue as JSON, by one GET.

    Raises:
        UsageError: there is no answer, it is refused, or it is no JSON; the message says which.
    """
    where = address(url, "the catalogue")
    agent = f"batchgen/{__version__}"
    proxy = SystemProxy.read() if where.scheme == "https" else SystemProxy()
    http = Http("", frozenset(), redact=str, user_agent=agent, connect_timeout_s=10.0, proxy=proxy)
    async with http:
        answer = await http.ask("GET", where, timeout_s=_TIMEOUT_S)
    if isinstance(answer, ExchangeFailed):
        raise UsageError(f"the catalogue of models can't be read: {answer.text}")
    if not answer.ok:
        raise UsageError(f"the catalogue of models can't be read: HTTP {answer.status}: {answer.message()}")
    data: object = answer.data()
    if data is None or not answer.whole:
        raise UsageError("the catalogue of models can't be read: its answer is no JSON, or was cut")
    return data
