"""The faults that the sandbox can produce, and the dice that decide when one strikes.

A dose is a rate or a count. A float is a rate: 0.1 strikes one chance in ten, 1.0 always. An int is a
count: 3 strikes at the first three chances, then never again (over restarts too, since the chances are
counted in the store). In text, a number with a point is a rate and one without is a count.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Final, Self

from batchgen.errors import UsageError

STRUCK: Final = "struck:"
_ALIASES: Final = {"429": "rate429", "500": "http500", "502": "http502", "504": "gateway504"}


def _fault(what: str) -> float:
    dose: float = field(default=0, metadata={"what": what})
    return dose


@dataclass(frozen=True, slots=True)
class Faults:
    """How much of each fault; see the module for what a dose is. `catalogue` describes each."""

    rate429: float = _fault("any API call: 429 without a hint, as the service answers")
    rate429_after: float = _fault("any API call: 429 with Retry-After: 1")
    rate429_reset: float = _fault("any API call: 429 with x-rate-limit-reset-at-utc")
    http500: float = _fault("submit: 500 with the API's JSON error; nothing is accepted")
    http502: float = _fault("submit: HTML 502 of a gateway; nothing is accepted")
    retired: float = _fault("submit: 410, the model is retired; nothing is accepted")
    overdue: float = _fault("submit: 400, the account is not in good standing; nothing is accepted")
    filtered: float = _fault("submit: 403, an HTML page of a company's content filter; nothing is accepted")
    redirected: float = _fault("submit: 307 to another host; nothing is accepted")
    maintenance: float = _fault("any API call: HTML 503 of a maintenance, with Retry-After: 30")
    accepted500: float = _fault("submit: accepted, and answered 500 with the API's JSON error")
    lost: float = _fault("submit: accepted, then the connection is closed with no answer")
    hang: float = _fault("submit: accepted, and never answered")
    gateway504: float = _fault("submit: accepted, and answered with an HTML 504")
    cutjson: float = _fault("submit: accepted, and the JSON of the answer is cut")
    poll_trouble: float = _fault("status, result: 503, HTML 502 or a closed connection, in turn")
    history_down: float = _fault("history: 503")
    failed: float = _fault("job: FAILED with an internal error (transient)")
    failed_bad: float = _fault("job: FAILED for a bad parameter")
    blocked: float = _fault("job: FAILED by content moderation")
    failed_charged: float = _fault("job: FAILED with an internal error (transient), and charged")
    early_failed: float = _fault("job: FAILED is reported while it is being worked on; it completes, and is charged")
    contradicts: float = _fault("job: COMPLETED by its status, FAILED by the first two results")
    no_output: float = _fault("job: COMPLETED and charged, without a URL")
    odd_state: float = _fault("job: an unknown state word while it is being worked on")
    vanish: float = _fault("job: its record is gone (404) as soon as it ends; the history has it")
    broken_file: float = _fault("job: the file itself is cut, permanently")
    expired_link: float = _fault("job: the first link is dead (403); asking for the result again gives a valid one")
    odd_link: float = _fault("job: a picture's link stands before the film's, which has a space and no ending")
    stray_bytes: float = _fault("job: two bytes lie behind the last box of the file")
    truncated: float = _fault("file: the full length is announced, half is sent, the connection is closed")
    forbidden: float = _fault("file: 403 at a link that is good at other times")
    private: float = _fault("file: a redirect to an address of a private network")
    mislabelled: float = _fault("file: Content-Encoding: gzip, and the body is the plain file")
    garbage: float = _fault("file: an HTML page with 200 instead of the video")
    slow: float = _fault("file: the body trickles for 1.5 s")
    stall: float = _fault("file: the body stops half way and the connection stays open")
    no_length: float = _fault("file: chunked, without Content-Length")
    no_range: float = _fault("file: Range is ignored (200 with all of it)")
    etag_changes: float = _fault("file: another ETag each time, so that If-Range never holds")
    redirect: float = _fault("file: 302 to the same file at another path")

    def __post_init__(self) -> None:
        for name, dose in self.doses().items():
            if dose < 0 or (isinstance(dose, float) and dose > 1):
                raise UsageError(f"fault {name}={dose}: must be a rate from 0.0 to 1.0 (with a point) or a count")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"429=0.1,lost=3,truncated=0.2"`; a name alone is a count of one.

        Raises:
            UsageError: a name that is no fault, or a dose that is neither a rate nor a count.
        """
        pairs = (part.strip().partition("=") for part in text.split(",") if part.strip())
        return cls(**dict(_dose(name.strip(), dose.strip() or "1") for name, _, dose in pairs))

    @classmethod
    def catalogue(cls) -> dict[str, str]:
        """Every fault's name, and what it does in one line."""
        return {fault.name: fault.metadata["what"] for fault in fields(cls)}

    def doses(self) -> dict[str, float]:
        """Every fault's dose, by name."""
        return {fault.name: getattr(self, fault.name) for fault in fields(self)}


def _dose(name: str, text: str) -> tuple[str, float]:
    name = _ALIASES.get(name, name)
    if name not in Faults.catalogue():
        raise UsageError(f"there is no fault {name}; the faults are {', '.join(Faults.catalogue())}")
    try:
        return name, float(text) if "." in text else int(text)
    except ValueError:
        raise UsageError(f"fault {name}={text}: must be a rate such as 0.1 or a count such as 3") from None


class Dice:
    """Decides, the same way for the same seed, whether a fault strikes at this chance.

    Args:
        faults: the doses.
        seed: of all draws.
        chance: counts one more chance of a fault, durably, and gives its number from 1; `STRUCK` before the name
            of a fault counts that it struck.
    """

    def __init__(self, faults: Faults, seed: int, chance: Callable[[str], int]) -> None:
        self._doses = faults.doses()
        self._seed = seed
        self._chance = chance

    def strikes(self, name: str) -> bool:
        """True when the fault strikes now; each call is one chance."""
        dose = self._doses[name]
        if not dose:
            return False
        chance = self._chance(name)
        count = isinstance(dose, int)
        struck = chance <= dose if count else random.Random(f"{self._seed}:{name}:{chance}").random() < dose
        if struck:
            self._chance(STRUCK + name)
        return struck

    def first(self, *names: str) -> str | None:
        """Give the first of these faults that strikes; those after it get no chance."""
        return next((name for name in names if self.strikes(name)), None)

    def all(self, *names: str) -> list[str]:
        """Give all of these faults that strike."""
        return [name for name in names if self.strikes(name)]
