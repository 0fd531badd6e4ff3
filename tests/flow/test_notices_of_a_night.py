"""Who is informed of what in a whole night, in virtual time: each event once a run and cause, whatever receivers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from batchgen.cli.notices import Notices
from batchgen.clip import State
from batchgen.errors import Exit
from batchgen.events import Downloaded, Event, Failed
from batchgen.notify.addresses import Address, addresses
from batchgen.notify.sender import Sender
from batchgen.runner.context import Shutdown
from batchgen.runner.session import Outcome
from batchgen.testing import EPOCH, VirtualTimeLoop

HOUR = 3600.0
DONE = Outcome(Exit.OK, None, 1.0)
CAP = Outcome(Exit.STOPPED, "budget: $1.00 spent and $0.00 reserved of $1.00", 1.0)
KEY_GONE = Outcome(Exit.STOPPED, "key: 401 invalid key", 1.0)
FAILED, MADE = Failed("size is not known"), Downloaded("a.mp4", 1, "x")
Script = Callable[[Any], Coroutine[Any, Any, Outcome]]


class Kept(Sender):
    """Sends nothing, and keeps what it was given."""

    def __init__(self, answers: Callable[[], Coroutine[Any, Any, str | None]] | None = None) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.reasons: list[str | None] = []
        self._answers = answers

    async def __aenter__(self) -> Kept:
        return self

    async def message(self, address: Address, message: Mapping[str, Any], redact: Callable[[str], str]) -> str | None:
        self.sent.append(message["event"])
        self.reasons.append(message["reason"])
        return await self._answers() if self._answers else None

    async def signal(self, address: Address, word: str) -> str | None:
        self.sent.append(f"/{word}")
        return await self._answers() if self._answers else None


def informed(
    script: Script, kept: Kept, *, by_timer: bool = False, listed: str = "https://hooks.example/x"
) -> tuple[Outcome, float]:
    """Play a night; gives its outcome, and how long it took with its messages, in seconds."""

    async def play() -> tuple[Outcome, float]:
        loop = asyncio.get_running_loop()
        counts = dict.fromkeys(State, 0)
        ledger = SimpleNamespace(
            observers=[], now=lambda: EPOCH + loop.time(), live_totals=SimpleNamespace(counts=counts)
        )
        session: Any = SimpleNamespace(
            ledger=ledger, shutdown=Shutdown(), manifest=SimpleNamespace(name="night"), counts=counts
        )
        notices = Notices(addresses([listed], {}), described, by_timer=by_timer, sender=kept)
        return await notices.around(session, script(session)), loop.time()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(0.0)) as runner:
        return runner.run(play())


def described(_stopped: str | None, _live: bool) -> dict[str, Any]:
    """Give the fields of `status --json` that messages use."""
    money = {"spent_usd": 1.5, "reserved_usd": 0.0, "cap_usd": 20.0}
    failures = [{"reason": "size is not known"}]
    return {**money, "at": "2026-07-03T20:00:00Z", "state": {"done": 3}, "failures": failures, "next": []}


def happens(session: Any, event: Event, times: int = 1) -> None:
    """Let something happen to clips."""
    for _ in range(times):
        for observer in session.ledger.observers:
            observer(None, event)


async def quiet(_session: Any) -> Outcome:
    """Be a night without news."""
    await asyncio.sleep(HOUR)
    return DONE


async def bursts(session: Any) -> Outcome:
    """Fail in bursts, twice."""
    for _ in range(2):
        await asyncio.sleep(HOUR)
        happens(session, FAILED, 6)
    await asyncio.sleep(HOUR)
    return Outcome(Exit.SOME_FAILED, None, 1.0)


async def few_fail(session: Any) -> Outcome:
    """Fail now and then, among many."""
    for _ in range(20):
        happens(session, MADE, 30)
        happens(session, FAILED, 5)
        await asyncio.sleep(60.0)
    return DONE


async def doubts(session: Any) -> Outcome:
    """Have clips in doubt for long, twice, and at the end."""
    for _ in range(2):
        session.counts[State.UNCONFIRMED] = 2
        await asyncio.sleep(HOUR)
        session.counts[State.UNCONFIRMED] = 0
        await asyncio.sleep(HOUR)
    session.counts[State.UNCONFIRMED] = 1
    return Outcome(Exit.NEEDS_DECISION, None, 1.0)


async def cap(session: Any) -> Outcome:
    """Reach the budget."""
    session.shutdown.request(CAP.stopped, Exit.STOPPED, by_budget=True)
    return CAP


async def dies(_session: Any) -> Outcome:
    """Lose the account."""
    return KEY_GONE


@pytest.mark.parametrize(
    ("script", "by_timer", "sent"),
    [
        (quiet, False, ["done"]),
        (quiet, True, ["started", "done"]),
        (bursts, False, ["failures", "done"]),
        (few_fail, False, ["done"]),
        (doubts, False, ["unconfirmed", "done"]),
        (cap, False, ["budget"]),
        (dies, True, ["started", "stopped"]),
    ],
)
def test_each_event_comes_once_a_run(script: Script, by_timer: bool, sent: list[str]) -> None:
    """2,500 messages of one incident are none."""
    kept = Kept()
    informed(script, kept, by_timer=by_timer)
    assert kept.sent == sent


@pytest.mark.parametrize(
    ("script", "reason"),
    [(cap, CAP.stopped), (dies, KEY_GONE.stopped), (bursts, "size is not known"), (quiet, None)],
)
def test_a_message_has_its_cause(script: Script, reason: str | None) -> None:
    """What to do about it depends on that."""
    kept = Kept()
    informed(script, kept)
    assert kept.reasons[0] == reason


def test_a_heartbeat_monitor_hears_of_a_run_every_five_minutes() -> None:
    """Silence is what it reports."""
    kept = Kept()
    informed(quiet, kept, listed="heartbeat+https://beat.example/x")
    assert kept.sent == ["/start", *["/"] * 11, "/"]


async def hangs() -> str | None:
    """Never answer."""
    await asyncio.Event().wait()
    return None


async def breaks() -> str | None:
    """Raise what nobody expects."""
    raise ZeroDivisionError


async def refuses() -> str | None:
    """Take nothing."""
    return "answered with status 500"


async def lies() -> str | None:
    """Say that all is well."""
    return None


@pytest.mark.parametrize(("answers", "late_s"), [(hangs, 20.0), (breaks, 0.0), (refuses, 0.0), (lies, 0.0)])
@pytest.mark.parametrize("script", [bursts, cap, dies])
def test_no_receiver_changes_the_run(
    script: Script, answers: Callable[[], Coroutine[Any, Any, str | None]], late_s: float
) -> None:
    """The outcome is the same, and it comes 20 seconds later at most."""
    well, took_s = informed(script, Kept())
    outcome, with_trouble_s = informed(script, Kept(answers))
    assert outcome == well
    assert with_trouble_s == pytest.approx(took_s + late_s, abs=0.1)
