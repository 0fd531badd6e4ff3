"""What trouble with the account means for the night: whether waiting can help, and what a person has to do. Pure."""

from __future__ import annotations

from enum import Enum

from batchgen.errors import AccountError


class Hope(Enum):
    """What could end the trouble without a person."""

    NONE = "none"
    SETTLES = "settles"  #: the end of what is in flight: the service holds credits back for it
    TIME = "time"


_HOPES = {"credits": Hope.SETTLES, "spend-limit": Hope.SETTLES, "throttled": Hope.TIME}
_MEND = {
    "key": "check the API key (batchgen doctor)",
    "forbidden": "ask whoever manages the account whether its plan and team may use this model",
    "throttled": "the account is held up: wait, or ask the service why",
    "credits": "top up the account",
    "spend-limit": "raise the team's spend limit",
    "model": "check model: in the manifest; the service does not know it",
    "retired": "choose another model in the manifest; the service has withdrawn this one",
    "bug": "please report this",
}


def hope_of(error: AccountError) -> Hope:
    """Say what could end the trouble without a person."""
    return _HOPES.get(error.reason, Hope.NONE)


def advice(error: AccountError) -> str:
    """Say in one line what the trouble is and what to do; nothing is lost by it."""
    mend = _MEND.get(error.reason)
    return f"{error.reason}: {error}" + (f": {mend}, then run again" if mend else "")
